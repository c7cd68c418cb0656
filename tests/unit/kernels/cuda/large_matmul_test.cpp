// Expansion of weights on the device against the codec, to the bit, and the products of large steps
// against double precision within bounds derived from the arithmetic.
#include "kernels/cuda/large_matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/large_mixed.h"
#include "kernels/cuda/stream.h"
#include "tests/support/cuda_device.h"

namespace incipit::kernels::cuda {
namespace {

struct Case {
  Int4Shape shape;
  RowOrder order;
  HeadOrder heads;
};
const Case kCases[] = {
    {{64, 64, 128, false}, RowOrder::kPlain, {}},
    {{200, 1096, 32, true}, RowOrder::kPlain, {}},
    {{192, 352, 64, true}, RowOrder::kPlain, {}},
    {{5 * 64, 576, 128, false}, RowOrder::kRopePairs, {4 * 64, 64}},
    {{4 * 128, 128, 32, true}, RowOrder::kRopePairs, {3 * 128, 128}},
    {{2 * 104, 320, 64, false}, RowOrder::kGateUp, {}},
    {{360, 1352, 128, false}, RowOrder::kPlain, {}},
};

struct Matrix {
  Int4Matrix plain;
  DeviceArray<std::byte> bytes;
  Int4View<CudaTile> view() const { return {bytes.data(), plain.shape}; }

  Matrix(const Case& c, std::mt19937& random)
      : plain(random_int4(c.shape, random)), bytes(tiled(plain, c.order, c.heads)) {}
};

TEST(Dequantize, GivesTheWeightsRoundedOnce) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.shape.cols);
    const Matrix m(c, random);
    const DeviceArray<uint16_t> out(int64_t{c.shape.rows} * c.shape.cols);
    dequantize(m.view(), c.order, c.heads, {0, c.shape.rows, 0, c.shape.cols}, out.data(), {});
    const std::vector<uint16_t> got = out.read();
    for (int32_t row = 0; row < c.shape.rows; ++row) {
      for (int32_t col = 0; col < c.shape.cols; ++col) {
        ASSERT_EQ(got[static_cast<size_t>(row * c.shape.cols + col)],
                  float_to_half(weight_at(m.plain, row, col)))
            << "row " << row << ", col " << col;
      }
    }
  }
}

TEST(Dequantize, TakesASliceOfGatesAndUps) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const Case c = {{2 * 104, 320, 32, true}, RowOrder::kGateUp, {}};
  const Matrix m(c, random);
  const WeightSlice slice = {32, 48, 128, 192};
  const DeviceArray<uint16_t> out(48 * 192);
  dequantize(m.view(), c.order, c.heads, slice, out.data(), {});
  const std::vector<uint16_t> got = out.read();
  for (int32_t row = 0; row < 48; ++row) {
    const int32_t logical = row < 24 ? 16 + row : 104 + 16 + row - 24;
    for (int32_t col = 0; col < 192; ++col) {
      ASSERT_EQ(got[static_cast<size_t>(row * 192 + col)],
                float_to_half(weight_at(m.plain, logical, 128 + col)))
          << "row " << row << ", col " << col;
    }
  }
}

// y and what y may be off by: weights rounded to fp16, `cols` additions in float that may truncate.
struct Exact {
  double y = 0;
  double error = 0;
};
Exact exact_product(const Int4Matrix& w, int32_t row, const float* x) {
  double magnitude = 0;
  Exact exact;
  for (int32_t col = 0; col < w.shape.cols; ++col) {
    const double term = double{weight_at(w, row, col)} * x[col];
    exact.y += term;
    magnitude += std::fabs(term);
  }
  exact.error = magnitude * (0x1p-11 + w.shape.cols * 0x1p-23);
  return exact;
}
double half_rounding(double value) {
  return 0x1p-11 * value + 0x1p-25;
}

// Slices so small that every product is cut.
LargeTuning small_slices() {
  LargeTuning tuning;
  tuning.slice_bytes = 40000;
  return tuning;
}

struct Inputs {
  std::vector<uint16_t> halves;
  std::vector<float> floats;
  DeviceArray<uint16_t> on_device;
  Inputs(int32_t n_rows, int32_t cols, std::mt19937& random)
      : halves(to_halves(random_rows(n_rows, cols, random))),
        floats(to_floats(halves)),
        on_device(halves) {}
};

// How a product is made: expanded, or mixed and cut in one of the ways.
struct Way {
  bool is_mixed;
  MixedCut cut;
};
std::vector<Way> ways_of(const Int4Shape& shape) {
  std::vector<Way> ways = {{false, MixedCut::kBest}};
  if (!is_mixed_shape(shape) || !has_mixed_products()) return ways;
  for (const MixedCut cut :
       {MixedCut::kBest, MixedCut::kTokens128, MixedCut::kTokens256, MixedCut::kInputHalves}) {
    ways.push_back({true, cut});
  }
  return ways;
}

