#include "engine/model/cuda_memory.h"

namespace incipit::engine {

ErrorCode code_of(const kernels::cuda::CudaError& error) {
  return error.code() == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDevice;
}

}  // namespace incipit::engine
