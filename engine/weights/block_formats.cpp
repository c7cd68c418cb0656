#include "engine/weights/block_formats.h"

#include <array>
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

constexpr int32_t kSmall = 32;   // elements of a plain block
constexpr int32_t kSuper = 256;  // of a "K" block

float half_at(const uint8_t* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return kernels::half_to_float(bits);
}

// d, 16 bytes of nibbles: low ones are elements 0 .. 15, high ones 16 .. 31.
void q4_0(const uint8_t* block, float* out) {
  const float d = half_at(block);
  for (int32_t j = 0; j < 16; ++j) {
    const int32_t byte = block[2 + j];
    out[j] = d * static_cast<float>((byte & 15) - 8);
    out[j + 16] = d * static_cast<float>((byte >> 4) - 8);
  }
}

// d, least, nibbles.
void q4_1(const uint8_t* block, float* out) {
  const float d = half_at(block), least = half_at(block + 2);
  for (int32_t j = 0; j < 16; ++j) {
    const int32_t byte = block[4 + j];
    out[j] = d * static_cast<float>(byte & 15) + least;
    out[j + 16] = d * static_cast<float>(byte >> 4) + least;
  }
}

// The fifth bits of 32 elements, then their nibbles, as integers 0 .. 31.
void five_bits(const uint8_t* bytes, int32_t* q) {
  uint32_t fifth = 0;
  std::memcpy(&fifth, bytes, sizeof(fifth));
  for (int32_t j = 0; j < 16; ++j) {
    const int32_t byte = bytes[4 + j];
    q[j] = (byte & 15) | static_cast<int32_t>((fifth >> j & 1) << 4);
    q[j + 16] = (byte >> 4) | static_cast<int32_t>((fifth >> (j + 16) & 1) << 4);
  }
}

void q5_0(const uint8_t* block, float* out) {
  std::array<int32_t, kSmall> q;
  five_bits(block + 2, q.data());
  const float d = half_at(block);
  for (size_t j = 0; j < q.size(); ++j) out[j] = d * static_cast<float>(q[j] - 16);
}

void q5_1(const uint8_t* block, float* out) {
  std::array<int32_t, kSmall> q;
  five_bits(block + 4, q.data());
  const float d = half_at(block), least = half_at(block + 2);
  for (size_t j = 0; j < q.size(); ++j) out[j] = d * static_cast<float>(q[j]) + least;
}

void q8_0(const uint8_t* block, float* out) {
  const float d = half_at(block);
  for (int32_t j = 0; j < kSmall; ++j) {
    out[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
  }
}

// Scale and least of the eight sub-blocks of 32: six bits each in twelve bytes.
struct SubScales {
  std::array<float, 8> scale;
  std::array<float, 8> least;

  explicit SubScales(const uint8_t* block) {
    const float d = half_at(block), d_least = half_at(block + 2);
    const uint8_t* s = block + 4;
    for (size_t j = 0; j < 8; ++j) {
      const int32_t six = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6 << 4);
      const int32_t six_least = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6 << 4);
      scale[j] = d * static_cast<float>(six);
      least[j] = d_least * static_cast<float>(six_least);
    }
  }
};

// 32 bytes hold two sub-blocks: low nibbles the first, high ones the second.
void q4_k(const uint8_t* block, float* out) {
  const SubScales sub(block);
  for (size_t j = 0; j < 8; ++j) {
    const uint8_t* nibbles = block + 16 + j / 2 * 32;
    for (size_t l = 0; l < 32; ++l) {
      const int32_t q = j % 2 == 0 ? nibbles[l] & 15 : nibbles[l] >> 4;
      out[j * 32 + l] = sub.scale[j] * static_cast<float>(q) - sub.least[j];
    }
  }
}

