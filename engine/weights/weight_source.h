// WeightSource: the sections of a packed image out of a checkpoint. plan() checks every tensor the
// model needs, so that a broken checkpoint is told before any work; fill() makes the bytes of one
// section. Loading thread; borrows the checkpoint.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/int4_section.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/round_to_nearest.h"
#include "engine/weights/weight_names.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

class WeightSource {
 public:
  static Result<WeightSource> plan(const Checkpoint& checkpoint, const ModelConfig& config,
                                   const QuantConfig& quant, HeadFormat head_format,
                                   int32_t rounded_group = kRoundedGroup);

  const std::vector<PackedSection>& sections() const { return packed_; }
  // The same for a writer that does not need them whole: embedding and head can come in pieces.
  std::vector<PackedSection> sections_in_pieces() const;
  // What a section is made of; the plan has no parts unless it is INT4.
  const WeightSection& wanted(size_t section_idx) const { return wanted_[section_idx]; }
  const Int4Plan& int4_plan(size_t section_idx) const { return int4_[section_idx]; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  // The section's bytes from `offset` on: as FillSection. Adds what the section loses to
  // `conversion`. Works in the memory of `scratch`, if there is one.
  Result<void> fill(size_t section_idx, int64_t offset, std::span<std::byte> out,
                    kernels::ThreadPool& pool, Conversion& conversion,
                    kernels::Int4Matrix* scratch = nullptr) const;
  // Has the section's tensors read from the disk, beside whatever else is done.
  void read_ahead(size_t section_idx) const;

 private:
  explicit WeightSource(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}
  Result<void> add(WeightSection section, const QuantConfig& quant, int32_t rounded_group);
  void warn_of_ambiguous_zeros() const;
  Result<void> fill_int4(size_t section_idx, std::span<std::byte> out, kernels::ThreadPool& pool,
                         Conversion& conversion, kernels::Int4Matrix* scratch) const;

  const Checkpoint* checkpoint_;
  std::vector<WeightSection> wanted_;
  std::vector<PackedSection> packed_;
  std::vector<Int4Plan> int4_;  // of each section; no parts unless INT4
};

}  // namespace incipit::engine
