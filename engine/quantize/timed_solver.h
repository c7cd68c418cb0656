// TimedSolver: a SectionSolver that adds up how long another one works. One thread.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "engine/quantize/quantize_report.h"
#include "engine/quantize/section_solver.h"

namespace incipit::engine {

// Adds the seconds between its making and its end.
class AddSeconds {
 public:
  explicit AddSeconds(double& sum) : sum_(sum) {}
  ~AddSeconds() {
    sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  AddSeconds(const AddSeconds&) = delete;
  AddSeconds& operator=(const AddSeconds&) = delete;

 private:
  double& sum_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

class TimedSolver : public SectionSolver {
 public:
  // Both outlive it.
  TimedSolver(SectionSolver& solver, QuantizeTimes& times) : solver_(solver), times_(times) {}

  Result<void> begin(const kernels::Int4Shape& shape, std::vector<float> weights) override {
    const AddSeconds clock(times_.rounding_s);
    return solver_.begin(shape, std::move(weights));
  }
  Result<void> add_inputs(const float* x, int64_t n) override {
    const AddSeconds clock(times_.hessians_s);
    return solver_.add_inputs(x, n);
  }
  Result<GptqOutcome> quantise(const GptqStep& step) override {
    const AddSeconds clock(times_.rounding_s);
    return solver_.quantise(step);
  }
  Result<void> replace(const kernels::Int4Matrix& matrix) override {
    const AddSeconds clock(times_.rounding_s);
    return solver_.replace(matrix);
  }
  Result<void> multiply(const float* x, int64_t n, float* y) override {
    const AddSeconds clock(times_.products_s);
    return solver_.multiply(x, n, y);
  }
  std::string device() const override { return solver_.device(); }

 private:
  SectionSolver& solver_;
  QuantizeTimes& times_;
};

}  // namespace incipit::engine
