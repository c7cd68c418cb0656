// HiddenStream: the residual stream of many sequences as they go through a Llama, one section of
// linears at a time, in float. Whoever walks (model_quantizer.h) has the weights of one section at
// any moment; what the stream keeps is the hidden state of every token, and of the sections whose
// inputs are not just its norm (out, down) those inputs in fp16. All in host memory: 65,536 tokens
// of Llama-3-8B are 1 GiB and 1.8 GiB. One thread, with the pool's.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/quantize/section_solver.h"
#include "engine/weights/weight_names.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

// Sequences of the same length, one after the other.
struct TokenSequences {
  std::vector<TokenId> tokens;  // [n_sequences, length]
  int32_t length = 0;

  int64_t n_sequences() const {
    return length == 0 ? 0 : static_cast<int64_t>(tokens.size()) / length;
  }
};

// Asked after each sequence; an error ends the walk.
using StreamStep = std::function<Result<void>()>;

// What a stream works in, as large as its largest section; several streams may share one, as long
// as one of them works at a time.
struct StreamScratch {
  std::vector<float> x, y, attended;
};

class HiddenStream {
 public:
  // embed(token, out [hidden]) gives the rows of the embedding, to several threads at a time. The
  // pool and the scratch outlive the stream.
  using Embed = std::function<void(TokenId token, float* out)>;
  HiddenStream(const ModelConfig& config, const TokenSequences& sequences, const Embed& embed,
               StreamScratch& scratch, kernels::ThreadPool& pool);

  int64_t n_sequences() const { return n_sequences_; }
  int32_t length() const { return length_; }  // tokens of a sequence

  // Inputs of the next section, of one sequence: [length, cols], at the front of x, which grows.
  // `norm` [hidden] is the norm before qkv and gate_up; other sections do not look at it.
  void inputs(WeightRole role, const std::vector<float>& norm, int64_t sequence,
              std::vector<float>& x) const;
  // Takes every sequence through the section that the solver holds.
  Result<void> advance(WeightRole role, const std::vector<float>& norm, SectionSolver& solver,
                       const StreamStep& step);

  const float* hidden(int64_t sequence) const;  // [length, hidden]

 private:
  void attend(const float* qkv, float* out) const;
  void add(const float* y, int64_t sequence);
  // Inputs of out and of down in fp16; gate_up [length, 2 ffn] is overwritten.
  void keep_attended(const float* attended, int64_t sequence);
  void keep_activated(float* gate_up, int64_t sequence);
  int64_t first_value(int64_t sequence, int64_t cols) const { return sequence * length_ * cols; }

  ModelConfig config_;
  StreamScratch& scratch_;
  kernels::ThreadPool& pool_;
  int64_t n_sequences_;
  int32_t length_;
  std::vector<float> cos_, sin_;  // [length, head_dim / 2]
  std::vector<float> hidden_;     // [tokens, hidden]
  std::vector<uint16_t> kept_;    // fp16 [tokens, cols], inputs of out or of down
};

}  // namespace incipit::engine
