// INT8 weights with one float scale a row (output): w[row][col] = q * scale[row], q in -127..127.
// Used for lm_head.
#pragma once

#include <cstddef>
#include <cstdint>

namespace incipit::kernels {

struct Int8Shape {
  int32_t rows = 0;
  int32_t cols = 0;
};

template <class Layout>
struct Int8View {
  const std::byte* data = nullptr;  // 64-byte aligned
  Int8Shape shape;
};

}  // namespace incipit::kernels