DeviceArray<std::byte> image_of(const Inputs& in, int32_t n_rows, int32_t cols) {
  DeviceArray<std::byte> image(TokenImage::bytes(n_rows, cols));
  arrange_rows(in.on_device.data(), n_rows, cols, image.data(), {});
  CUDA_CHECK(cudaDeviceSynchronize());
  return image;
}

TEST(LargeMatmul, ProductMatchesDoublePrecision) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const Stream stream = make_stream();
  const LaunchContext context = {stream.get(), false};
  for (const Case& c : kCases) {
    if (c.order == RowOrder::kGateUp) continue;
    LargeMatmul matmul({257, c.shape.cols, 8, c.shape.rows, 64}, small_slices());
    const Matrix m(c, random);
    for (const int32_t n_rows : {65, 257}) {
      const Inputs in(n_rows, c.shape.cols, random);
      const DeviceArray<std::byte> image = image_of(in, n_rows, c.shape.cols);
      for (const Way& way : ways_of(c.shape)) {
        SCOPED_TRACE(way.is_mixed ? static_cast<int>(way.cut) : -1);
        const DeviceArray<uint16_t> out(int64_t{n_rows} * c.shape.rows);
        if (way.is_mixed) {
          mixed_product({m.view(), image.data(), n_rows, way.cut}, c.order, c.heads, out.data(),
                        context);
        } else {
          matmul.product(m.view(), c.order, c.heads, in.on_device.data(), n_rows, out.data(),
                         context);
        }
        const std::vector<float> got = to_floats(out.read());
        for (int32_t row = 0; row < n_rows; ++row) {
          for (int32_t i = 0; i < c.shape.rows; ++i) {
            const Exact want = exact_product(m.plain, i, in.floats.data() + row * c.shape.cols);
            ASSERT_LE(std::fabs(got[static_cast<size_t>(row * c.shape.rows + i)] - want.y),
                      want.error + half_rounding(std::fabs(want.y) + want.error))
                << "row " << row << ", output " << i << " of " << c.shape.rows;
          }
        }
      }
    }
  }
}

TEST(LargeMatmul, AddProductMatchesDoublePrecision) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  const Stream stream = make_stream();
  const LaunchContext context = {stream.get(), false};
  const int32_t n_rows = 133;
  for (const Case& c : kCases) {
    if (c.order != RowOrder::kPlain) continue;
    LargeMatmul matmul({n_rows, c.shape.rows, c.shape.cols, 64, 64}, small_slices());
    const Matrix m(c, random);
    const Inputs in(n_rows, c.shape.cols, random);
    const DeviceArray<std::byte> image = image_of(in, n_rows, c.shape.cols);
    const std::vector<float> x = random_rows(n_rows, c.shape.rows, random);
    for (const Way& way : ways_of(c.shape)) {
      SCOPED_TRACE(way.is_mixed ? static_cast<int>(way.cut) : -1);
      const DeviceArray<float> sum(x);
      if (way.is_mixed) {
        mixed_add({m.view(), image.data(), n_rows, way.cut}, sum.data(), context);
      } else {
        matmul.add_product(m.view(), in.on_device.data(), n_rows, sum.data(), context);
      }
      const std::vector<float> got = sum.read();
      for (int32_t row = 0; row < n_rows; ++row) {
        for (int32_t i = 0; i < c.shape.rows; ++i) {
          const Exact product = exact_product(m.plain, i, in.floats.data() + row * c.shape.cols);
          const auto at = static_cast<size_t>(row * c.shape.rows + i);
          // The sum so far is rounded with each of the parts.
          const double rounding =
              16 * 0x1p-24 * (std::fabs(x[at]) + std::fabs(product.y) + product.error);
          ASSERT_LE(std::fabs(got[at] - (x[at] + product.y)), 2 * product.error + rounding)
              << "row " << row << ", output " << i;
        }
      }
    }
  }
}

// The activation and what it may be off by; gate and up may be rounded to fp16 on the way.
Exact exact_act(const Int4Matrix& gate_up, int32_t i, const float* x) {
  const Exact gate = exact_product(gate_up, i, x);
  const Exact up = exact_product(gate_up, gate_up.shape.rows / 2 + i, x);
  const double gate_error = gate.error + half_rounding(std::fabs(gate.y) + gate.error);
  const double up_error = up.error + half_rounding(std::fabs(up.y) + up.error);
  const double silu = gate.y / (1 + std::exp(-gate.y));
  // silu' < 1.1; __expf is good to 2 + |1.173 x| units of the last place.
  const double own = (std::fabs(gate.y) * 1.2 + 8) * 0x1p-23 * std::fabs(silu * up.y);
  const double error =
      1.1 * gate_error * (std::fabs(up.y) + up_error) + std::fabs(silu) * up_error + own;
  return {silu * up.y, error + half_rounding(std::fabs(silu * up.y) + error)};
}

