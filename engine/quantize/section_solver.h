// SectionSolver: the heavy arithmetic of quantising one section of linears (those that share their
// inputs and are stacked by rows), on whatever device. The walk through the model
// (model_quantizer.h) gives it a section's weights, its inputs, asks it to round, and multiplies
// with what it holds. Everything that crosses is in host memory. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/quantize/gptq.h"

namespace incipit::engine {

class SectionSolver {
 public:
  virtual ~SectionSolver() = default;

  // Takes the weights [rows, cols] in place of what it held, and forgets the inputs.
  virtual Result<void> begin(const kernels::Int4Shape& shape, std::vector<float> weights) = 0;
  // Calibration inputs x [n, cols] for quantise().
  virtual Result<void> add_inputs(const float* x, int64_t n) = 0;
  // Rounds by GPTQ; from then on its weights are the rounded ones.
  virtual Result<GptqOutcome> quantise(const GptqStep& step) = 0;
  // The same with integers that somebody else has chosen.
  virtual Result<void> replace(const kernels::Int4Matrix& matrix) = 0;
  // y [n, rows] = x [n, cols] W^T with the weights as they are now.
  virtual Result<void> multiply(const float* x, int64_t n, float* y) = 0;

  virtual std::string device() const = 0;  // "CPU, 8 threads", "CUDA (NVIDIA H200)"
};

// The pool outlives the solver.
std::unique_ptr<SectionSolver> make_cpu_solver(kernels::ThreadPool& pool);

// On a CUDA device, in fp32 by cuBLAS and cuSOLVER; the pool copies. Its integers are the CPU's up
// to what the order of float sums decides; what it takes grows with the sections that it is given
// and is never more than cuda_solver_bytes(). kUnsupported in a build without CUDA or where one of
// the libraries is missing, kOutOfMemory, kDevice.
Result<std::unique_ptr<SectionSolver>> make_cuda_solver(int32_t device, kernels::ThreadPool& pool);

// Whether the libraries are there; kUnsupported says what is missing and what to do about it.
Result<void> find_cuda_solver_libraries();

// Bytes of the device that it takes for sections of these shapes, the libraries' own included;
// about, as those are not ours to count. `calibrates`: quantise() will be called.
int64_t cuda_solver_bytes(std::span<const kernels::Int4Shape> shapes, bool calibrates);

// Bytes of its page-locked host memory, and as many of the device's: what crosses in one piece.
inline constexpr int64_t kCudaSliceBytes = int64_t{64} << 20;

}  // namespace incipit::engine
