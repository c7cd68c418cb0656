// The naive double-precision oracle of the matrix products: every weight through the codec, every
// sum in double. For tests and the reference steps; never fast.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/quant/int4_layout.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::kernels::reference {

// All weights, [rows, cols].
std::vector<double> dequantize(const Int4View<CpuTile>& w);
std::vector<double> dequantize(const Int8View<CpuTile>& w);
std::vector<double> dequantize_f16(const uint16_t* w, int32_t rows, int32_t cols);

// y[n_rows, n_out] = x[n_rows, cols] * w[n_out, cols]^T; x_stride floats between rows of x.
std::vector<double> matmul(const std::vector<double>& w, int32_t n_out, int32_t cols,
                           const float* x, int64_t x_stride, int32_t n_rows);

}  // namespace incipit::kernels::reference
