// WeightSource: the sections of a packed image out of a GPTQ checkpoint. plan() checks every tensor
// the model needs, so that a broken checkpoint is told before any work; fill() makes the bytes of
// one section. Loading thread; borrows the checkpoint.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/gptq_config.h"
#include "engine/config/model_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/gptq_import.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_names.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

class WeightSource {
 public:
  static Result<WeightSource> plan(const Checkpoint& checkpoint, const ModelConfig& config,
                                   const GptqConfig& gptq, HeadFormat head_format);

  const std::vector<PackedSection>& sections() const { return packed_; }
  Result<void> fill(size_t section_idx, std::span<std::byte> out, kernels::ThreadPool& pool) const;

 private:
  explicit WeightSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}
  Result<void> add(WeightSection section, const GptqConfig& gptq);

  const Checkpoint* checkpoint_;
  std::vector<WeightSection> wanted_;
  std::vector<PackedSection> packed_;
  std::vector<std::vector<GptqLinear>> linears_;  // of each section; empty unless INT4
};

}  // namespace incipit::engine
