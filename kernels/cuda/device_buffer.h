// Memory that CUDA gives: DeviceBuffer on the device, PinnedBuffer on the host (page locked, so
// that copies run beside the host). Both are move-only, zeroed, and given back when they go.
// Allocation may fail (a full card): allocate() throws CudaError with the size in the text.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cuda/cuda_check.h"

namespace incipit::kernels::cuda {

struct DeviceMemory {
  static void* take(size_t bytes) {
    void* memory = nullptr;
    CUDA_CHECK(cudaMalloc(&memory, bytes));
    CUDA_CHECK(cudaMemset(memory, 0, bytes));
    // Our streams do not wait for the default one, on which the zeros are written.
    CUDA_CHECK(cudaStreamSynchronize(nullptr));
    return memory;
  }
  // Destructors do not throw: after a sticky error the driver has taken the memory back anyway.
  static void give_back(void* memory) { (void)cudaFree(memory); }
};

struct PinnedMemory {
  static void* take(size_t bytes) {
    void* memory = nullptr;
    CUDA_CHECK(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault));
    auto* values = static_cast<std::byte*>(memory);
    for (size_t i = 0; i < bytes; ++i) values[i] = std::byte{0};
    return memory;
  }
  static void give_back(void* memory) { (void)cudaFreeHost(memory); }
};

template <class Memory>
class CudaBuffer {
 public:
  CudaBuffer() = default;
  static CudaBuffer allocate(int64_t size_bytes) {
    CudaBuffer buffer;
    if (size_bytes > 0) {
      buffer.data_ = static_cast<std::byte*>(Memory::take(static_cast<size_t>(size_bytes)));
      buffer.size_ = size_bytes;
    }
    return buffer;
  }
  CudaBuffer(CudaBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  CudaBuffer& operator=(CudaBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~CudaBuffer() {
    if (data_ != nullptr) Memory::give_back(data_);
  }

  std::byte* data() const { return data_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  int64_t size_bytes() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

using DeviceBuffer = CudaBuffer<DeviceMemory>;
using PinnedBuffer = CudaBuffer<PinnedMemory>;

}  // namespace incipit::kernels::cuda