void check_mlp(const Case& gate_up_case, int32_t n_rows, bool has_mixed_shapes) {
  std::mt19937 random(test_seed());
  const Stream stream = make_stream();
  const int32_t hidden = gate_up_case.shape.cols;
  const int32_t ffn = gate_up_case.shape.rows / 2;
  LargeLimits limits = {n_rows, hidden, ffn, 64, 64};
  limits.has_mixed_shapes = has_mixed_shapes;
  LargeMatmul matmul(limits, small_slices());
  const Matrix gate_up(gate_up_case, random);
  const Matrix down(
      {{hidden, ffn, gate_up_case.shape.group, gate_up_case.shape.has_zeros}, RowOrder::kPlain, {}},
      random);
  const Inputs in(n_rows, hidden, random);
  const std::vector<float> x = random_rows(n_rows, hidden, random);
  const DeviceArray<float> sum(x);
  matmul.mlp_product(gate_up.view(), down.view(), in.on_device.data(), n_rows, sum.data(),
                     {stream.get(), false});
  const std::vector<float> got = sum.read();
  for (int32_t row = 0; row < n_rows; ++row) {
    std::vector<Exact> act;
    for (int32_t i = 0; i < ffn; ++i) {
      act.push_back(exact_act(gate_up.plain, i, in.floats.data() + row * hidden));
    }
    for (int32_t i = 0; i < hidden; ++i) {
      double y = 0, error = 0;
      for (int32_t col = 0; col < ffn; ++col) {
        const Exact& a = act[static_cast<size_t>(col)];
        const double w = weight_at(down.plain, i, col);
        y += w * a.y;
        error += std::fabs(w) * (a.error + (std::fabs(a.y) + a.error) * (0x1p-11 + ffn * 0x1p-23));
      }
      const auto at = static_cast<size_t>(row * hidden + i);
      const double rounding = 16 * 0x1p-24 * (std::fabs(x[at]) + std::fabs(y) + error);
      ASSERT_LE(std::fabs(got[at] - (x[at] + y)), 2 * error + rounding)
          << "row " << row << ", output " << i;
    }
  }
}

TEST(LargeMatmul, MlpProductMatchesDoublePrecision) {
  SKIP_WITHOUT_CUDA();
  check_mlp({{2 * 104, 320, 64, true}, RowOrder::kGateUp, {}}, 65, false);
  check_mlp({{2 * 104, 320, 128, false}, RowOrder::kGateUp, {}}, 65, true);
  check_mlp({{2 * 328, 192, 128, false}, RowOrder::kGateUp, {}}, 260, true);
}

// Every cut writes the same image: what a product of the activations needs, and zeros behind it.
TEST(LargeMatmul, GateUpImagesMatchDoublePrecision) {
  SKIP_WITHOUT_CUDA();
  if (!has_mixed_products()) GTEST_SKIP() << "no mixed products on this device";
  std::mt19937 random(test_seed());
  const Case c = {{2 * 168, 320, 128, false}, RowOrder::kGateUp, {}};
  const int32_t n_rows = 260;
  const Matrix m(c, random);
  const Inputs in(n_rows, 320, random);
  const DeviceArray<std::byte> image = image_of(in, n_rows, 320);
  for (const MixedCut cut : {MixedCut::kTokens128, MixedCut::kTokens256, MixedCut::kInputHalves}) {
    SCOPED_TRACE(static_cast<int>(cut));
    const DeviceArray<std::byte> act(TokenImage::bytes(n_rows, 168));
    mixed_gate_up({m.view(), image.data(), n_rows, cut}, act.data(), {});
    const std::vector<std::byte> bytes = act.read();
    const int32_t n_columns = TokenImage::n_columns(168);
    for (int32_t row = 0; row < n_rows; ++row) {
      for (int32_t i = 0; i < n_columns * 64; ++i) {
        const int32_t piece = (i % 64 / 32 * 4 + i % 8 / 2) ^ (row % 8);
        const int64_t at = (int64_t{row / 128} * n_columns + i / 64) * TokenImage::kBytes +
                           row % 128 * 128 + piece * 16 + i % 32 / 8 * 4 + i % 2 * 2;
        uint16_t half = 0;
        std::memcpy(&half, bytes.data() + at, 2);
        const Exact want = i < 168 ? exact_act(m.plain, i, in.floats.data() + row * 320) : Exact{};
        ASSERT_LE(std::fabs(half_to_float(half) - want.y), want.error)
            << "row " << row << ", output " << i;
      }
    }
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
