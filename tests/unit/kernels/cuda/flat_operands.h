// What the tests of the flat products share: operands on the device, sums in double precision with
// what the kernel's may be off by, shapes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/cuda/flat_matmul.h"
#include "kernels/quant/cuda_codec.h"
#include "tests/support/cuda_device.h"

namespace incipit::kernels::cuda {

inline const std::vector<int32_t> kRowCounts = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64};
constexpr float kEps = 1e-5f;

inline size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

struct Weights {
  Int4Matrix plain;
  DeviceArray<std::byte> bytes;
  Int4View<CudaTile> view() const { return {bytes.data(), plain.shape}; }

  Weights(const Int4Shape& s, RowOrder order, const HeadOrder& heads, std::mt19937& random)
      : plain(random_int4(s, random)), bytes(pack_cuda(plain, order, heads)) {}
};

// Rows as a norm's consumer gets them.
struct Rows {
  int32_t n_rows, cols;
  std::vector<uint16_t> values;
  std::vector<float> square_sums;  // [n_rows, cols / 16]
  DeviceArray<uint16_t> device_values;
  DeviceArray<float> device_sums;

  Rows(int32_t rows, int32_t n_cols, std::mt19937& random) : n_rows(rows), cols(n_cols) {
    values = to_halves(random_rows(rows, n_cols, random));
    std::uniform_real_distribution<float> sum(4.0f, 40.0f);
    square_sums.resize(at(int64_t{rows} * (n_cols / 16)));
    for (float& s : square_sums) s = sum(random);
    device_values = DeviceArray<uint16_t>(values);
    device_sums = DeviceArray<float>(square_sums);
  }
  Rows(const Rows& all, const std::vector<int32_t>& picked)
      : n_rows(static_cast<int32_t>(picked.size())), cols(all.cols) {
    const int64_t n_sums = cols / 16;
    for (const int32_t row : picked) {
      values.insert(values.end(), all.values.begin() + int64_t{row} * cols,
                    all.values.begin() + int64_t{row + 1} * cols);
      square_sums.insert(square_sums.end(), all.square_sums.begin() + row * n_sums,
                         all.square_sums.begin() + (row + 1) * n_sums);
    }
    device_values = DeviceArray<uint16_t>(values);
    device_sums = DeviceArray<float>(square_sums);
  }
  NormedRows normed() const { return {device_values.data(), device_sums.data()}; }
  double norm(int32_t row) const {
    double total = 0;
    for (int32_t i = 0; i < cols / 16; ++i)
      total += square_sums[at(int64_t{row} * (cols / 16) + i)];
    return 1 / std::sqrt(total / cols + kEps);
  }
};

// A sum of products, and what the kernel's may be off by. Products of fp16 are exact in float. A
// tensor-core step adds 17 terms, each cut off 2^-23 of the largest at worst; a group has at most 8
// steps; its scaled sum, the sums of groups and of parts round once each.
struct Sum {
  double value = 0;
  double error = 0;
};
template <class WeightAt>
Sum exact_sum(const Rows& in, int32_t row, const WeightAt& weight_at_col) {
  Sum sum;
  double magnitude = 0;
  for (int32_t col = 0; col < in.cols; ++col) {
    const double product =
        double{weight_at_col(col)} * half_to_float(in.values[at(int64_t{row} * in.cols + col)]);
    sum.value += product;
    magnitude += std::fabs(product);
  }
  sum.error = magnitude * 0x1p-23 * (17 * 8 + in.cols / 32 + 9);
  return sum;
}

// fp16 of a value that is off by `error`: half a unit in the last place more.
inline double half_error(double value, double error) {
  return error + std::fabs(value) * 0x1p-11 + 0x1p-25;
}

// Scratch whose counters are zero before and after each launch.
struct Scratch {
  DeviceBuffer sums, counters;
  Scratch(int32_t hidden, int32_t ffn, const HeadShape& heads, int32_t vocab) {
    const FlatScratchSize size = flat_scratch_size(hidden, ffn, heads, vocab);
    sums = DeviceBuffer::allocate(size.partial_sum_bytes);
    counters = DeviceBuffer::allocate(size.counter_bytes);
    prepare_flat_matmul();
  }
  FlatScratch view() const { return {sums.as<float>(), counters.as<int32_t>()}; }
};

struct Shape {
  int32_t out, in, group;
  bool has_zeros;
};
// One part and several, a last part that is short, padded inputs; all codecs.
inline const Shape kShapes[] = {
    {64, 64, 128, false},  {128, 512, 128, false}, {192, 1408, 128, false}, {64, 4680, 128, false},
    {128, 1408, 32, true}, {64, 2056, 64, false},  {192, 1096, 128, true},  {64, 72, 32, false}};

}  // namespace incipit::kernels::cuda
