// Random weights of a given shape, written directly in packed form: what `incipit bench
// --synthetic` runs on. Values are drawn in pieces that depend on seed, section and piece alone, so
// any number of threads makes the same model.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "engine/weights/checksum.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_names.h"
#include "engine/weights/weights.h"
#include "kernels/common/half.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;
using HeadTile = kernels::Int8Layout<CpuTile>;

constexpr int32_t kGroup = 128;

// SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain a draw, any state is a good seed.
class Random {
 public:
  Random(uint64_t seed, uint64_t section, uint64_t piece)
      : state_(seed * 0x9e3779b97f4a7c15ULL ^ section * 0xd1342543de82ef95ULL ^
               piece * 0xaf251af3b0f025b5ULL) {
    draw();
  }

  uint64_t draw() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(draw() >> 40) * 0x1p-24F; }  // [0, 1)

 private:
  uint64_t state_;
};

// Sixteen nibbles in 1..15 with mean 8, the zero point: weights without a common sign. A nibble of
// 0 becomes 8.
uint64_t centred_nibbles(uint64_t word) {
  const uint64_t ones = 0x1111111111111111ULL;
  const uint64_t used = (word | (word >> 1) | (word >> 2) | (word >> 3)) & ones;
  return word | ((used ^ ones) << 3);
}
constexpr float kNibbleDeviation = 4.18F;  // sqrt(2 (1 + 4 + ... + 49) / 16)

// The same for bytes q + 128: a byte of 0 (q = -128, which the format does not have) becomes 128.
uint64_t centred_bytes(uint64_t word) {
  const uint64_t low7 = 0x7f7f7f7f7f7f7f7fULL;
  const uint64_t used = ((word & low7) + low7) | word;  // bit 7 of every byte that is not 0
  return word | (~used & ~low7);
}
constexpr float kByteDeviation = 73.6F;  // of -127..127, almost uniform

void fill_words(std::byte* out, int64_t bytes, Random& random, uint64_t (*centre)(uint64_t)) {
  for (int64_t i = 0; i < bytes; i += 8) {
    const uint64_t word = centre(random.draw());
    std::memcpy(out + i, &word, sizeof(word));
  }
}

struct Piece {
  std::span<std::byte> out;  // the whole section
  uint64_t seed;
  uint64_t section;
};

// Scales that turn an input of size one into outputs of size `gain`, each row a little different.
float row_scale(Random& random, float gain, float deviation, int32_t cols) {
  const float spread = 0.75F + 0.5F * random.uniform();
  return gain * spread / (deviation * std::sqrt(static_cast<float>(cols)));
}

void fill_int4(const Piece& piece, const kernels::Int4Shape& shape, float gain,
               kernels::ThreadPool& pool) {
  static_assert(CpuTile::kLineBytes % 8 == 0);
  pool.parallel_for(CpuTile::n_tiles(shape), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      Random random(piece.seed, piece.section, static_cast<uint64_t>(tile));
      for (int32_t group = 0; group < shape.n_groups(); ++group) {
        const int64_t first_row = tile * CpuTile::kRows;
        std::byte* record = piece.out.data() + CpuTile::record_of(shape, first_row, group);
        fill_words(record, CpuTile::quant_bytes(shape), random, centred_nibbles);
        for (int64_t row = first_row; row < first_row + CpuTile::kRows; ++row) {
          const float scale = row_scale(random, gain, kNibbleDeviation, shape.cols);
          const uint16_t half = row < shape.rows ? kernels::float_to_half(scale) : uint16_t{0};
          std::memcpy(piece.out.data() + CpuTile::scale_of(shape, row, group), &half, sizeof(half));
        }
      }
    }
  });
}

// Rows from n_drawn on are zero.
void fill_int8(const Piece& piece, const kernels::Int8Shape& shape, float gain, int32_t n_drawn,
               kernels::ThreadPool& pool) {
  pool.parallel_for(HeadTile::n_tiles(shape), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      Random random(piece.seed, piece.section, static_cast<uint64_t>(tile));
      std::byte* data = piece.out.data() + tile * HeadTile::tile_bytes(shape);
      fill_words(data, HeadTile::quant_bytes(shape), random, centred_bytes);
      for (int64_t row = tile * HeadTile::kRows; row < (tile + 1) * HeadTile::kRows; ++row) {
        const float drawn = row_scale(random, gain, kByteDeviation, shape.cols);
        const float scale = row < n_drawn ? drawn : 0.0F;
        std::memcpy(piece.out.data() + HeadTile::scale_of(shape, row), &scale, sizeof(scale));
      }
    }
  });
}

