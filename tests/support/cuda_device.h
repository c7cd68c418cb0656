// For tests of CUDA code: whether there is a device, arrays on it, and weights in the device's
// layout. Device arrays start poisoned (NaN bits), so a value that a kernel forgets to write, or
// reads without having written, shows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/quant/cuda_layout.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels::cuda {

inline bool cuda_device_present() {
  int n_devices = 0;
  return cudaGetDeviceCount(&n_devices) == cudaSuccess && n_devices > 0;
}

// First line of every test that needs a device.
#define SKIP_WITHOUT_CUDA() \
  if (!::incipit::kernels::cuda::cuda_device_present()) GTEST_SKIP() << "skipped: no CUDA device"

template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(int64_t n)
      : size_(static_cast<size_t>(n)),
        buffer_(DeviceBuffer::allocate(n * static_cast<int64_t>(sizeof(T)))) {
    if (n > 0) CUDA_CHECK(cudaMemset(buffer_.data(), 0xff, size_ * sizeof(T)));
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  explicit DeviceArray(const std::vector<T>& values)
      : DeviceArray(static_cast<int64_t>(values.size())) {
    write(values);
  }

  T* data() const { return buffer_.template as<T>(); }
  void write(const std::vector<T>& values) {
    CUDA_CHECK(
        cudaMemcpy(data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  // After everything on the device.
  std::vector<T> read() const {
    CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<T> values(size_);
    CUDA_CHECK(cudaMemcpy(values.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t size_ = 0;
  DeviceBuffer buffer_;
};

inline std::vector<float> to_floats(const std::vector<uint16_t>& halves) {
  std::vector<float> floats;
  for (const uint16_t h : halves) floats.push_back(half_to_float(h));
  return floats;
}
inline std::vector<uint16_t> to_halves(const std::vector<float>& floats) {
  std::vector<uint16_t> halves;
  for (const float f : floats) halves.push_back(float_to_half(f));
  return halves;
}

// A matrix in the device's layout, written weight by weight through the layout's own functions.
inline std::vector<std::byte> tiled(const Int4Matrix& m, RowOrder order, const HeadOrder& heads) {
  const Int4Shape& s = m.shape;
  std::vector<std::byte> bytes(static_cast<size_t>(CudaTile::bytes(s)), std::byte{0});
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int32_t row = 0; row < s.rows; ++row) {
    const int64_t from = logical_row(order, heads, s.rows, row);
    for (int32_t col = 0; col < s.cols; ++col) {
      const int q = m.q[at(from * s.cols + col)] << CudaTile::shift_of(row, col);
      bytes[at(CudaTile::byte_of(s, row, col))] |= static_cast<std::byte>(q);
    }
    for (int32_t group = 0; group < s.n_groups(); ++group) {
      const size_t i = at(from * s.n_groups() + group);
      std::memcpy(bytes.data() + CudaTile::scale_of(s, row, group), &m.scales[i], 2);
      if (s.has_zeros) {
        bytes[at(CudaTile::zero_of(s, row, group))] = static_cast<std::byte>(m.zeros[i]);
      }
    }
  }
  return bytes;
}

}  // namespace incipit::kernels::cuda
