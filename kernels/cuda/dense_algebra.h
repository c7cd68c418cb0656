// DenseAlgebra: products and factors of float matrices on the device, by cuBLAS and cuSOLVER in
// plain fp32 (no TF32). Row-major everywhere: element (i, j) is data[i * stride + j]. For the
// quantiser: may allocate, launches on one stream. One thread. Throws CudaError.
#pragma once

#include <cstdint>

#include "kernels/cuda/cublas_library.h"
#include "kernels/cuda/cusolver_library.h"
#include "kernels/cuda/device_buffer.h"

namespace incipit::kernels::cuda {

class DenseAlgebra {
 public:
  // The libraries and the stream outlive it; the device is the current one, here and in each call.
  DenseAlgebra(const CublasLibrary& cublas, const CusolverLibrary& cusolver, cudaStream_t stream);
  ~DenseAlgebra();
  DenseAlgebra(const DenseAlgebra&) = delete;
  DenseAlgebra& operator=(const DenseAlgebra&) = delete;

  // c [n, n] += x^T x for x [m, n], in the lower triangle alone.
  void add_squares(const float* x, int64_t m, int64_t n, float* c);
  // c [m, n] = a [m, k] b [k, n], rows so many floats apart.
  struct Operand {
    const float* data;
    int64_t stride;
  };
  void multiply(int64_t m, int64_t n, int64_t k, Operand a, Operand b, float* c, int64_t c_stride);
  // y [m, rows] = x [m, cols] w^T for w [rows, cols].
  void multiply_transposed(const float* x, int64_t m, int64_t cols, const float* w, int64_t rows,
                           float* y);
  // The lower triangle of a [n, n] becomes L with L L^T = a; what is above the diagonal is left
  // undefined. False when the matrix is not positive definite to float's accuracy: then `a` is of
  // no use any more. Waits.
  [[nodiscard]] bool cholesky(float* a, int64_t n);

 private:
  void check(cublasStatus_t status, const char* call) const;
  static void check(cusolverStatus_t status, const char* call);

  const CublasLibrary& cublas_;
  const CusolverLibrary& cusolver_;
  cudaStream_t stream_;
  cublasHandle_t blas_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
  DeviceBuffer workspace_, info_;  // of cholesky(); grows
};

}  // namespace incipit::kernels::cuda
