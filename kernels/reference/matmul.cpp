#include "kernels/reference/matmul.h"

#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::kernels::reference {

namespace {

template <class View>
std::vector<double> dequantize_view(const View& w) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(int64_t{w.shape.rows} * w.shape.cols));
  for (int32_t row = 0; row < w.shape.rows; ++row) {
    for (int32_t col = 0; col < w.shape.cols; ++col) values.push_back(weight_at(w, row, col));
  }
  return values;
}

}  // namespace

std::vector<double> dequantize(const Int4View<CpuTile>& w) {
  return dequantize_view(w);
}

std::vector<double> dequantize(const Int8View<CpuTile>& w) {
  return dequantize_view(w);
}

std::vector<double> dequantize_f16(const uint16_t* w, int32_t rows, int32_t cols) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(int64_t{rows} * cols));
  for (int64_t i = 0; i < int64_t{rows} * cols; ++i) values.push_back(half_to_float(w[i]));
  return values;
}

std::vector<double> matmul(const std::vector<double>& w, int32_t n_out, int32_t cols,
                           const float* x, int64_t x_stride, int32_t n_rows) {
  CHECK_EQ(static_cast<int64_t>(w.size()), int64_t{n_out} * cols);
  std::vector<double> y;
  y.reserve(static_cast<size_t>(int64_t{n_rows} * n_out));
  for (int32_t row = 0; row < n_rows; ++row) {
    for (int32_t out = 0; out < n_out; ++out) {
      const double* weights = w.data() + int64_t{out} * cols;
      double sum = 0;
      for (int32_t col = 0; col < cols; ++col) sum += weights[col] * x[row * x_stride + col];
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace incipit::kernels::reference
