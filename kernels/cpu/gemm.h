// Products of float matrices in plain order, for work outside a step (the quantiser): blocks of the
// operands are packed so that a tile of the result stays in registers (Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication", 2008). May allocate. The result depends
// neither on the number of threads nor on the instruction set.
#pragma once

#include <cstdint>

#include "kernels/common/thread_pool.h"

namespace incipit::kernels {

// Element (i, j) is data[i * row_stride + j * col_stride]: a transposed matrix has them swapped.
struct MatrixRef {
  const float* data = nullptr;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
};

inline MatrixRef row_major(const float* data, int64_t row_stride) {
  return {data, row_stride, 1};
}
inline MatrixRef transposed(const float* data, int64_t row_stride) {
  return {data, 1, row_stride};
}

enum class GemmPart {
  kAll,
  kLower,  // of a square C, at least the elements with j <= i; others may or may not be written
};

// C [m, n] = A [m, k] B [k, n], or that added to (kAdd) or taken from (kSubtract) C. C has c_stride
// floats between rows and overlaps neither operand.
enum class GemmResult { kStore, kAdd, kSubtract };
struct GemmParams {
  int64_t m = 0, n = 0, k = 0;
  MatrixRef a{}, b{};
  float* c = nullptr;
  int64_t c_stride = 0;
  GemmResult result = GemmResult::kStore;
  GemmPart part = GemmPart::kAll;
};
void gemm(const GemmParams& params, ThreadPool& pool);

}  // namespace incipit::kernels
