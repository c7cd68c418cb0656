// A row's logits are the same bits however its sequence came to the model: in one step or token by
// token, alone or beside others, on one thread or several, on any instruction set.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/steps.h"
#include "tests/support/layer_fixture.h"

namespace incipit::kernels {
namespace {

constexpr LayerShape kShape = {"", 160, 96, 70, {4, 2, 64}, 32, false};
constexpr int32_t kLayers = 2;  // the same weights twice, with pages of their own
const std::vector<int32_t> kSequenceLengths = {21, 270, 16};

struct Schedule {
  Isa isa = best_isa();
  int n_threads = 1;
  int32_t chunk = 1000;     // rows of one sequence a step takes at most
  bool one_by_one = false;  // sequences do not share steps
  bool reverse_pages = false;
};

class Sequences {
 public:
  Sequences() : random_(test_seed()), w_(make_weights(kShape, 300, random_)) {
    for (const int32_t length : kSequenceLengths) {
      tokens_.emplace_back();
      for (int32_t i = 0; i < length; ++i) {
        tokens_.back().push_back(static_cast<int32_t>(random_() % kShape.vocab));
      }
    }
  }

  // Logits of every token of every sequence, [sequence][token, vocab].
  std::vector<std::vector<float>> logits(const Schedule& schedule) {
    ThreadPool pool(schedule.n_threads);
    CpuSteps steps(schedule.isa, pool,
                   {400, 400, kShape.hidden, kShape.ffn, kShape.vocab, kShape.heads});
    make_pages(schedule);
    logits_.clear();
    for (const int32_t length : kSequenceLengths)
      logits_.push_back(poisoned(int64_t{length} * kShape.vocab));
    std::vector<int32_t> done(kSequenceLengths.size(), 0);
    for (bool more = true; more;) {
      more = false;
      batch_.positions.clear();
      batch_.sequence_of_row.clear();
      for (size_t s = 0; s < kSequenceLengths.size(); ++s) {
        const int32_t n = std::min(schedule.chunk, kSequenceLengths[s] - done[s]);
        for (int32_t i = 0; i < n; ++i) {
          batch_.positions.push_back(done[s]++);
          batch_.sequence_of_row.push_back(static_cast<int32_t>(s));
        }
        more = more || n > 0;
        if (schedule.one_by_one && n > 0) break;
      }
      if (more) step(steps);
    }
    return logits_;
  }

 private:
  void make_pages(const Schedule& schedule) {
    std::mt19937 layout(1);
    std::vector<RowRun> runs;
    for (size_t s = 0; s < kSequenceLengths.size(); ++s) {
      runs.push_back({static_cast<int32_t>(s), 0, kSequenceLengths[s]});
    }
    batch_ = make_batch(kShape.heads, runs, layout);
    if (schedule.reverse_pages) {
      for (int32_t& page : batch_.page_tables) {
        if (page != kNoSuchPage) page = batch_.n_pages - 1 - page;
      }
    }
    std::fill(batch_.k_pages.begin(), batch_.k_pages.end(), kLargestHalfBits);
    std::fill(batch_.v_pages.begin(), batch_.v_pages.end(), kLargestHalfBits);
    pages_.assign(kLayers, {batch_.k_pages, batch_.v_pages});
  }

  void step(CpuSteps& steps) {
    const int32_t n_rows = batch_.n_rows();
    std::vector<int32_t> tokens, rows;
    for (int32_t row = 0; row < n_rows; ++row) {
      const auto i = static_cast<size_t>(row);
      tokens.push_back(tokens_[static_cast<size_t>(batch_.sequence_of_row[i])]
                              [static_cast<size_t>(batch_.positions[i])]);
      rows.push_back(row);
    }
    std::vector<float> x = poisoned(int64_t{n_rows} * kShape.hidden);
    std::vector<float> q = poisoned(int64_t{n_rows} * kShape.q_width());
    std::vector<float> attention = q;
    std::vector<float> normed = x;
    std::vector<float> logits = poisoned(int64_t{n_rows} * kShape.vocab);
    steps.embed({n_rows, kShape.hidden, tokens.data(), w_.embedding.data(), x.data()});
    for (auto& [k_pages, v_pages] : pages_) {
      batch_.k_pages.swap(k_pages);
      batch_.v_pages.swap(v_pages);
      steps.qkv_rope_append(qkv_params(w_, batch_, x.data(), q.data()));
      steps.attention(attention_params(w_, batch_, q.data(), attention.data()));
      batch_.k_pages.swap(k_pages);
      batch_.v_pages.swap(v_pages);
      steps.out_proj_add(out_proj_params(w_, n_rows, attention.data(), x.data()));
      steps.mlp_add(mlp_params(w_, n_rows, x.data()));
    }
    steps.lm_head(head_params(w_, Head::kInt8, rows, x.data(), normed.data(), logits.data()));
    for (int32_t row = 0; row < n_rows; ++row) {
      const auto i = static_cast<size_t>(row);
      std::copy_n(logits.begin() + row * kShape.vocab, kShape.vocab,
                  logits_[static_cast<size_t>(batch_.sequence_of_row[i])].begin() +
                      batch_.positions[i] * kShape.vocab);
    }
  }

  std::mt19937 random_;
  LayerWeights w_;
  std::vector<std::vector<int32_t>> tokens_;
  PagedBatch batch_;
  std::vector<std::pair<std::vector<uint16_t>, std::vector<uint16_t>>> pages_;  // of each layer
  std::vector<std::vector<float>> logits_;
};

void expect_same_bits(const std::vector<std::vector<float>>& a,
                      const std::vector<std::vector<float>>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t s = 0; s < a.size(); ++s) {
    for (size_t i = 0; i < a[s].size(); ++i) {
      ASSERT_EQ(std::memcmp(&a[s][i], &b[s][i], sizeof(float)), 0)
          << what << ": sequence " << s << ", position " << i / kShape.vocab << ", token "
          << i % kShape.vocab << ": " << a[s][i] << " and " << b[s][i];
    }
  }
}

TEST(StepInvariance, LogitsDoNotDependOnTheChunks) {
  Sequences sequences;
  const auto whole = sequences.logits({});
  for (const int32_t chunk : {1, 7, 64}) {
    Schedule schedule;
    schedule.chunk = chunk;
    expect_same_bits(whole, sequences.logits(schedule), "chunks of " + std::to_string(chunk));
  }
}

TEST(StepInvariance, LogitsDoNotDependOnOtherSequences) {
  Sequences sequences;
  Schedule alone;
  alone.one_by_one = true;
  expect_same_bits(sequences.logits({}), sequences.logits(alone), "one sequence at a time");
}

TEST(StepInvariance, LogitsDoNotDependOnThreadsOrPages) {
  Sequences sequences;
  const auto one_thread = sequences.logits({});
  for (const int n_threads : {2, 3}) {
    Schedule schedule;
    schedule.n_threads = n_threads;
    schedule.chunk = n_threads == 2 ? 1000 : 5;
    schedule.reverse_pages = true;
    expect_same_bits(one_thread, sequences.logits(schedule),
                     std::to_string(n_threads) + " threads");
  }
}

TEST(StepInvariance, LogitsDoNotDependOnTheInstructionSet) {
  Sequences sequences;
  Schedule scalar;
  scalar.isa = Isa::kScalar;
  const auto want = sequences.logits(scalar);
  for (const Isa isa : isas_of_this_machine()) {
    Schedule schedule;
    schedule.isa = isa;
    expect_same_bits(want, sequences.logits(schedule), name_of(isa));
  }
}

}  // namespace
}  // namespace incipit::kernels
