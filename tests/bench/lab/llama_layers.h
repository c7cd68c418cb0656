// What the laboratories of large products share: the four matrices of Llama-3-8B's layers with
// random weights on the device, and the time of some work on a stream.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/common/half.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/stream.h"
#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels::cuda::lab {

inline constexpr int32_t kHidden = 4096;
inline constexpr int32_t kFfn = 14336;
inline constexpr int32_t kQkvRows = 6144;
inline constexpr int32_t kLayers = 32;
inline constexpr int32_t kMaxRows = 2048;
inline constexpr int32_t kVocab = 128256;
inline constexpr HeadOrder kHeadOrder = {5120, 128};

struct Matrix {
  DeviceBuffer bytes;
  Int4View<CudaTile> view;
};

// Random nibbles in groups of 128, scales that keep values sane.
inline Matrix make_matrix(int32_t rows, int32_t cols, std::mt19937_64& random) {
  const Int4Shape shape = {rows, cols, 128, false};
  std::vector<uint64_t> words(static_cast<size_t>(CudaTile::bytes(shape) / 8));
  for (uint64_t& word : words) word = random();
  auto* const bytes = reinterpret_cast<std::byte*>(words.data());
  for (int32_t row = 0; row < rows; ++row) {
    for (int32_t group = 0; group < shape.n_groups(); ++group) {
      const uint16_t scale = float_to_half(0.002f + static_cast<float>(random() % 64) * 1e-4f);
      std::copy_n(reinterpret_cast<const std::byte*>(&scale), 2,
                  bytes + CudaTile::scale_of(shape, row, group));
    }
  }
  Matrix m = {DeviceBuffer::allocate(CudaTile::bytes(shape)), {}};
  CUDA_CHECK(cudaMemcpy(m.bytes.data(), bytes, static_cast<size_t>(m.bytes.size_bytes()),
                        cudaMemcpyHostToDevice));
  m.view = {m.bytes.data(), shape};
  return m;
}

inline Matrix copy_of(const Matrix& from) {
  Matrix m = {DeviceBuffer::allocate(from.bytes.size_bytes()), {}};
  CUDA_CHECK(cudaMemcpy(m.bytes.data(), from.bytes.data(),
                        static_cast<size_t>(from.bytes.size_bytes()), cudaMemcpyDeviceToDevice));
  m.view = {m.bytes.data(), from.view.shape};
  return m;
}

struct Layer {
  Matrix qkv, out, gate_up, down;
};

// Of equal contents, each in memory of its own: no layer finds its weights in a cache.
inline std::vector<Layer> make_layers(std::mt19937_64& random) {
  std::vector<Layer> layers;
  layers.push_back({make_matrix(kQkvRows, kHidden, random), make_matrix(kHidden, kHidden, random),
                    make_matrix(2 * kFfn, kHidden, random), make_matrix(kHidden, kFfn, random)});
  for (int32_t i = 1; i < kLayers; ++i) {
    layers.push_back({copy_of(layers[0].qkv), copy_of(layers[0].out), copy_of(layers[0].gate_up),
                      copy_of(layers[0].down)});
  }
  return layers;
}

// kMaxRows rows of kFfn normally distributed values.
inline DeviceBuffer make_rows(std::mt19937_64& random) {
  std::normal_distribution<float> value(0.0f, 1.0f);
  std::vector<uint16_t> rows(size_t{kMaxRows} * kFfn);
  for (uint16_t& h : rows) h = float_to_half(value(random));
  DeviceBuffer to = DeviceBuffer::allocate(static_cast<int64_t>(rows.size()) * 2);
  CUDA_CHECK(cudaMemcpy(to.data(), rows.data(), rows.size() * 2, cudaMemcpyHostToDevice));
  return to;
}

// Median of `n` runs in milliseconds, after one that is not counted.
template <class Work>
double median_ms(cudaStream_t stream, int n, const Work& work) {
  const Event begin = make_event(cudaEventDefault);
  const Event end = make_event(cudaEventDefault);
  std::vector<float> times;
  for (int i = 0; i <= n; ++i) {
    CUDA_CHECK(cudaEventRecord(begin.get(), stream));
    work();
    CUDA_CHECK(cudaEventRecord(end.get(), stream));
    CUDA_CHECK(cudaEventSynchronize(end.get()));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    if (i > 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace incipit::kernels::cuda::lab
