#include "engine/weights/weight_source.h"

#include <fmt/core.h>

#include <array>
#include <optional>
#include <utility>

#include "engine/base/log.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/weight_binding.h"
#include "kernels/common/check.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;

// Sections lie at multiples of 64 bytes in memory that a vector or a mapping provides.
template <class T>
std::span<T> as_span_of(std::span<std::byte> bytes) {
  return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
}

// Tensors that nobody asks for are left alone (older exporters store rotary tables), but not whole
// layers: the model would be another one.
Result<void> check_layers(const Checkpoint& checkpoint, const ModelConfig& config) {
  for (const TensorFile& file : checkpoint.files()) {
    for (const Tensor& tensor : file.tensors()) {
      const std::optional<int64_t> layer = layer_of(tensor.name);
      if (!layer || *layer < config.n_layers) continue;
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: {}: want layers 0..{} (config.json: num_hidden_layers is {}), "
                               "found one more",
                               file.where(), tensor.name, config.n_layers - 1, config.n_layers)};
    }
  }
  return {};
}

}  // namespace

Result<WeightSource> WeightSource::plan(const Checkpoint& checkpoint, const ModelConfig& config,
                                        const GptqConfig& gptq, HeadFormat head_format) {
  WeightSource source(checkpoint);
  TRY(check_layers(checkpoint, config));
  for (WeightSection& section : weight_sections(config, head_format)) {
    TRY(source.add(std::move(section), gptq));
  }
  for (const auto& linears : source.linears_) {
    for (const GptqLinear& linear : linears) {
      if (!has_ambiguous_zeros(linear)) continue;
      log::warn(
          "{}: {}.qzeros: some zero points are 15 as stored, read as 16; a quantiser that "
          "lets 0 wrap around means 0 by it, and this checkpoint is then inexact",
          checkpoint.where(linear.qzeros->name), linear.name);
      return source;  // once is enough
    }
  }
  return source;
}

Result<void> WeightSource::add(WeightSection section, const GptqConfig& gptq) {
  std::vector<GptqLinear> linears;
  for (const WeightPart& part : section.parts) {
    if (section.kind == WeightKind::kInt4) {
      ASSIGN_OR_RETURN(GptqLinear linear,
                       find_gptq_linear(*checkpoint_, part.tensor, part.rows, section.cols, gptq));
      linears.push_back(std::move(linear));
      continue;
    }
    const std::array<int64_t, 2> shape = {part.rows, section.cols};
    const size_t rank = section.kind == WeightKind::kFloat ? 1 : 2;
    TRY(checkpoint_->require(part.tensor, std::span(shape).first(rank), kFloatTypes));
  }
  kernels::Int4Shape int4;
  if (!linears.empty()) int4 = imported_shape(linears);
  packed_.push_back(packed_section(section, int4.group, int4.has_zeros));
  wanted_.push_back(std::move(section));
  linears_.push_back(std::move(linears));
  return {};
}

Result<void> WeightSource::fill(size_t section_idx, std::span<std::byte> out,
                                kernels::ThreadPool& pool) const {
  const WeightSection& section = wanted_[section_idx];
  if (section.kind == WeightKind::kInt4) {
    kernels::pack<CpuTile>(import_gptq(linears_[section_idx], &pool), out, &pool);
    return {};
  }
  CHECK_EQ(section.parts.size(), size_t{1});
  const std::string& name = section.parts[0].tensor;
  const Tensor& tensor = *checkpoint_->find(name);
  const std::string where = checkpoint_->where(name);
  if (section.kind == WeightKind::kFloat) return read_floats(tensor, where, as_span_of<float>(out));
  if (section.kind == WeightKind::kHalf) {
    return read_halves(tensor, where, as_span_of<uint16_t>(out));
  }
  std::vector<uint16_t> halves(static_cast<size_t>(tensor.n_elements()));
  TRY(read_halves(tensor, where, halves));
  kernels::quantize_rows_int8<CpuTile>(halves, {section.rows, section.cols}, out, &pool);
  return {};
}

}  // namespace incipit::engine
