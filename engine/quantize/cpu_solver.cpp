#include <fmt/core.h>

#include <utility>

#include "engine/quantize/section_solver.h"
#include "kernels/common/check.h"
#include "kernels/cpu/gemm.h"
#include "kernels/quant/int4_codec.h"

namespace incipit::engine {
namespace {

class CpuSolver : public SectionSolver {
 public:
  explicit CpuSolver(kernels::ThreadPool& pool) : pool_(pool) {}

  Result<void> begin(const kernels::Int4Shape& shape, std::vector<float> weights) override {
    shape_ = shape;
    weights_ = std::move(weights);
    hessian_.clear();
    return {};
  }

  Result<void> add_inputs(const float* x, int64_t n) override {
    const int64_t cols = shape_.cols;
    hessian_.resize(static_cast<size_t>(cols * cols), 0.0F);
    kernels::gemm({.m = cols,
                   .n = cols,
                   .k = n,
                   .a = kernels::transposed(x, cols),
                   .b = kernels::row_major(x, cols),
                   .c = hessian_.data(),
                   .c_stride = cols,
                   .result = kernels::GemmResult::kAdd,
                   .part = kernels::GemmPart::kLower},
                  pool_);
    return {};
  }

  Result<GptqOutcome> quantise(const GptqStep& step) override {
    CHECK(!hessian_.empty());
    ASSIGN_OR_RETURN(GptqOutcome outcome, gptq(weights_, hessian_, shape_, pool_, step));
    hessian_ = {};
    TRY(replace(outcome.matrix));
    return outcome;
  }

  Result<void> replace(const kernels::Int4Matrix& matrix) override {
    const int64_t cols = shape_.cols;
    pool_.parallel_for(shape_.rows, 8, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t col = 0; col < cols; ++col) {
          weights_[static_cast<size_t>(row * cols + col)] =
              kernels::weight_at(matrix, static_cast<int32_t>(row), static_cast<int32_t>(col));
        }
      }
    });
    return {};
  }

  Result<void> multiply(const float* x, int64_t n, float* y) override {
    const int64_t cols = shape_.cols;
    kernels::gemm({.m = n,
                   .n = shape_.rows,
                   .k = cols,
                   .a = kernels::row_major(x, cols),
                   .b = kernels::transposed(weights_.data(), cols),
                   .c = y,
                   .c_stride = shape_.rows},
                  pool_);
    return {};
  }

  std::string device() const override { return fmt::format("CPU, {} threads", pool_.n_threads()); }

 private:
  kernels::ThreadPool& pool_;
  kernels::Int4Shape shape_;
  std::vector<float> weights_;
  std::vector<float> hessian_;  // [cols, cols], lower; empty before the first inputs
};

}  // namespace

std::unique_ptr<SectionSolver> make_cpu_solver(kernels::ThreadPool& pool) {
  return std::make_unique<CpuSolver>(pool);
}

}  // namespace incipit::engine
