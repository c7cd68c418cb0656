#include "engine/weights/direct_pack.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <variant>

#include "kernels/common/check.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;
using kernels::Int4Shape;

constexpr int32_t kWordInputs = 8;
constexpr int32_t kBlockTiles = 8;  // outputs next to each other in a row of words, read together

static_assert(kWordInputs == 2 * CpuTile::kQuad && CpuTile::kLineBytes == CpuTile::kHalfRows * 4,
              "a line holds one word each of half a tile's outputs");

using Line = std::array<uint32_t, CpuTile::kHalfRows>;

// Nibbles 0..3 of a word become the low nibbles of bytes 0..3, nibbles 4..7 the high ones.
Line interleaved(Line words) {
  const auto spread = [](uint32_t x) {
    x = (x | x << 8) & 0x00ff00ffU;
    return (x | x << 4) & 0x0f0f0f0fU;
  };
  for (uint32_t& word : words) word = spread(word & 0xffffU) | spread(word >> 16) << 4;
  return words;
}

const Int4Linear& linear_of(const Int4Part& part) {
  return std::get<Int4Linear>(part.linear);
}

// Tiles begin .. end-1 of one part, whose first one is tile first_tile of the matrix.
class PartPacker {
 public:
  PartPacker(const Int4Linear& linear, const Int4Shape& shape, int32_t first_tile, std::byte* out)
      : linear_(linear), shape_(shape), first_tile_(first_tile), out_(out) {}

  void pack(int32_t begin, int32_t end) const {
    for (int32_t first = begin; first < end; first += kBlockTiles) {
      const int32_t last = std::min(first + kBlockTiles, end);
      for (int32_t k = 0; k < shape_.cols; k += kWordInputs)
        for (int32_t tile = first; tile < last; ++tile) pack_words(tile, k);
      for (int32_t group = 0; group < shape_.n_groups(); ++group)
        for (int32_t tile = first; tile < last; ++tile) pack_scales(tile, group);
    }
  }

 private:
  void pack_words(int32_t tile, int32_t k) const {
    const int64_t row = int64_t{first_tile_ + tile} * CpuTile::kRows;
    const std::byte* from = linear_.quants->data.data() +
                            (int64_t{k} / kWordInputs * linear_.rows + tile * CpuTile::kRows) * 4;
    for (int32_t half = 0; half < CpuTile::kRows; half += CpuTile::kHalfRows) {
      Line line;
      std::memcpy(line.data(), from + half * 4, sizeof(line));
      line = interleaved(line);
      std::memcpy(out_ + CpuTile::byte_of(shape_, row + half, k), line.data(), sizeof(line));
    }
  }

  void pack_scales(int32_t tile, int32_t group) const {
    const int64_t row = int64_t{first_tile_ + tile} * CpuTile::kRows;
    const std::byte* from =
        linear_.scales->data.data() + (int64_t{group} * linear_.rows + tile * CpuTile::kRows) * 2;
    std::memcpy(out_ + CpuTile::scale_of(shape_, row, group), from, CpuTile::kScaleBytes);
  }

  const Int4Linear& linear_;
  const Int4Shape& shape_;
  int32_t first_tile_;
  std::byte* out_;
};

}  // namespace

bool can_pack_directly(const Int4Plan& plan) {
  if (plan.shape.has_zeros || !plan.output_order.empty()) return false;
  if (plan.shape.cols % plan.shape.group != 0) return false;
  return std::ranges::all_of(plan.parts, [&](const Int4Part& part) {
    if (!part.keeps_integers || !part.input_order.empty()) return false;
    if (!std::holds_alternative<Int4Linear>(part.linear)) return false;
    const Int4Linear& linear = linear_of(part);
    return linear.config.format == QuantConfig::Format::kGptq &&
           linear.config.group == plan.shape.group && linear.rows % CpuTile::kRows == 0 &&
           linear.scales->type == TensorType::kF16;
  });
}

void pack_directly(const Int4Plan& plan, std::span<std::byte> out, kernels::ThreadPool& pool) {
  CHECK_EQ(static_cast<int64_t>(out.size()), CpuTile::bytes(plan.shape));
  int32_t first_tile = 0;
  for (const Int4Part& part : plan.parts) {
    const PartPacker packer(linear_of(part), plan.shape, first_tile, out.data());
    const int32_t n_tiles = linear_of(part).rows / CpuTile::kRows;
    pool.parallel_for(n_tiles, kBlockTiles, [&](int64_t begin, int64_t end) {
      packer.pack(static_cast<int32_t>(begin), static_cast<int32_t>(end));
    });
    first_tile += n_tiles;
  }
}

}  // namespace incipit::engine
