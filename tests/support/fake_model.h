// FakeModel: a toy Model whose every answer depends on all tokens and positions that it can see
// through its pages, and nothing else: mixing up, losing or overwriting a page changes the output.
// Each slot holds a hash of the slots before it and its own token; the next token is a hash of all
// slots. fake_continuation() computes the same from the tokens alone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/model/model.h"

namespace incipit::test {

class FakeModel final : public engine::Model {
 public:
  struct Options {
    int32_t n_pages = 64;
    int32_t max_rows = 128;
    int32_t vocab = 97;
  };
  explicit FakeModel(const Options& options);

  const engine::ModelConfig& config() const override { return config_; }
  const char* device_name() const override { return "fake"; }
  int32_t n_pages() const override { return options_.n_pages; }
  int32_t max_rows() const override { return options_.max_rows; }
  int64_t weight_bytes() const override { return 0; }
  int64_t kv_bytes() const override { return 0; }
  bool forward(const engine::ForwardBatch& batch) override;
  std::span<const engine::Candidate> candidates(int32_t i) const override;
  std::span<const float> logits(int32_t i) const override;
  void copy_page(engine::PageId from, engine::PageId to, int32_t n_tokens) override;

  int64_t page_bytes() const override { return int64_t{kernels::kPageTokens} * 8; }
  void read_page(engine::PageId page, std::span<std::byte> out) override;
  void write_page(engine::PageId page, std::span<const std::byte> from) override;

  // Called at the start of each forward(), on its thread; may throw.
  std::function<void(const engine::ForwardBatch&)> on_forward;
  bool gives_up = false;  // steps that are not wanted, after spoiling the slots of their rows
  engine::TokenId nan_token = -1;  // a row with this token gets logits that are not a number

  // Reads of slots that were never written, pages that do not exist, rows over the limit.
  int32_t n_faults() const { return n_faults_; }
  int32_t n_steps() const { return n_steps_; }

 private:
  uint64_t& slot(const engine::ForwardBatch& batch, int32_t row, int32_t position);

  Options options_;
  engine::ModelConfig config_;
  std::vector<uint64_t> slots_;  // [n_pages, 16]; 0: never written
  std::vector<std::vector<engine::Candidate>> candidates_;
  uint64_t fault_slot_ = 0;
  int32_t n_faults_ = 0;
  int32_t n_steps_ = 0;
};

// The n tokens that FakeModel's largest logits give after the prompt.
std::vector<engine::TokenId> fake_continuation(const std::vector<engine::TokenId>& prompt, int n,
                                               int32_t vocab = 97);

}  // namespace incipit::test
