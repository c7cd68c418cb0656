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

  virtual std::string device() const = 0;  // "CPU, 8 threads"
};

// The pool outlives the solver.
std::unique_ptr<SectionSolver> make_cpu_solver(kernels::ThreadPool& pool);

}  // namespace incipit::engine
