#include "engine/quantize/gptq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "engine/quantize/cholesky.h"
#include "engine/quantize/section_solver.h"
#include "engine/weights/round_to_nearest.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"

namespace incipit::engine {
namespace {

using kernels::Int4Matrix;
using kernels::Int4Shape;
using Doubles = std::vector<double>;

size_t idx(int64_t i) {
  return static_cast<size_t>(i);
}

// A layer whose inputs depend on each other and differ in size, as those of a real one do.
struct RandomLayer {
  Int4Shape shape;
  int64_t n_inputs = 0;
  std::vector<float> weights;  // [rows, cols]
  std::vector<float> inputs;   // [n_inputs, cols]
  std::vector<float> hessian;  // [cols, cols], both triangles

  RandomLayer(Int4Shape wanted, int64_t n, uint32_t seed) : shape(wanted), n_inputs(n) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const int64_t rows = shape.rows, cols = shape.cols, hidden = cols / 3 + 1;
    weights.resize(idx(rows * cols));
    for (float& w : weights) w = 0.05F * normal(random);
    std::vector<float> mix(idx(hidden * cols)), sizes(idx(cols));
    for (float& m : mix) m = normal(random);
    for (float& s : sizes) s = std::exp(normal(random));
    for (int64_t i = 0; i < n; ++i) {
      std::vector<float> source(idx(hidden));
      for (float& s : source) s = normal(random);
      for (int64_t c = 0; c < cols; ++c) {
        float x = 0.5F * normal(random);
        for (int64_t h = 0; h < hidden; ++h) x += source[idx(h)] * mix[idx(h * cols + c)];
        inputs.push_back(x * sizes[idx(c)]);
      }
    }
    hessian.assign(idx(cols * cols), 0);
    for (int64_t a = 0; a < cols; ++a) {
      for (int64_t b = 0; b < cols; ++b) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          sum += double{inputs[idx(i * cols + a)]} * inputs[idx(i * cols + b)];
        }
        hessian[idx(a * cols + b)] = static_cast<float>(sum);
      }
    }
  }

  // Of the outputs on the inputs.
  double square_error(const Int4Matrix& matrix) const {
    double error = 0;
    for (int64_t i = 0; i < n_inputs; ++i) {
      for (int32_t r = 0; r < shape.rows; ++r) {
        double sum = 0;
        for (int32_t c = 0; c < shape.cols; ++c) {
          sum += (double{weights[idx(int64_t{r} * shape.cols + c)]} - weight_at(matrix, r, c)) *
                 inputs[idx(i * shape.cols + c)];
        }
        error += sum * sum;
      }
    }
    return error;
  }

  Int4Matrix rounded() const {
    Int4Matrix matrix{shape, std::vector<uint8_t>(weights.size()), {}, {}};
    matrix.scales.resize(idx(int64_t{shape.rows} * shape.n_groups()));
    for (int32_t r = 0; r < shape.rows; ++r) {
      round_row_to_int4(std::span(weights).subspan(idx(int64_t{r} * shape.cols), idx(shape.cols)),
                        shape.group, matrix.q.data() + int64_t{r} * shape.cols,
                        matrix.scales.data() + int64_t{r} * shape.n_groups());
    }
    return matrix;
  }
};

// Gauss and Jordan, for small positive definite matrices.
Doubles inverse_of(Doubles a, int64_t n) {
  Doubles inverse(idx(n * n), 0);
  for (int64_t i = 0; i < n; ++i) inverse[idx(i * n + i)] = 1;
  for (int64_t k = 0; k < n; ++k) {
    const double pivot = a[idx(k * n + k)];
    for (int64_t j = 0; j < n; ++j) {
      a[idx(k * n + j)] /= pivot;
      inverse[idx(k * n + j)] /= pivot;
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = a[idx(i * n + k)];
      for (int64_t j = 0; j < n; ++j) {
        a[idx(i * n + j)] -= factor * a[idx(k * n + j)];
        inverse[idx(i * n + j)] -= factor * inverse[idx(k * n + j)];
      }
    }
  }
  return inverse;
}

// U with U^T U = a, as the paper's algorithm wants it of the inverse.
Doubles upper_cholesky(const Doubles& a, int64_t n) {
  Doubles u(idx(n * n), 0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i; j < n; ++j) {
      double sum = a[idx(i * n + j)];
      for (int64_t k = 0; k < i; ++k) sum -= u[idx(k * n + i)] * u[idx(k * n + j)];
      u[idx(i * n + j)] = i == j ? std::sqrt(sum) : sum / u[idx(i * n + i)];
    }
  }
  return u;
}

struct PaperResult {
  std::vector<uint8_t> q;
  std::vector<double> margin;  // how far the rounded value was from the border between two integers
};

