// Model: the seam between the engine and a backend (CPU now, CUDA later): weights, KV page storage
// and the forward pass. Used by the engine thread alone. One virtual call a step, nothing per
// operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/ids.h"
#include "engine/config/model_config.h"
#include "engine/model/forward_batch.h"
#include "kernels/step_params.h"

namespace incipit::engine {

using kernels::Candidate;

inline constexpr int32_t kMaxCandidates =
    64;  // largest logits handed to the sampler, per wanted row

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const char* device_name() const = 0;  // "cpu (avx512-vnni, 2 threads)"
  virtual int32_t n_pages() const = 0;          // KV pages this model was given, fixed at creation
  virtual int32_t max_rows() const = 0;         // rows one forward() takes at most
  virtual int64_t weight_bytes() const = 0;
  virtual int64_t kv_bytes() const = 0;

  // Runs one step. Afterwards candidates(i) and logits(i) answer for logit_rows[i] until the next
  // forward(). False: it was given up (ForwardBatch::is_unwanted); there are no candidates then,
  // and what the pages hold at the positions of its rows is to be computed again.
  virtual bool forward(const ForwardBatch& batch) = 0;
  virtual std::span<const Candidate> candidates(
      int32_t i) const = 0;  // descending, min(kMaxCandidates, vocab)
  virtual std::span<const float> logits(
      int32_t i) const = 0;  // [vocab]; may copy from the device: tests, tools

  // Copies the first n_tokens slots of page `from` to page `to`, all layers: reuse of a partial
  // page.
  virtual void copy_page(PageId from, PageId to, int32_t n_tokens) = 0;

  // A page's keys and values of all layers, as the device lays them out: what is kept on disk.
  // page_bytes() of it; 0: this model's pages cannot be taken out and put back.
  virtual int64_t page_bytes() const { return 0; }
  virtual void read_page(PageId page, std::span<std::byte> out) { (void)page, (void)out; }
  virtual void write_page(PageId page, std::span<const std::byte> from) { (void)page, (void)from; }
};

}  // namespace incipit::engine
