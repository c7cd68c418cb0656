#include "engine/weights/weight_source.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/log.h"
#include "engine/weights/direct_pack.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/weight_binding.h"
#include "kernels/common/check.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;
using HeadTile = kernels::Int8Layout<CpuTile>;

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

// Elements from `first` on in fp16, read by all threads; the error is that of the first that is no
// number.
Result<void> read_halves(const Tensor& tensor, const std::string& where, int64_t first,
                         std::span<uint16_t> out, kernels::ThreadPool& pool) {
  const auto n = static_cast<int64_t>(out.size());
  CHECK_LE(first + n, tensor.n_elements());
  constexpr int64_t kPart = int64_t{1} << 16;  // a multiple of every block
  const int64_t end_of_tensor = tensor.n_elements();
  std::atomic<int64_t> bad{end_of_tensor};
  pool.parallel_for(kernels::ceil_div(n, kPart), 1, [&](int64_t begin, int64_t end) {
    const int64_t from = begin * kPart;
    const int64_t count = std::min(end * kPart, n) - from;
    const int64_t found = copy_halves(
        tensor, first + from, out.subspan(static_cast<size_t>(from), static_cast<size_t>(count)));
    int64_t before = bad;
    while (found >= 0 && found < before && !bad.compare_exchange_weak(before, found)) {
    }
  });
  if (bad == end_of_tensor) return {};
  return not_a_half(tensor, where, bad);
}

// Rows of the head, from a tile's first on: rounded and packed as they are read.
Result<void> read_int8_rows(const Tensor& tensor, const std::string& where,
                            const kernels::Int8Shape& shape, int64_t first_row,
                            std::span<std::byte> out, kernels::ThreadPool& pool) {
  const auto n = static_cast<size_t>(int64_t{shape.rows} * shape.cols);
  const auto memory = std::make_unique_for_overwrite<uint16_t[]>(n);
  const std::span halves(memory.get(), n);
  TRY(read_halves(tensor, where, first_row * shape.cols, halves, pool));
  kernels::quantize_rows_int8<CpuTile>(halves, shape, out, &pool);
  return {};
}

}  // namespace

Result<WeightSource> WeightSource::plan(const Checkpoint& checkpoint, const ModelConfig& config,
                                        const QuantConfig& quant, HeadFormat head_format,
                                        int32_t rounded_group) {
  WeightSource source(checkpoint);
  TRY(check_layers(checkpoint, config));
  for (WeightSection& section : weight_sections(config, head_format)) {
    TRY(source.add(std::move(section), quant, rounded_group));
  }
  source.warn_of_ambiguous_zeros();
  return source;
}

void WeightSource::warn_of_ambiguous_zeros() const {
  for (const Int4Plan& plan : int4_) {
    for (const Int4Part& part : plan.parts) {
      const auto* linear = std::get_if<Int4Linear>(&part.linear);
      if (linear == nullptr || !has_ambiguous_zeros(*linear)) continue;
      log::warn(
          "{}: {}: some zero points are 15 as stored, read as 16; a quantiser that lets 0 wrap "
          "around means 0 by it, and this checkpoint is then inexact",
          checkpoint_->where(linear->zeros->name), linear->zeros->name);
      return;  // once is enough
    }
  }
}

Result<void> WeightSource::add(WeightSection section, const QuantConfig& quant,
                               int32_t rounded_group) {
  std::vector<Linear> linears;
  for (const WeightPart& part : section.parts) {
    if (section.kind == WeightKind::kInt4) {
      ASSIGN_OR_RETURN(Linear linear,
                       find_linear(*checkpoint_, part.tensor, part.rows, section.cols, quant));
      linears.push_back(std::move(linear));
      continue;
    }
    const std::array<int64_t, 2> shape = {part.rows, section.cols};
    const size_t rank = section.kind == WeightKind::kFloat ? 1 : 2;
    TRY(checkpoint_->require(part.tensor, std::span(shape).first(rank),
                             number_types(*checkpoint_)));
  }
  Int4Plan int4;
  if (!linears.empty()) {
    // What goes into down comes out of gate and up of the same layer, element by element: an order
    // of its inputs is an order of their outputs.
    const bool is_down = section.role == WeightRole::kDown;
    int4 = plan_int4(std::move(linears), is_down ? InputOrder::kCanMove : InputOrder::kFixed,
                     rounded_group);
    if (is_down) {
      CHECK(!wanted_.empty() && wanted_.back().role == WeightRole::kGateUp);
      int4_.back().output_order = int4.parts[0].input_order;
    }
  }
  packed_.push_back(packed_section(section, int4.shape.group, int4.shape.has_zeros));
  wanted_.push_back(std::move(section));
  int4_.push_back(std::move(int4));
  return {};
}