// The paper's algorithm as it is printed, in double: the inverse, its upper factor, columns in
// descending order of the diagonal, every error passed on at once. Scales are given.
PaperResult paper_gptq(const RandomLayer& layer, const std::vector<uint16_t>& scales) {
  const int64_t rows = layer.shape.rows, cols = layer.shape.cols;
  std::vector<int32_t> order(idx(cols));
  std::iota(order.begin(), order.end(), 0);
  const auto diagonal = [&](int64_t c) { return layer.hessian[idx(c * cols + c)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return diagonal(a) > diagonal(b); });
  double mean = 0;
  for (int64_t c = 0; c < cols; ++c) mean += diagonal(c) / static_cast<double>(cols);
  Doubles h(idx(cols * cols));
  for (int64_t a = 0; a < cols; ++a) {
    for (int64_t b = 0; b < cols; ++b) {
      h[idx(a * cols + b)] = layer.hessian[idx(int64_t{order[idx(a)]} * cols + order[idx(b)])];
    }
    h[idx(a * cols + a)] += kDamping * mean;
  }
  const Doubles u = upper_cholesky(inverse_of(h, cols), cols);
  PaperResult result{std::vector<uint8_t>(idx(rows * cols)), Doubles(idx(rows * cols))};
  for (int64_t r = 0; r < rows; ++r) {
    Doubles w(idx(cols));
    for (int64_t p = 0; p < cols; ++p) {
      w[idx(p)] = layer.weights[idx(r * cols + order[idx(p)])];
    }
    for (int64_t p = 0; p < cols; ++p) {
      const int32_t column = order[idx(p)];
      const double scale = kernels::half_to_float(
          scales[idx(r * layer.shape.n_groups() + column / layer.shape.group)]);
      const double exact = w[idx(p)] / scale;
      const double q = std::clamp(std::nearbyint(exact), -8.0, 7.0);
      result.q[idx(r * cols + column)] = static_cast<uint8_t>(q + 8);
      result.margin[idx(r * cols + column)] = std::fabs(exact - std::floor(exact) - 0.5);
      const double error = (w[idx(p)] - q * scale) / u[idx(p * cols + p)];
      for (int64_t i = p; i < cols; ++i) w[idx(i)] -= error * u[idx(p * cols + i)];
    }
  }
  return result;
}

TEST(Gptq, BeatsRoundingToNearestInWhatComesOut) {
  kernels::ThreadPool pool(2);
  const RandomLayer layer({24, 200, 64, false}, 500, 1);
  const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  const double own = layer.square_error(outcome->matrix);
  EXPECT_LT(own, 0.5 * layer.square_error(layer.rounded()));
  EXPECT_NEAR(outcome->square_error, own, 0.02 * own);
}

// A row's integers are the paper's up to the first that lies on a border, where float and double
// may differ; hardly any row has one.
TEST(Gptq, GivesTheIntegersOfThePapersAlgorithmInDouble) {
  kernels::ThreadPool pool(2);
  for (const uint32_t seed : {2U, 3U}) {
    const RandomLayer layer({40, 300, 128, false}, 600, seed);
    const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool);
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    const PaperResult paper = paper_gptq(layer, outcome->matrix.scales);
    int n_rows = 0;
    for (int64_t r = 0; r < layer.shape.rows; ++r) {
      const auto own = outcome->matrix.q.begin() + r * layer.shape.cols;
      const auto theirs = paper.q.begin() + r * layer.shape.cols;
      const auto margins = paper.margin.begin() + r * layer.shape.cols;
      if (std::equal(own, own + layer.shape.cols, theirs)) {
        ++n_rows;
      } else {  // something was nearly a tie
        EXPECT_LT(*std::min_element(margins, margins + layer.shape.cols), 2e-4) << "row " << r;
      }
    }
    EXPECT_GE(n_rows, 30) << "of 40 rows, seed " << seed;
  }
}

// Runs of 32 inputs that differ in size by four have scales that do: no group was made of columns
// in another order.
TEST(Gptq, LeavesNoTraceOfItsOrderInGroups) {
  kernels::ThreadPool pool(1);
  RandomLayer layer({8, 256, 32, false}, 300, 4);
  for (int64_t i = 0; i < 8 * 256; ++i) {
    if (i / 32 % 2 == 1) layer.weights[idx(i)] *= 4;
  }
  const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  ASSERT_EQ(outcome->matrix.scales.size(), size_t{8 * 8});
  for (int64_t i = 0; i < 8 * 8; i += 2) {
    const auto size = [&](int64_t group) {
      return std::fabs(kernels::half_to_float(outcome->matrix.scales[idx(group)]));
    };
    EXPECT_GT(size(i + 1), 2 * size(i));
    EXPECT_LT(size(i + 1), 8 * size(i));
  }
}

TEST(Gptq, TakesTheSameIntegersWithAnyNumberOfThreads) {
  const RandomLayer layer({50, 160, 128, false}, 200, 5);
  kernels::ThreadPool one(1), three(3);
  const auto first = gptq(layer.weights, layer.hessian, layer.shape, one);
  const auto second = gptq(layer.weights, layer.hessian, layer.shape, three);
  EXPECT_EQ(first.value().matrix.q, second.value().matrix.q);
  EXPECT_EQ(first.value().square_error, second.value().square_error);
}

