#include "engine/sampling/forced_text.h"

#include <algorithm>
#include <cmath>

#include "engine/model/model.h"
#include "engine/sampling/sampler.h"
#include "kernels/common/check.h"

namespace incipit::engine {

ByteTokens find_byte_tokens(const TokenBytes& bytes_of, int32_t vocab) {
  ByteTokens found;
  found.fill(-1);
  for (TokenId token = 0; token < vocab; ++token) {
    const std::string_view bytes = bytes_of(token);
    if (bytes.size() != 1) continue;
    TokenId& place = found[static_cast<unsigned char>(bytes[0])];
    if (place < 0) place = token;
  }
  return found;
}

// Special tokens have no bytes and never fit.
bool ForcedText::fits(std::string_view bytes) const {
  const std::string_view left = std::string_view(text_).substr(n_taken_);
  return !bytes.empty() && (bytes.starts_with(left) || left.starts_with(bytes));
}

std::optional<TokenId> ForcedText::sample(std::span<const kernels::Candidate> candidates,
                                          const SamplingParams& params, int64_t position,
                                          const TokenBytes& bytes_of,
                                          const ByteTokens& byte_tokens) const {
  CHECK(!done());
  CHECK_LE(candidates.size(), static_cast<size_t>(kMaxCandidates));
  std::array<kernels::Candidate, kMaxCandidates> fitting;
  size_t n = 0;
  for (const kernels::Candidate& candidate : candidates) {
    if (!std::isfinite(candidate.logit)) return std::nullopt;
    if (fits(bytes_of(candidate.token))) fitting[n++] = candidate;
  }
  if (n > 0) return sample_token(std::span(fitting).first(n), params, position);
  const TokenId token = byte_tokens[static_cast<unsigned char>(text_[n_taken_])];
  if (token < 0) return std::nullopt;
  return token;
}

void ForcedText::take(std::string_view bytes) {
  CHECK(fits(bytes));
  n_taken_ = std::min(text_.size(), n_taken_ + bytes.size());
}

}  // namespace incipit::engine
