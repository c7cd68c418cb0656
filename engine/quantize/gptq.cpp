#include "engine/quantize/gptq.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/quantize/cholesky.h"
#include "engine/weights/round_to_nearest.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/cpu/gemm.h"

namespace incipit::engine {
namespace {

using kernels::Int4Shape;

constexpr int32_t kBlock = 128;  // columns between two products with everything behind them

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

// The factor of the hessian, its columns in the order of `order`.
struct Factor {
  std::vector<float> l;  // [cols, cols], lower
  Damping damping;
};

void permute_lower(std::span<const float> hessian, std::span<const int32_t> order, float added,
                   std::vector<float>& l, kernels::ThreadPool& pool) {
  const auto n = static_cast<int64_t>(order.size());
  pool.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t row = order[at(p)];
      for (int64_t q = 0; q <= p; ++q) {
        const int64_t col = order[at(q)];
        l[at(p * n + q)] = hessian[at(std::max(row, col) * n + std::min(row, col))];
      }
      l[at(p * n + p)] += added;
    }
  });
}

Result<Factor> factorise(std::span<const float> hessian, std::span<const int32_t> order,
                         std::span<const float> diagonal, kernels::ThreadPool& pool) {
  const auto n = static_cast<int64_t>(order.size());
  Factor factor;
  factor.l.resize(at(n * n));
  ASSIGN_OR_RETURN(factor.damping, damp_until(diagonal, [&](const Damping& damping) {
                     permute_lower(hessian, order, static_cast<float>(damping.added), factor.l,
                                   pool);
                     return cholesky(factor.l.data(), n, pool);
                   }));
  return factor;
}

// Rounds the columns of one block, from its last to its first, for some rows.
class BlockRounder {
 public:
  BlockRounder(const Int4Shape& shape, const Factor& factor, std::span<const int32_t> order,
               kernels::Int4Matrix& matrix)
      : shape_(shape), factor_(factor), order_(order), matrix_(matrix) {
    scales_.resize(matrix.scales.size());
    std::transform(matrix.scales.begin(), matrix.scales.end(), scales_.begin(),
                   kernels::half_to_float);
  }

  // `moved` [rows, cols], by position: the weights up to `end`, what rounding changed from there.
  // `owed` [rows, width]: sums over the positions from `end`; begin .. end-1 become what rounding
  // changes. Returns the squared error that these columns leave.
  double round(int64_t row, int64_t begin, int64_t end, float* moved, float* owed) const {
    double square_error = 0;
    for (int64_t p = end - 1; p >= begin; --p) {
      const float* const l = factor_.l.data() + p * shape_.cols;
      const int32_t column = order_[at(p)];
      const float scale = scales_[at(row * shape_.n_groups() + column / shape_.group)];
      const float weight = moved[p];
      const float target = weight + owed[p - begin] / l[p];
      const float nearest =
          scale == 0 ? 0 : std::clamp(std::nearbyint(target / scale), -8.0F, 7.0F);
      matrix_.q[at(row * shape_.cols + column)] =
          static_cast<uint8_t>(static_cast<int32_t>(nearest) + kernels::kSymmetricZero);
      const float change = weight - nearest * scale;
      moved[p] = change;
      for (int64_t i = begin; i < p; ++i) owed[i - begin] += change * l[i];
      const double left = double{l[p]} * (double{target} - double{nearest} * scale);
      square_error += left * left - factor_.damping.added * change * change;
    }
    return square_error;
  }

 private:
  const Int4Shape& shape_;
  const Factor& factor_;
  std::span<const int32_t> order_;
  kernels::Int4Matrix& matrix_;
  std::vector<float> scales_;
};

