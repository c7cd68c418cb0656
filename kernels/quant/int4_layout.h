// The one description of INT4 weights: w[row][col] = (q - zero) * scale[row][col / group], q in
// 0..15, fp16 scale. `row` is an output, `col` an input. A layout tag says where a weight's nibble,
// scale and zero lie in one packed blob.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/common/math.h"

namespace incipit::kernels {

struct Int4Shape {
  int32_t rows = 0;
  int32_t cols = 0;
  int32_t group =
      128;  // inputs that share a scale: 32, 64 or 128 (a whole-column source repeats its scale)
  bool has_zeros = false;  // false: every zero is kSymmetricZero

  int32_t n_groups() const { return static_cast<int32_t>(ceil_div(cols, group)); }
};

inline constexpr uint8_t kSymmetricZero = 8;

// Plain logical order: what every importer produces, one matrix at a time, before it is packed.
struct Int4Matrix {
  Int4Shape shape;
  std::vector<uint8_t> q;        // [rows, cols], 0..15
  std::vector<uint16_t> scales;  // [rows, n_groups], fp16 bits
  std::vector<uint8_t> zeros;    // [rows, n_groups], 0..16; empty when !shape.has_zeros
};

// Layout tag of the CPU kernels. (kernels/README.md draws it.)
struct CpuTile {};

// A packed matrix: borrowed bytes plus its logical shape. `data` is 64-byte aligned.
template <class Layout>
struct Int4View {
  const std::byte* data = nullptr;
  Int4Shape shape;
};

}  // namespace incipit::kernels
