// What a CUDA solver takes of the device, known to builds without CUDA too.
#include <algorithm>

#include "engine/quantize/section_solver.h"

namespace incipit::engine {

int64_t cuda_solver_bytes(std::span<const kernels::Int4Shape> shapes, bool calibrates) {
  // The context's kernels, handles and workspaces of cuBLAS and cuSOLVER.
  constexpr int64_t kLibraryBytes = int64_t{512} << 20;
  constexpr int64_t kFloat = sizeof(float);
  // Each buffer grows to its largest section.
  int64_t matrix = 0, square = 0, groups = 0, rows = 0;
  for (const kernels::Int4Shape& shape : shapes) {
    matrix = std::max(matrix, int64_t{shape.rows} * shape.cols);
    square = std::max(square, int64_t{shape.cols} * shape.cols);
    groups = std::max(groups, int64_t{shape.rows} * shape.n_groups());
    rows = std::max<int64_t>(rows, shape.rows);
  }
  const int64_t held = matrix * (kFloat + 1) + groups * 3;  // weights, integers, scales, zeros
  if (!calibrates) return held + 2 * kCudaSliceBytes + kLibraryBytes;
  constexpr int64_t kOwed = 128;
  return held + matrix * kFloat + 2 * square * kFloat + rows * (kOwed * kFloat + 8) +
         2 * kCudaSliceBytes + kLibraryBytes;
}

}  // namespace incipit::engine
