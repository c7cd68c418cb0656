// ModelQuantizer: walks through a full-precision Llama in the order in which its sections are
// written, rounds each section's linears to INT4 by GPTQ or to nearest, and measures what that
// costs. One section's weights are in memory at a time. Each section is calibrated with what the
// quantised sections before it put out ("true sequential"), and measured on held-out sequences
// beside a second walk with the weights as they were. Loading thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/quantize/hidden_stream.h"
#include "engine/quantize/quantize_report.h"
#include "engine/quantize/section_solver.h"
#include "engine/quantize/timed_solver.h"
#include "engine/weights/pack_checkpoint.h"
#include "engine/weights/weight_source.h"

namespace incipit::engine {

// Inputs that share a scale in what GPTQ makes: a quarter of an eighth of a bit a weight, and what
// its rounding loses it makes up for elsewhere.
inline constexpr int32_t kGptqGroup = 128;

struct QuantizeInputs {
  TokenSequences calibration;  // none: rounding to nearest
  TokenSequences held_out;     // none: nothing is measured
};

// What the walk needs at most, beside the mapped source and the packed file; about.
enum class SolverPlace { kCpu, kCuda };
struct QuantizeMemory {
  int64_t host_bytes = 0;
  int64_t device_bytes = 0;
};
QuantizeMemory quantize_memory(const ModelConfig& config, const QuantizeInputs& inputs,
                               SolverPlace place);

class ModelQuantizer {
 public:
  // All linears of `source` are in full precision, planned with groups of kGptqGroup when there is
  // calibration. Everything is borrowed.
  ModelQuantizer(const ModelConfig& config, const WeightSource& source,
                 const QuantizeInputs& inputs, SectionSolver& solver, kernels::ThreadPool& pool,
                 const PackProgress& progress, const CancelToken& cancel);
  ~ModelQuantizer();

  // A FillSection: sections in ascending order, each once and as a whole.
  Result<void> operator()(size_t section_idx, int64_t offset, std::span<std::byte> out);

  // Complete after the last section; its recipe is the caller's.
  const QuantizeReport& report() const { return report_; }
  const Conversion& conversion() const { return conversion_; }
  const QuantizeTimes& times() const { return times_; }

 private:
  struct Streams;  // calibration, held out in full precision, held out quantised

  bool calibrates() const { return inputs_.calibration.n_sequences() > 0; }
  bool measures() const { return inputs_.held_out.n_sequences() > 0; }
  Result<void> prepare();
  Result<void> begin_section(const Int4Plan& plan);
  Result<void> quantise(size_t section_idx, std::span<std::byte> out);
  Result<kernels::Int4Matrix> round_by_gptq(const WeightSection& section, SectionLoss& loss);
  // The section's outputs with the solver's weights, at the front of `outputs`, which grows.
  Result<std::span<const float>> probe(WeightRole role, std::vector<float>& outputs);
  Result<void> head_product(std::vector<float> rows, int32_t n_rows, const std::vector<float>& x,
                            std::vector<float>& logits);
  Result<void> measure_head(const WeightSection& section, std::span<const std::byte> packed);
  void compare_layers();
  Result<void> tick();

  ModelConfig config_;
  const WeightSource& source_;
  const QuantizeInputs& inputs_;
  QuantizeTimes times_;
  TimedSolver solver_;
  kernels::ThreadPool& pool_;
  const PackProgress& progress_;
  const CancelToken& cancel_;
  std::unique_ptr<Streams> streams_;
  std::vector<float> norm_;  // the last that was filled: that of the section to come
  std::string section_;      // being worked on
  int64_t done_bytes_ = 0, total_bytes_ = 0, section_bytes_ = 0;
  int64_t n_ticks_ = 0, total_ticks_ = 1;  // of the section
  QuantizeReport report_;
  Conversion conversion_;
};

}  // namespace incipit::engine
