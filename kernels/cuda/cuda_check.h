// CUDA_CHECK throws CudaError: the call, what the library says, and the place. Most CUDA errors are
// sticky: the engine loop catches, fails the step's requests and gives the backend up. Host code
// only.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace incipit::kernels::cuda {

class CudaError : public std::runtime_error {
 public:
  CudaError(const std::string& what, cudaError_t code) : std::runtime_error(what), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

[[noreturn]] inline void throw_cuda_error(cudaError_t code, const char* call, const char* file,
                                          int line) {
  throw CudaError(std::string("CUDA: ") + call + ": " + cudaGetErrorName(code) + " (" +
                      cudaGetErrorString(code) + ") at " + file + ":" + std::to_string(line),
                  code);
}

}  // namespace incipit::kernels::cuda

#define CUDA_CHECK(call)                                                                      \
  do {                                                                                        \
    const cudaError_t cuda_check_code = (call);                                               \
    if (cuda_check_code != cudaSuccess)                                                       \
      ::incipit::kernels::cuda::throw_cuda_error(cuda_check_code, #call, __FILE__, __LINE__); \
  } while (false)