// As Q4_K, with bit j of byte l for the fifth bit of element l of sub-block j.
void q5_k(const uint8_t* block, float* out) {
  const SubScales sub(block);
  const uint8_t* fifth = block + 16;
  for (size_t j = 0; j < 8; ++j) {
    const uint8_t* nibbles = block + 48 + j / 2 * 32;
    for (size_t l = 0; l < 32; ++l) {
      const int32_t low = j % 2 == 0 ? nibbles[l] & 15 : nibbles[l] >> 4;
      const int32_t q = low | (fifth[l] >> j & 1) << 4;
      out[j * 32 + l] = sub.scale[j] * static_cast<float>(q) - sub.least[j];
    }
  }
}

// Two halves of 128: 64 bytes of low nibbles, 32 bytes of upper pairs of bits, 8 scales each.
void q6_k(const uint8_t* block, float* out) {
  const float d = half_at(block + 208);
  for (int32_t half = 0; half < 2; ++half) {
    const uint8_t* low = block + half * 64;
    const uint8_t* high = block + 128 + half * 32;
    const uint8_t* scales = block + 192 + half * 8;
    for (int32_t quarter = 0; quarter < 4; ++quarter) {
      for (int32_t l = 0; l < 32; ++l) {
        const int32_t byte = low[quarter % 2 * 32 + l];
        const int32_t nibble = quarter < 2 ? byte & 15 : byte >> 4;
        const int32_t q = (nibble | (high[l] >> (2 * quarter) & 3) << 4) - 32;
        const auto scale = static_cast<int8_t>(scales[quarter * 2 + l / 16]);
        out[half * 128 + quarter * 32 + l] = d * static_cast<float>(scale) * static_cast<float>(q);
      }
    }
  }
}

struct BlockRow {
  TensorType type;
  BlockShape shape;
  void (*dequantise)(const uint8_t* block, float* out);
};

constexpr std::array<BlockRow, 8> kBlocks = {{{TensorType::kQ4_0, {kSmall, 18}, q4_0},
                                              {TensorType::kQ4_1, {kSmall, 20}, q4_1},
                                              {TensorType::kQ5_0, {kSmall, 22}, q5_0},
                                              {TensorType::kQ5_1, {kSmall, 24}, q5_1},
                                              {TensorType::kQ8_0, {kSmall, 34}, q8_0},
                                              {TensorType::kQ4K, {kSuper, 144}, q4_k},
                                              {TensorType::kQ5K, {kSuper, 176}, q5_k},
                                              {TensorType::kQ6K, {kSuper, 210}, q6_k}}};

const BlockRow* find_row(TensorType type) {
  for (const BlockRow& row : kBlocks) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace

bool is_block_type(TensorType type) {
  return find_row(type) != nullptr;
}

BlockShape block_shape(TensorType type) {
  const BlockRow* row = find_row(type);
  return row == nullptr ? BlockShape{1, static_cast<int32_t>(size_of(type))} : row->shape;
}

void split_q4_0(std::span<const std::byte> blocks, uint8_t* q, uint16_t* scales) {
  const auto n_bytes = static_cast<size_t>(block_shape(TensorType::kQ4_0).n_bytes);
  CHECK_EQ(blocks.size() % n_bytes, size_t{0});
  const auto* block = reinterpret_cast<const uint8_t*>(blocks.data());
  for (size_t i = 0; i < blocks.size() / n_bytes; ++i, block += n_bytes, q += kSmall) {
    std::memcpy(scales + i, block, sizeof(*scales));
    for (int32_t j = 0; j < 16; ++j) {
      q[j] = block[2 + j] & 15;
      q[j + 16] = block[2 + j] >> 4;
    }
  }
}

void dequantise_blocks(TensorType type, std::span<const std::byte> blocks, std::span<float> out) {
  const BlockRow* row = find_row(type);
  CHECK(row != nullptr);
  const auto n_bytes = static_cast<size_t>(row->shape.n_bytes);
  const auto n_elements = static_cast<size_t>(row->shape.n_elements);
  CHECK_EQ(blocks.size() % n_bytes, size_t{0});
  CHECK_EQ(blocks.size() / n_bytes * n_elements, out.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(blocks.data());
  for (size_t i = 0; i < blocks.size() / n_bytes; ++i) {
    row->dequantise(bytes + i * n_bytes, out.data() + i * n_elements);
  }
}

}  // namespace incipit::engine
