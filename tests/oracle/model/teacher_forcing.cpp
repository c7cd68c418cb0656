#include "tests/oracle/model/teacher_forcing.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "engine/kv/page_table.h"

namespace incipit::oracle {

namespace {

using engine::ForwardBatch;
using engine::kPageTokens;
using engine::Model;
using engine::pages_for;
using engine::TokenId;

// Page numbers in no order: two sequences of n_tokens, the second with pages of its own.
struct Pages {
  explicit Pages(int32_t n_tokens) : numbers(static_cast<size_t>(2 * pages_for(n_tokens))) {
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(7));
  }
  std::vector<int32_t> first() const {
    return {numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2)};
  }
  std::vector<int32_t> second() const {
    return {numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2), numbers.end()};
  }
  std::vector<int32_t> numbers;
};

// Feeds a sequence to the model and appends logits to a file.
class Forcing {
 public:
  Forcing(Model& model, int32_t max_logit_rows, std::ofstream& out)
      : model_(model), max_logit_rows_(max_logit_rows), out_(out) {}

  // Positions begin..end in chunks, with their logits.
  void run(const std::vector<TokenId>& tokens, int32_t begin, int32_t end, int32_t chunk,
           const std::vector<int32_t>& pages) {
    for (int32_t at = begin; at < end; at += chunk) {
      ForwardBatch batch = batch_of(tokens, at, std::min(end, at + chunk), pages);
      for (int32_t row = 0; row < batch.n_rows(); row += max_logit_rows_) {
        const int32_t n = std::min(max_logit_rows_, batch.n_rows() - row);
        batch.logit_rows.resize(static_cast<size_t>(n));
        std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), row);
        model_.forward(batch);
        for (int32_t i = 0; i < n; ++i) append(model_.logits(i));
      }
    }
  }

  // One step without logits.
  void fill(const std::vector<TokenId>& tokens, int32_t begin, int32_t end,
            const std::vector<int32_t>& pages) {
    model_.forward(batch_of(tokens, begin, end, pages));
  }

 private:
  static ForwardBatch batch_of(const std::vector<TokenId>& tokens, int32_t begin, int32_t end,
                               const std::vector<int32_t>& pages) {
    ForwardBatch batch;
    batch.tokens.assign(tokens.begin() + begin, tokens.begin() + end);
    batch.positions.resize(batch.tokens.size());
    std::iota(batch.positions.begin(), batch.positions.end(), begin);
    batch.sequence_of_row.assign(batch.tokens.size(), 0);
    batch.page_table_stride = pages_for(end);
    batch.page_tables.assign(pages.begin(), pages.begin() + batch.page_table_stride);
    return batch;
  }

  void append(std::span<const float> logits) {
    out_.write(reinterpret_cast<const char*>(logits.data()),
               static_cast<std::streamsize>(logits.size_bytes()));
  }

  Model& model_;
  int32_t max_logit_rows_;
  std::ofstream& out_;
};

// What another sequence left behind: the prefix, and other tokens up to the end of its last page.
std::vector<TokenId> other_sequence(const std::vector<TokenId>& tokens, int32_t n_cached,
                                    int32_t vocab) {
  std::vector<TokenId> other(tokens.begin(), tokens.begin() + n_cached);
  while (static_cast<int32_t>(other.size()) % kPageTokens != 0)
    other.push_back((tokens[other.size()] + 1) % vocab);
  return other;
}

void run_cached(Model& model, const std::vector<TokenId>& tokens, const Pass& pass,
                Forcing& forcing) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const Pages pages(n_tokens);
  const std::vector<int32_t> theirs = pages.first();
  std::vector<int32_t> ours = pages.second();
  const std::vector<TokenId> other = other_sequence(tokens, pass.n_cached, model.config().vocab);
  forcing.run(other, 0, pass.n_cached, pass.prefix_chunk, theirs);
  const int32_t n_full = pass.n_cached / kPageTokens;
  const int32_t n_partial = pass.n_cached % kPageTokens;
  std::copy_n(theirs.begin(), n_full, ours.begin());
  if (n_partial > 0) {
    forcing.fill(other, pass.n_cached, static_cast<int32_t>(other.size()), theirs);
    const auto partial = static_cast<size_t>(n_full);
    model.copy_page(engine::PageId{theirs[partial]}, engine::PageId{ours[partial]}, n_partial);
  }
  forcing.run(tokens, pass.n_cached, n_tokens, pass.chunk, ours);
}

}  // namespace

std::vector<Pass> passes_over(int32_t n_tokens, int32_t flat_rows) {
  const int32_t half = n_tokens / 2 + kPageTokens / 2;  // ends inside a page for n a multiple of 32
  const std::string flat = "flat.logits";
  return {
      {"cold, one chunk", "one_chunk.logits", n_tokens, 0, 0, ""},
      {"cold, chunks of 512", "chunks_512.logits", 512, 0, 0, ""},
      {fmt::format("chunks of {}", flat_rows), flat, flat_rows, 0, 0, ""},
      {"chunks of 17", "chunks_17.logits", 17, 0, 0, flat},
      {"one token a step", "decode.logits", 1, 0, 0, flat},
      {fmt::format("{} cached, then chunks of 23", half), "cached_flat.logits", 23, half, flat_rows,
       flat},
      {fmt::format("{} cached, then chunks of 300", half), "cached_large.logits", 300, half, 512,
       ""},
  };
}

engine::ModelLimits limits_for(int32_t n_tokens, int32_t max_logit_rows) {
  return {.n_pages = 2 * pages_for(n_tokens),
          .context_tokens = n_tokens,
          .max_rows = n_tokens,
          .max_sequences = 8,
          .max_logit_rows = max_logit_rows};
}

Result<void> run_pass(Model& model, const std::vector<TokenId>& tokens, const Pass& pass,
                      int32_t max_logit_rows, const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / pass.file;
  std::ofstream out(path, std::ios::binary);
  Forcing forcing(model, max_logit_rows, out);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (pass.n_cached > 0) {
    run_cached(model, tokens, pass, forcing);
  } else {
    forcing.run(tokens, 0, n_tokens, pass.chunk, Pages(n_tokens).first());
  }
  out.close();
  if (out) return {};
  return Error{ErrorCode::kIo, fmt::format("{}: cannot be written", path.string())};
}

}  // namespace incipit::oracle
