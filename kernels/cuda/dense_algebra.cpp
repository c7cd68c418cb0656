#include "kernels/cuda/dense_algebra.h"

#include <limits>
#include <string>

#include "kernels/common/check.h"

namespace incipit::kernels::cuda {

namespace {

// Both libraries count in int.
int as_int(int64_t n) {
  CHECK_LE(n, int64_t{std::numeric_limits<int>::max()});
  return static_cast<int>(n);
}

}  // namespace

DenseAlgebra::DenseAlgebra(const CublasLibrary& cublas, const CusolverLibrary& cusolver,
                           cudaStream_t stream)
    : cublas_(cublas),
      cusolver_(cusolver),
      stream_(stream),
      info_(DeviceBuffer::allocate(sizeof(int))) {
  check(cublas_.create(&blas_), "cublasCreate");
  if (const cusolverStatus_t status = cusolver_.create(&solver_);
      status != CUSOLVER_STATUS_SUCCESS) {
    (void)cublas_.destroy(blas_);
    check(status, "cusolverDnCreate");
  }
  try {
    check(cublas_.set_stream(blas_, stream_), "cublasSetStream");
    check(cusolver_.set_stream(solver_, stream_), "cusolverDnSetStream");
  } catch (...) {
    (void)cusolver_.destroy(solver_);
    (void)cublas_.destroy(blas_);
    throw;
  }
}

DenseAlgebra::~DenseAlgebra() {
  (void)cusolver_.destroy(solver_);
  (void)cublas_.destroy(blas_);
}

void DenseAlgebra::check(cublasStatus_t status, const char* call) const {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(
      std::string("cuBLAS: ") + call + ": " + cublas_.status_string(status),
      status == CUBLAS_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown);
}

void DenseAlgebra::check(cusolverStatus_t status, const char* call) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  throw CudaError(
      std::string("cuSOLVER: ") + call + ": status " + std::to_string(static_cast<int>(status)),
      status == CUSOLVER_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown);
}

// To both libraries, which count columns first, a row-major matrix is its transpose: its lower
// triangle is their upper one, and operands of a product change places.

void DenseAlgebra::add_squares(const float* x, int64_t m, int64_t n, float* c) {
  const float one = 1;
  check(cublas_.ssyrk(blas_, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, as_int(n), as_int(m), &one, x,
                      as_int(n), &one, c, as_int(n)),
        "cublasSsyrk");
}

void DenseAlgebra::multiply(int64_t m, int64_t n, int64_t k, Operand a, Operand b, float* c,
                            int64_t c_stride) {
  const float one = 1, zero = 0;
  check(
      cublas_.sgemm(blas_, CUBLAS_OP_N, CUBLAS_OP_N, as_int(n), as_int(m), as_int(k), &one, b.data,
                    as_int(b.stride), a.data, as_int(a.stride), &zero, c, as_int(c_stride)),
      "cublasSgemm");
}

void DenseAlgebra::multiply_transposed(const float* x, int64_t m, int64_t cols, const float* w,
                                       int64_t rows, float* y) {
  const float one = 1, zero = 0;
  check(cublas_.sgemm(blas_, CUBLAS_OP_T, CUBLAS_OP_N, as_int(rows), as_int(m), as_int(cols), &one,
                      w, as_int(cols), x, as_int(cols), &zero, y, as_int(rows)),
        "cublasSgemm");
}

bool DenseAlgebra::cholesky(float* a, int64_t n) {
  int wanted = 0;
  check(cusolver_.spotrf_buffer_size(solver_, CUBLAS_FILL_MODE_UPPER, as_int(n), a, as_int(n),
                                     &wanted),
        "cusolverDnSpotrf_bufferSize");
  const int64_t bytes = int64_t{wanted} * int64_t{sizeof(float)};
  if (workspace_.size_bytes() < bytes) {
    workspace_ = DeviceBuffer();
    workspace_ = DeviceBuffer::allocate(bytes);
  }
  check(cusolver_.spotrf(solver_, CUBLAS_FILL_MODE_UPPER, as_int(n), a, as_int(n),
                         workspace_.as<float>(), wanted, info_.as<int>()),
        "cusolverDnSpotrf");
  int info = 0;
  CUDA_CHECK(cudaMemcpyAsync(&info, info_.data(), sizeof(info), cudaMemcpyDeviceToHost, stream_));
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  CHECK_GE(info, 0);  // an argument that we passed
  return info == 0;
}

}  // namespace incipit::kernels::cuda