TEST(Gptq, RoundsPlainlyWhatNoInputReaches) {
  kernels::ThreadPool pool(1);
  RandomLayer layer({4, 64, 64, false}, 100, 6);
  for (int64_t other = 0; other < 64; ++other) {
    layer.hessian[idx(7 * 64 + other)] = 0;
    layer.hessian[idx(other * 64 + 7)] = 0;
  }
  const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  for (int32_t r = 0; r < 4; ++r) {
    const float scale = kernels::half_to_float(outcome->matrix.scales[idx(r)]);
    const float nearest =
        std::clamp(std::nearbyint(layer.weights[idx(r * 64 + 7)] / scale), -8.0F, 7.0F);
    EXPECT_EQ(outcome->matrix.q[idx(r * 64 + 7)], static_cast<uint8_t>(nearest + 8));
  }
}

// A hessian that is not quite positive, as rounding in float can leave it.
TEST(Gptq, DampsMoreWhereTheFactorisationFails) {
  kernels::ThreadPool pool(1);
  RandomLayer layer({4, 64, 64, false}, 100, 7);
  double mean = 0;
  for (int64_t c = 0; c < 64; ++c) mean += layer.hessian[idx(c * 64 + c)] / 64;
  for (int64_t other = 0; other < 64; ++other) {
    layer.hessian[idx(9 * 64 + other)] = 0;
    layer.hessian[idx(other * 64 + 9)] = 0;
  }
  layer.hessian[9 * 64 + 9] = static_cast<float>(-0.05 * mean);
  const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_NEAR(outcome->damping, 0.1, 1e-9);

  layer.hessian[9 * 64 + 9] = std::numeric_limits<float>::quiet_NaN();
  const auto hopeless = gptq(layer.weights, layer.hessian, layer.shape, pool);
  ASSERT_FALSE(hopeless.ok());
  EXPECT_EQ(hopeless.error().code, ErrorCode::kCorrupt);
}

TEST(Gptq, StopsBetweenBlocksWhenTold) {
  kernels::ThreadPool pool(1);
  const RandomLayer layer({4, 300, 128, false}, 50, 8);
  int n_blocks = 0;
  const auto outcome = gptq(layer.weights, layer.hessian, layer.shape, pool, [&]() -> Result<void> {
    if (++n_blocks < 3) return {};
    return Error{ErrorCode::kCancelled, "enough"};
  });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
}

TEST(Cholesky, FactorsWhatIsLargerThanABlock) {
  kernels::ThreadPool pool(2);
  const int64_t n = 600;
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> x(idx(n * n)), a(idx(n * n));
  for (float& v : x) v = normal(random);
  Doubles wanted(idx(n * n));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = i == j ? 30 : 0;
      for (int64_t k = 0; k < n; ++k) sum += double{x[idx(i * n + k)]} * x[idx(j * n + k)];
      wanted[idx(i * n + j)] = sum;
      a[idx(i * n + j)] = static_cast<float>(sum);
    }
  }
  ASSERT_TRUE(cholesky(a.data(), n, pool));
  for (int64_t i = 0; i < n; i += 7) {
    for (int64_t j = 0; j <= i; j += 5) {
      double sum = 0;
      for (int64_t k = 0; k <= j; ++k) sum += double{a[idx(i * n + k)]} * a[idx(j * n + k)];
      EXPECT_NEAR(sum, wanted[idx(i * n + j)], 2e-3);
    }
  }
  a.assign(idx(n * n), 0);
  for (int64_t i = 0; i < n; ++i) a[idx(i * n + i)] = i == 400 ? -1.0F : 1.0F;
  EXPECT_FALSE(cholesky(a.data(), n, pool));
}

TEST(CpuSolver, RoundsWhatItsInputsSayAndMultipliesWithTheResult) {
  kernels::ThreadPool pool(2);
  const RandomLayer layer({24, 128, 128, false}, 300, 10);
  const auto solver = make_cpu_solver(pool);
  ASSERT_TRUE(solver->begin(layer.shape, layer.weights).ok());
  ASSERT_TRUE(solver->add_inputs(layer.inputs.data(), 100).ok());
  ASSERT_TRUE(solver->add_inputs(layer.inputs.data() + 100 * 128, 200).ok());
  const auto outcome = solver->quantise({});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_LT(layer.square_error(outcome->matrix), 0.6 * layer.square_error(layer.rounded()));
  std::vector<float> y(24);
  ASSERT_TRUE(solver->multiply(layer.inputs.data(), 1, y.data()).ok());
  for (int32_t r = 0; r < 24; ++r) {
    double sum = 0;
    for (int32_t c = 0; c < 128; ++c) {
      sum += double{weight_at(outcome->matrix, r, c)} * layer.inputs[idx(c)];
    }
    EXPECT_NEAR(y[idx(r)], sum, 1e-3 * (1 + std::fabs(sum)));
  }
}

}  // namespace
}  // namespace incipit::engine
