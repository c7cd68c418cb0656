#include "engine/weights/weight_binding.h"

#include <fmt/core.h>

#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;

int64_t bytes_of(const WeightSection& section, int32_t group, bool has_zeros) {
  switch (section.kind) {
    case WeightKind::kFloat:
      return int64_t{section.rows} * 4;
    case WeightKind::kHalf:
      return int64_t{section.rows} * section.cols * 2;
    case WeightKind::kInt4:
      return kernels::packed_bytes<CpuTile>(
          kernels::Int4Shape{section.rows, section.cols, group, has_zeros});
    case WeightKind::kInt8:
      return kernels::packed_bytes<CpuTile>(kernels::Int8Shape{section.rows, section.cols});
  }
  return 0;
}

std::string describe(const PackedSection& section) {
  return fmt::format("kind {} [{}, {}] of {} bytes", static_cast<uint32_t>(section.kind),
                     section.rows, section.cols, section.bytes);
}

Result<const PackedSection*> find_section(const WeightSection& wanted, const PackedImage& image,
                                          const std::string& where) {
  const PackedSection* found = image.find(wanted.name);
  if (found == nullptr) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: section {}: want {} x {}, found no such section", where,
                             wanted.name, wanted.rows, wanted.cols)};
  }
  if (wanted.kind == WeightKind::kInt4 && found->group != 32 && found->group != 64 &&
      found->group != 128) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: section {}: want a group of 32, 64 or 128, found {}", where,
                             wanted.name, found->group)};
  }
  const PackedSection expected = packed_section(wanted, found->group, found->has_zeros);
  if (found->kind != expected.kind || found->rows != expected.rows ||
      found->cols != expected.cols || found->bytes != expected.bytes) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: section {}: want {}, found {}", where, wanted.name,
                             describe(expected), describe(*found))};
  }
  return found;
}

void bind_section(const WeightSection& wanted, const PackedSection& section, const std::byte* data,
                  Weights<CpuTile>& weights) {
  LayerWeights<CpuTile>* layer =
      wanted.layer < 0 ? nullptr : &weights.layers[static_cast<size_t>(wanted.layer)];
  const kernels::Int4View<CpuTile> int4 = {
      data, {section.rows, section.cols, section.group, section.has_zeros}};
  const auto* floats = reinterpret_cast<const float*>(data);
  const auto* halves = reinterpret_cast<const uint16_t*>(data);
  switch (wanted.role) {
    case WeightRole::kInputNorm:
      layer->input_norm = floats;
      break;
    case WeightRole::kQkv:
      layer->qkv = int4;
      break;
    case WeightRole::kOut:
      layer->out = int4;
      break;
    case WeightRole::kPostNorm:
      layer->post_norm = floats;
      break;
    case WeightRole::kGateUp:
      layer->gate_up = int4;
      break;
    case WeightRole::kDown:
      layer->down = int4;
      break;
    case WeightRole::kFinalNorm:
      weights.final_norm = floats;
      break;
    case WeightRole::kHead:
      if (wanted.kind == WeightKind::kInt8) {
        weights.head_int8 = {data, {section.rows, section.cols}};
      } else {
        weights.head_f16 = halves;
      }
      break;
    case WeightRole::kEmbedding:
      weights.embedding = halves;
      break;
  }
}

}  // namespace

PackedSection packed_section(const WeightSection& section, int32_t group, bool has_zeros) {
  PackedSection packed;
  packed.name = section.name;
  packed.kind = section.kind;
  packed.rows = section.rows;
  packed.cols = section.cols;
  if (section.kind == WeightKind::kInt4) {
    packed.group = group;
    packed.has_zeros = has_zeros;
  }
  packed.bytes = bytes_of(section, packed.group, packed.has_zeros);
  return packed;
}

Result<Weights<CpuTile>> bind_weights(const ModelConfig& config, HeadFormat head_format,
                                      const PackedImage& image, const std::string& where) {
  Weights<CpuTile> weights;
  weights.config = config;
  weights.layers.resize(static_cast<size_t>(config.n_layers));
  weights.storage = image.storage;
  for (const WeightSection& wanted : weight_sections(config, head_format)) {
    ASSIGN_OR_RETURN(const PackedSection* section, find_section(wanted, image, where));
    bind_section(wanted, *section, image.bytes_of(*section).data(), weights);
    weights.bytes += section->bytes;
  }
  const bool tied_f16 = config.tied_head && head_format == HeadFormat::kF16;
  if (tied_f16) weights.head_f16 = weights.embedding;
  return weights;
}

}  // namespace incipit::engine
