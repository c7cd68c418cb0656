// GPTQ on the CPU: rounds the weights of one section to INT4 so that its outputs on the calibration
// inputs change least, not its weights. Source of the algorithm: Frantar, Ashkboos, Hoefler and
// Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
// arXiv 2210.17323.
//
// With H = sum of x x^T over the inputs x, the error of one output is d H d^T, d what rounding
// changes in its weights. Columns are taken one by one, those with the largest diagonal of H first,
// and each column's weight moves to make up for what the ones before it lost. The paper does so
// with the Cholesky factor of the inverse of H. This program has H (columns in ascending order of
// their diagonals) = L L^T instead, where the same columns come from the end: d H d^T = |d L|^2,
// whose element p is d_p L_pp + sum over i > p of d_i L_ip; all i > p being rounded, the best w'_p
// to round is w_p + (that sum) / L_pp. The integers are the same, the inverse is not needed, and
// one factorisation does instead of three.
//
// Scales are "static groups": found before, from the weights as they were, for runs of inputs, so
// that the order leaves no trace in the file.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "kernels/common/thread_pool.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::engine {

struct GptqOutcome {
  kernels::Int4Matrix matrix;  // symmetric
  double damping = 0;          // that the factorisation took, of the mean of the diagonal
  double square_error = 0;     // of the outputs over all inputs; damping counted out, so about
};

// What is added to the diagonal of H, as a part of its mean: so much at first (the paper's), ten
// times more after each factorisation that fails, at most kLargestDamping.
inline constexpr double kDamping = 0.01;
inline constexpr double kLargestDamping = 1;

// Asked between two blocks of columns; an error ends the work.
using GptqStep = std::function<Result<void>()>;

// weights [rows, cols], row-major. hessian [cols, cols]: its lower triangle is read. kCorrupt when
// no damping makes the hessian positive definite (it has elements that are no numbers).
Result<GptqOutcome> gptq(std::span<const float> weights, std::span<const float> hessian,
                         const kernels::Int4Shape& shape, kernels::ThreadPool& pool,
                         const GptqStep& step = {});

// Parts of it that another device's solver shares. An input that never was anything but zero has a
// zero diagonal; damping keeps the factor positive there, and its weights are just rounded.

// Columns in ascending order of the diagonal of `hessian`, equal ones with the later first: the
// order of L.
std::vector<int32_t> ascending_order(std::span<const float> diagonal);

// How much is added to the diagonal, attempt by attempt; `factorise` gets it and says whether the
// factor exists. kCorrupt when the last attempt failed.
struct Damping {
  double part = 0;   // of the mean of the diagonal
  double added = 0;  // to each element
};
Result<Damping> damp_until(std::span<const float> diagonal,
                           const std::function<bool(const Damping&)>& factorise);

// Scales [rows, n_groups] as fp16 bits. An error of column k costs factor_diagonal[position of
// k]^2, whatever the columns after it make up for.
std::vector<uint16_t> static_scales(std::span<const float> weights, const kernels::Int4Shape& shape,
                                    std::span<const int32_t> order,
                                    std::span<const float> factor_diagonal,
                                    kernels::ThreadPool& pool);

}  // namespace incipit::engine