// All blocks, from the last. `moved` as above.
Result<double> round_all(const Int4Shape& shape, const Factor& factor,
                         std::span<const int32_t> order, kernels::Int4Matrix& matrix,
                         std::vector<float>& moved, kernels::ThreadPool& pool,
                         const GptqStep& step) {
  const BlockRounder rounder(shape, factor, order, matrix);
  std::vector<float> owed(at(int64_t{shape.rows} * kBlock));
  std::vector<double> errors(at(shape.rows), 0.0);
  const int64_t cols = shape.cols;
  for (int64_t end = cols; end > 0;) {
    if (step) TRY(step());
    const int64_t width = (end - 1) % kBlock + 1;
    const int64_t begin = end - width;
    kernels::gemm({.m = shape.rows,
                   .n = width,
                   .k = cols - end,
                   .a = kernels::row_major(moved.data() + end, cols),
                   .b = kernels::row_major(factor.l.data() + end * cols + begin, cols),
                   .c = owed.data(),
                   .c_stride = kBlock},
                  pool);
    pool.parallel_for(shape.rows, 8, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        errors[at(row)] +=
            rounder.round(row, begin, end, moved.data() + row * cols, owed.data() + row * kBlock);
      }
    });
    end = begin;
  }
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

}  // namespace

std::vector<int32_t> ascending_order(std::span<const float> diagonal) {
  std::vector<int32_t> order(diagonal.size());
  std::iota(order.rbegin(), order.rend(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return diagonal[at(a)] < diagonal[at(b)]; });
  return order;
}

Result<Damping> damp_until(std::span<const float> diagonal,
                           const std::function<bool(const Damping&)>& factorise) {
  const double sum = std::accumulate(diagonal.begin(), diagonal.end(), 0.0);
  const double mean = sum > 0 ? sum / static_cast<double>(diagonal.size()) : 1;
  for (double part = kDamping; part <= kLargestDamping * 1.001; part *= 10) {
    const Damping damping{part, part * mean};
    if (factorise(damping)) return damping;
  }
  return Error{ErrorCode::kCorrupt,
               fmt::format("GPTQ: want inputs of calibration whose products can be factorised, "
                           "found that damping by {:.0f} % of their mean does not do",
                           100 * kLargestDamping)};
}

std::vector<uint16_t> static_scales(std::span<const float> weights, const Int4Shape& shape,
                                    std::span<const int32_t> order,
                                    std::span<const float> factor_diagonal,
                                    kernels::ThreadPool& pool) {
  std::vector<float> importance(at(shape.cols));
  for (size_t p = 0; p < order.size(); ++p) {
    importance[at(order[p])] = factor_diagonal[p] * factor_diagonal[p];
  }
  const int64_t n_groups = shape.n_groups();
  std::vector<uint16_t> scales(at(shape.rows * n_groups));
  pool.parallel_for(shape.rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto all = weights.subspan(at(row * shape.cols), at(shape.cols));
      for (int64_t g = 0; g < n_groups; ++g) {
        const int64_t first = g * shape.group;
        const auto n = at(std::min<int64_t>(shape.group, shape.cols - first));
        scales[at(row * n_groups + g)] = kernels::float_to_half(
            int4_scale(all.subspan(at(first), n), std::span(importance).subspan(at(first), n)));
      }
    }
  });
  return scales;
}

Result<GptqOutcome> gptq(std::span<const float> weights, std::span<const float> hessian,
                         const Int4Shape& shape, kernels::ThreadPool& pool, const GptqStep& step) {
  const int64_t rows = shape.rows, cols = shape.cols;
  CHECK_EQ(weights.size(), at(rows * cols));
  CHECK_EQ(hessian.size(), at(cols * cols));
  CHECK(!shape.has_zeros);
  std::vector<float> diagonal(at(cols));
  for (int64_t i = 0; i < cols; ++i) diagonal[at(i)] = hessian[at(i * cols + i)];
  const std::vector<int32_t> order = ascending_order(diagonal);
  ASSIGN_OR_RETURN(const Factor factor, factorise(hessian, order, diagonal, pool));
  for (int64_t p = 0; p < cols; ++p) diagonal[at(p)] = factor.l[at(p * cols + p)];

  GptqOutcome outcome;
  outcome.damping = factor.damping.part;
  outcome.matrix.shape = shape;
  outcome.matrix.q.resize(at(rows * cols));
  outcome.matrix.scales = static_scales(weights, shape, order, diagonal, pool);
  std::vector<float> moved(at(rows * cols));
  pool.parallel_for(rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t p = 0; p < cols; ++p) {
        moved[at(row * cols + p)] = weights[at(row * cols + order[at(p)])];
      }
    }
  });
  ASSIGN_OR_RETURN(outcome.square_error,
                   round_all(shape, factor, order, outcome.matrix, moved, pool, step));
  return outcome;
}

}  // namespace incipit::engine