// Rows of values uniform in -limit .. limit: one of 1024 fp16 numbers each, six to a draw.
void fill_half(const Piece& piece, int32_t rows, int32_t cols, float limit,
               kernels::ThreadPool& pool) {
  constexpr int kBits = 10;
  constexpr int kPerDraw = 6;
  std::array<uint16_t, 1 << kBits> values;
  for (size_t i = 0; i < values.size(); ++i) {
    const float position = (static_cast<float>(i) + 0.5F) / static_cast<float>(values.size());
    values[i] = kernels::float_to_half((2 * position - 1) * limit);
  }
  pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Random random(piece.seed, piece.section, static_cast<uint64_t>(row));
      std::byte* out = piece.out.data() + row * cols * 2;
      for (int32_t col = 0; col < cols; col += kPerDraw) {
        uint64_t word = random.draw();
        for (int32_t i = col; i < std::min(col + kPerDraw, cols); ++i, word >>= kBits) {
          std::memcpy(out + int64_t{i} * 2, &values[word % values.size()], sizeof(uint16_t));
        }
      }
    }
  });
}

// Inputs past `cols` and outputs past `rows` must hold the zero point; most shapes have neither.
void clear_padding(const kernels::Int4Shape& shape, std::span<std::byte> out) {
  const auto padded = static_cast<int32_t>(kernels::round_up(shape.cols, shape.group));
  const int64_t n_rows = CpuTile::n_tiles(shape) * CpuTile::kRows;
  for (int64_t row = padded == shape.cols ? shape.rows : 0; row < n_rows; ++row) {
    for (int32_t col = row < shape.rows ? shape.cols : 0; col < padded; ++col) {
      std::byte& byte = out[static_cast<size_t>(CpuTile::byte_of(shape, row, col))];
      const int shift = CpuTile::shift_of(shape, col);
      byte = (byte & ~(std::byte{15} << shift)) | (std::byte{kernels::kSymmetricZero} << shift);
    }
  }
}

void clear_padding(const kernels::Int8Shape& shape, std::span<std::byte> out) {
  const auto padded = static_cast<int32_t>(kernels::round_up(shape.cols, HeadTile::kColsPadding));
  const int64_t n_rows = HeadTile::n_tiles(shape) * HeadTile::kRows;
  for (int64_t row = padded == shape.cols ? shape.rows : 0; row < n_rows; ++row) {
    for (int32_t col = row < shape.rows ? shape.cols : 0; col < padded; ++col) {
      out[static_cast<size_t>(HeadTile::byte_of(shape, row, col))] = std::byte{HeadTile::kBias};
    }
  }
}

// The residual stream starts at size one (the embedding) and each of the 2 n_layers additions has
// size 1 / sqrt(2 n_layers): it ends near sqrt(2). Logits have size three, so that sampling has
// something to choose from.
void fill_section(const WeightSection& section, const Piece& piece, const ModelConfig& config,
                  int32_t n_tokens, kernels::ThreadPool& pool) {
  const bool adds = section.role == WeightRole::kOut || section.role == WeightRole::kDown;
  const auto n_additions = static_cast<float>(2 * config.n_layers);
  switch (section.kind) {
    case WeightKind::kFloat: {
      const float one = 1;
      for (size_t i = 0; i < piece.out.size(); i += sizeof(one)) {
        std::memcpy(piece.out.data() + i, &one, sizeof(one));
      }
      break;
    }
    case WeightKind::kInt4: {
      const kernels::Int4Shape shape = {section.rows, section.cols, kGroup, false};
      fill_int4(piece, shape, adds ? 1 / std::sqrt(n_additions) : 1.0F, pool);
      clear_padding(shape, piece.out);
      break;
    }
    case WeightKind::kInt8: {
      const kernels::Int8Shape shape = {section.rows, section.cols};
      const int32_t n_drawn = n_tokens > 0 ? std::min(n_tokens, section.rows) : section.rows;
      fill_int8(piece, shape, 3.0F, n_drawn, pool);
      clear_padding(shape, piece.out);
      break;
    }
    case WeightKind::kHalf: {
      // sqrt(3): a uniform distribution of deviation one.
      const float limit = section.role == WeightRole::kHead
                              ? 3 * std::sqrt(3.0F / static_cast<float>(section.cols))
                              : std::sqrt(3.0F);
      fill_half(piece, section.rows, section.cols, limit, pool);
      break;
    }
  }
}

}  // namespace

Result<Weights<CpuTile>> synthetic_weights(const ModelConfig& config, HeadFormat head_format,
                                           uint64_t seed, int n_threads, int32_t n_tokens) {
  const std::vector<WeightSection> wanted = weight_sections(config, head_format);
  std::vector<PackedSection> packed;
  for (const WeightSection& section : wanted) {
    packed.push_back(packed_section(section, kGroup, false));
  }
  kernels::ThreadPool pool(n_threads);
  const auto fill = [&](size_t i, int64_t /*whole*/, std::span<std::byte> out) -> Result<void> {
    const Piece piece{out, seed, checksum(std::string_view(wanted[i].name))};
    fill_section(wanted[i], piece, config, n_tokens, pool);
    return {};
  };
  ASSIGN_OR_RETURN(const PackedImage image, make_packed_image(std::move(packed), fill));
  return bind_weights(config, head_format, image, "synthetic model");
}

}  // namespace incipit::engine
