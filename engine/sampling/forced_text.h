// ForcedText: bytes that a generation has to begin with, whatever tokens they come in. For token
// healing: a prompt that ends inside a word ends with tokens that the model never saw there, so the
// word is taken off the prompt and asked for (after Lundberg, "The art of prompt design: prompt
// boundaries and token healing", 2023). Engine thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/base/ids.h"
#include "engine/sampling/sampling_params.h"
#include "engine/sampling/stop_rules.h"
#include "kernels/step_params.h"

namespace incipit::engine {

// The token of each single byte; -1 where a vocabulary has none.
using ByteTokens = std::array<TokenId, 256>;
ByteTokens find_byte_tokens(const TokenBytes& bytes_of, int32_t vocab);

class ForcedText {
 public:
  explicit ForcedText(std::string text) : text_(std::move(text)) {}

  bool done() const { return n_taken_ == text_.size(); }

  // As sample_token(), among the candidates that go on with the text; when there is none, the
  // token of its next byte. Nothing when a candidate is not finite or no token has that byte.
  std::optional<TokenId> sample(std::span<const kernels::Candidate> candidates,
                                const SamplingParams& params, int64_t position,
                                const TokenBytes& bytes_of, const ByteTokens& byte_tokens) const;

  // The token that sample() gave has been appended.
  void take(std::string_view bytes);

 private:
  bool fits(std::string_view bytes) const;

  std::string text_;
  size_t n_taken_ = 0;
};

}  // namespace incipit::engine
