// Memory of the CUDA backend with the engine's kind of errors: zeroed, taken once, given back when
// it goes. Included by sources of a CUDA build alone.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/base/result.h"
#include "kernels/cuda/device_buffer.h"

namespace incipit::engine {

// kOutOfMemory or kDevice.
ErrorCode code_of(const kernels::cuda::CudaError& error);

template <class Owner>
class CudaMemory {
 public:
  static Result<CudaMemory> allocate(int64_t size_bytes) {
    try {
      CudaMemory memory;
      memory.owner_ = Owner::allocate(size_bytes);
      // Zeroing runs on the default stream, which the backend's own does not wait for.
      CUDA_CHECK(cudaDeviceSynchronize());
      return memory;
    } catch (const kernels::cuda::CudaError& error) {
      return Error{code_of(error), error.what()};
    }
  }

  CudaMemory() = default;
  std::byte* data() const { return owner_.data(); }
  int64_t size_bytes() const { return owner_.size_bytes(); }

 private:
  Owner owner_;
};

using CudaDeviceMemory = CudaMemory<kernels::cuda::DeviceBuffer>;
using CudaHostMemory = CudaMemory<kernels::cuda::PinnedBuffer>;

}  // namespace incipit::engine
