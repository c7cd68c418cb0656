#include "tests/support/fake_model.h"

#include <algorithm>
#include <limits>

#include "kernels/common/check.h"

namespace incipit::test {

using engine::Candidate;
using engine::ForwardBatch;
using engine::kMaxCandidates;
using engine::TokenId;
using kernels::kPageTokens;

namespace {

constexpr uint64_t kSpoilt = 3;

uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return (x ^ (x >> 31)) | 1;  // never 0, the mark of an unwritten slot
}

uint64_t slot_value(uint64_t seen, TokenId token, int32_t position) {
  return mix(mix(seen, static_cast<uint64_t>(token)), static_cast<uint64_t>(position));
}

TokenId choice(uint64_t seen, int32_t i, int32_t vocab) {
  return static_cast<TokenId>((seen / 7 + static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab));
}

}  // namespace

FakeModel::FakeModel(const Options& options)
    : options_(options), slots_(static_cast<size_t>(options.n_pages) * kPageTokens, 0) {
  config_.vocab = options.vocab;
  config_.max_positions = 1 << 20;
}

uint64_t& FakeModel::slot(const ForwardBatch& batch, int32_t row, int32_t position) {
  const int32_t sequence = batch.sequence_of_row[static_cast<size_t>(row)];
  const int32_t at = position / kPageTokens;
  const int32_t page =
      at < batch.page_table_stride
          ? batch.page_tables[static_cast<size_t>(sequence * batch.page_table_stride + at)]
          : -1;
  if (page < 0 || page >= options_.n_pages) {
    ++n_faults_;
    return fault_slot_;
  }
  return slots_[static_cast<size_t>(page * kPageTokens + position % kPageTokens)];
}

bool FakeModel::forward(const ForwardBatch& batch) {
  ++n_steps_;
  if (on_forward) on_forward(batch);
  if (batch.n_rows() > options_.max_rows) ++n_faults_;
  candidates_.clear();
  if (gives_up && batch.is_unwanted && batch.is_unwanted()) {
    for (int32_t row = 0; row < batch.n_rows(); ++row)
      slot(batch, row, batch.positions[static_cast<size_t>(row)]) = kSpoilt;
    return false;
  }
  for (int32_t row = 0; row < batch.n_rows(); ++row) {
    const int32_t position = batch.positions[static_cast<size_t>(row)];
    const TokenId token = batch.tokens[static_cast<size_t>(row)];
    uint64_t seen = 1;
    for (int32_t p = 0; p < position; ++p) {
      const uint64_t value = slot(batch, row, p);
      if (value == 0) ++n_faults_;
      seen = mix(seen, value);
    }
    const uint64_t own = slot_value(seen, token, position);
    slot(batch, row, position) = own;
    seen = mix(seen, own);
    if (std::ranges::find(batch.logit_rows, row) == batch.logit_rows.end()) continue;
    std::vector<Candidate>& out = candidates_.emplace_back();
    for (int32_t i = 0; i < std::min(kMaxCandidates, options_.vocab); ++i)
      out.push_back({choice(seen, i, options_.vocab), 5.0F - 0.25F * static_cast<float>(i)});
    if (token == nan_token)
      for (Candidate& candidate : out) candidate.logit = std::numeric_limits<float>::quiet_NaN();
  }
  return true;
}

std::span<const Candidate> FakeModel::candidates(int32_t i) const {
  return candidates_[static_cast<size_t>(i)];
}

std::span<const float> FakeModel::logits(int32_t) const {
  return {};
}

// Slots beyond n_tokens become unwritten, so that reading them is noticed.
void FakeModel::copy_page(engine::PageId from, engine::PageId to, int32_t n_tokens) {
  CHECK(from != to);
  const auto source = slots_.begin() + engine::index_of(from) * kPageTokens;
  const auto target = slots_.begin() + engine::index_of(to) * kPageTokens;
  std::copy_n(source, n_tokens, target);
  std::fill(target + n_tokens, target + kPageTokens, 0);
}

void FakeModel::read_page(engine::PageId page, std::span<std::byte> out) {
  const auto first = static_cast<size_t>(engine::index_of(page) * kPageTokens);
  std::ranges::copy(std::as_bytes(std::span(slots_).subspan(first, kPageTokens)), out.begin());
}

void FakeModel::write_page(engine::PageId page, std::span<const std::byte> from) {
  const auto first = static_cast<size_t>(engine::index_of(page) * kPageTokens);
  std::ranges::copy(from,
                    std::as_writable_bytes(std::span(slots_).subspan(first, kPageTokens)).begin());
}

std::vector<TokenId> fake_continuation(const std::vector<TokenId>& prompt, int n, int32_t vocab) {
  std::vector<TokenId> tokens = prompt;
  uint64_t seen = 1;
  for (size_t p = 0; p < prompt.size() + static_cast<size_t>(n); ++p) {
    if (p >= prompt.size()) tokens.push_back(choice(seen, 0, vocab));
    seen = mix(seen, slot_value(seen, tokens[p], static_cast<int32_t>(p)));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()), tokens.end()};
}

}  // namespace incipit::test