std::vector<PackedSection> WeightSource::sections_in_pieces() const {
  std::vector<PackedSection> sections = packed_;
  for (PackedSection& section : sections) {
    // Whole rows; block types are made of whole blocks, and rows of those.
    if (section.kind == WeightKind::kHalf) section.piece_bytes = int64_t{section.cols} * 2;
    if (section.kind == WeightKind::kInt8)
      section.piece_bytes = HeadTile::tile_bytes({0, section.cols});
  }
  return sections;
}

Result<void> WeightSource::fill_int4(size_t section_idx, std::span<std::byte> out,
                                     kernels::ThreadPool& pool, Conversion& conversion,
                                     kernels::Int4Matrix* scratch) const {
  const Int4Plan& plan = int4_[section_idx];
  if (can_pack_directly(plan)) {
    pack_directly(plan, out, pool);
    conversion.n_linears += static_cast<int32_t>(plan.parts.size());
    return {};
  }
  kernels::Int4Matrix reuse = scratch != nullptr ? std::move(*scratch) : kernels::Int4Matrix();
  ASSIGN_OR_RETURN(kernels::Int4Matrix matrix,
                   build_int4(plan, *checkpoint_, &pool, conversion, std::move(reuse)));
  kernels::pack<CpuTile>(matrix, out, &pool);
  if (scratch != nullptr) *scratch = std::move(matrix);
  return {};
}

Result<void> WeightSource::fill(size_t section_idx, int64_t offset, std::span<std::byte> out,
                                kernels::ThreadPool& pool, Conversion& conversion,
                                kernels::Int4Matrix* scratch) const {
  const WeightSection& section = wanted_[section_idx];
  if (section.kind == WeightKind::kInt4) {
    CHECK_EQ(offset, 0);
    return fill_int4(section_idx, out, pool, conversion, scratch);
  }
  CHECK_EQ(section.parts.size(), size_t{1});
  const std::string& name = section.parts[0].tensor;
  const Tensor& tensor = *checkpoint_->find(name);
  const std::string where = checkpoint_->where(name);
  if (section.kind == WeightKind::kFloat) {
    CHECK_EQ(offset, 0);
    return read_floats(tensor, where, as_span_of<float>(out));
  }
  if (section.kind == WeightKind::kHalf) {
    return read_halves(tensor, where, offset / 2, as_span_of<uint16_t>(out), pool);
  }
  const int64_t tile_bytes = HeadTile::tile_bytes({section.rows, section.cols});
  const int64_t first_row = offset / tile_bytes * HeadTile::kRows;
  const int64_t n_rows = std::min(static_cast<int64_t>(out.size()) / tile_bytes * HeadTile::kRows,
                                  section.rows - first_row);
  return read_int8_rows(tensor, where, {static_cast<int32_t>(n_rows), section.cols}, first_row, out,
                        pool);
}

void WeightSource::read_ahead(size_t section_idx) const {
  for (const Int4Part& part : int4_[section_idx].parts)
    engine::read_ahead(tensor_of(part.linear).data);
  if (wanted_[section_idx].kind == WeightKind::kInt4) return;
  for (const WeightPart& part : wanted_[section_idx].parts)
    engine::read_ahead(checkpoint_->find(part.tensor)->data);
}

}  // namespace incipit::engine
