#include "engine/weights/linear.h"

#include <array>
#include <span>
#include <utility>

#include "engine/weights/float_tensor.h"

namespace incipit::engine {

Result<Linear> find_linear(const Checkpoint& checkpoint, const std::string& name, int32_t rows,
                           int32_t cols, const QuantConfig& config) {
  const std::string weight = name + ".weight";
  const bool dense =
      config.format == QuantConfig::Format::kDense ||
      (checkpoint.find(quants_name(name, config)) == nullptr && checkpoint.find(weight) != nullptr);
  if (!dense) {
    ASSIGN_OR_RETURN(Int4Linear linear, find_int4_linear(checkpoint, name, rows, cols, config));
    return Linear(std::move(linear));
  }
  const std::array<int64_t, 2> shape = {rows, cols};
  ASSIGN_OR_RETURN(const Tensor* tensor, checkpoint.require(weight, shape, kFloatTypes));
  TRY(check_no_bias(checkpoint, name, rows));
  return Linear(DenseLinear{name, rows, cols, tensor});
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
  const auto count = static_cast<size_t>(int64_t{end - begin} * dense.cols);
  copy_floats(*dense.weight, int64_t{begin} * dense.cols, std::span(out, count));
}

}  // namespace incipit::engine
