// CudaSolver: SectionSolver on a CUDA device. Seen by make_cuda_solver() and by tests, which also
// hand it a Hessian that no inputs have. Included by sources of a CUDA build alone. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/quantize/section_solver.h"
#include "kernels/cuda/dense_algebra.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/stream.h"

namespace incipit::engine {

class CudaSolver : public SectionSolver {
 public:
  // The libraries are there and `device` is the current one. Throws CudaError.
  CudaSolver(int32_t device, kernels::ThreadPool& pool);

  Result<void> begin(const kernels::Int4Shape& shape, std::vector<float> weights) override;
  Result<void> add_inputs(const float* x, int64_t n) override;
  Result<GptqOutcome> quantise(const GptqStep& step) override;
  Result<void> replace(const kernels::Int4Matrix& matrix) override;
  Result<void> multiply(const float* x, int64_t n, float* y) override;
  std::string device() const override { return name_; }

  // In place of add_inputs(): hessian [cols, cols], of which the lower triangle counts.
  Result<void> take_hessian(const std::vector<float>& hessian);

 private:
  using DeviceBuffer = kernels::cuda::DeviceBuffer;

  // Grows, keeps no contents.
  static void reserve(DeviceBuffer& buffer, int64_t bytes);
  void upload(DeviceBuffer& to, const void* from, int64_t bytes);
  void download(void* to, const DeviceBuffer& from, int64_t bytes);
  void copy_bytes(std::byte* to, const std::byte* from, int64_t bytes);  // by the pool
  std::vector<float> diagonal_of(const DeviceBuffer& matrix);
  bool factorise(const Damping& damping, std::vector<float>& factor_diagonal);
  void find_scales(const std::vector<int32_t>& order, const std::vector<float>& factor_diagonal);
  Result<double> round_blocks(const Damping& damping, const GptqStep& step);
  void expand(bool has_zeros);
  kernels::cuda::LaunchContext context() const { return {stream_.get(), false}; }

  kernels::ThreadPool& pool_;
  std::string name_;
  kernels::cuda::Stream stream_;
  kernels::cuda::DenseAlgebra algebra_;
  kernels::cuda::PinnedBuffer pinned_;  // kCudaSliceBytes
  DeviceBuffer x_, y_;                  // slices of inputs and outputs
  kernels::Int4Shape shape_;
  bool has_hessian_ = false;
  DeviceBuffer weights_;          // [rows, cols]
  DeviceBuffer hessian_;          // [cols, cols], lower
  DeviceBuffer factor_;           // [cols, cols], lower: L
  DeviceBuffer moved_;            // [rows, cols], by position
  DeviceBuffer owed_;             // [rows, GptqBlock::kWidth]
  DeviceBuffer errors_;           // double [rows]
  DeviceBuffer q_;                // [rows, cols]
  DeviceBuffer scales_, zeros_;   // [rows, n_groups]
  DeviceBuffer order_, columns_;  // [cols]: the order, and something of each column
};

}  // namespace incipit::engine
