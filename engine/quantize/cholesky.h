// The Cholesky factor of a large symmetric matrix, in blocks whose products are kernels/cpu/gemm.h.
// Quantising thread.
#pragma once

#include <cstdint>

#include "kernels/common/thread_pool.h"

namespace incipit::engine {

// a [n, n], of which the lower triangle is read, becomes L with L L^T = a in its lower triangle;
// what is above the diagonal is left undefined. False when the matrix is not positive definite to
// float's accuracy (a pivot that is not positive, or no number): then `a` is of no use any more.
[[nodiscard]] bool cholesky(float* a, int64_t n, kernels::ThreadPool& pool);

}  // namespace incipit::engine
