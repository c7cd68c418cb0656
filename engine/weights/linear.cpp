#include "engine/weights/linear.h"

#include <array>
#include <span>
#include <utility>

#include "engine/weights/float_tensor.h"
#include "engine/weights/gguf_model.h"

namespace incipit::engine {

Result<Linear> find_linear(const Checkpoint& checkpoint, const std::string& name, int32_t rows,
                           int32_t cols, const QuantConfig& config) {
  const std::string weight = name + ".weight";
  using Format = QuantConfig::Format;
  const bool left_alone = config.format != Format::kDense && config.format != Format::kGguf &&
                          checkpoint.find(quants_name(name, config)) == nullptr &&
                          checkpoint.find(weight) != nullptr;
  const bool dense =
      config.format == Format::kDense || config.format == Format::kGguf || left_alone;
  if (!dense) {
    ASSIGN_OR_RETURN(Int4Linear linear, find_int4_linear(checkpoint, name, rows, cols, config));
    return Linear(std::move(linear));
  }
  const std::array<int64_t, 2> shape = {rows, cols};
  ASSIGN_OR_RETURN(const Tensor* tensor,
                   checkpoint.require(weight, shape, number_types(checkpoint)));
  TRY(check_no_bias(checkpoint, name, rows));
  const bool is_paired = name.ends_with(".q_proj") || name.ends_with(".k_proj");
  return Linear(
      DenseLinear{name, rows, cols, tensor, is_paired ? checkpoint.paired_head_dim() : 0});
}

const std::string& name_of(const Linear& linear) {
  return std::visit([](const auto& one) -> const std::string& { return one.name; }, linear);
}

int32_t rows_of(const Linear& linear) {
  return std::visit([](const auto& one) { return one.rows; }, linear);
}

const Tensor& tensor_of(const Linear& linear) {
  if (const auto* dense = std::get_if<DenseLinear>(&linear)) return *dense->weight;
  return *std::get<Int4Linear>(linear).scales;
}

void read_rows(const Linear& linear, int32_t begin, int32_t end, float* out) {
  if (const auto* int4 = std::get_if<Int4Linear>(&linear)) {
    dequantise_rows(*int4, begin, end, out);
    return;
  }
  const auto& dense = std::get<DenseLinear>(linear);
  for (int32_t n = begin; n < end; ++n) {
    const int32_t at = dense.paired_head_dim == 0 ? n : gguf_row(n, dense.paired_head_dim);
    copy_floats(*dense.weight, int64_t{at} * dense.cols,
                std::span(out + int64_t{n - begin} * dense.cols, static_cast<size_t>(dense.cols)));
  }
}

}  // namespace incipit::engine
