// What the golden tests of the CPU and the CUDA model share: tests/golden/model/pocket.json, and
// how far a model's logits may be from it.
//
// The bound. Our arithmetic differs from float32 in few places, and each is a relative error whose
// root mean square is known without measuring anything:
//   activations  15 bits a group: a step is absmax / 16256, its error uniform, so
//                absmax / (16256 sqrt 12)
//   INT8 pages   a step is a head's absmax / 127: absmax / (127 sqrt 12)
//   fp16         keeps 11 bits: uniform within 2^-11 relative, so 2^-11 / sqrt 3
//   sums         float, at most 2^-24 sqrt(2816) = 3e-6: vanishes beside the others
// What such errors do to the stream and to the logits depends on the model and on the prompt: how
// sharply a softmax looks, how many rows share a key. rounding_deviations.h measures it, with
// random errors of these sizes, and gives the standard deviation of every number. A number may be
// kDeviations of them off. Were they known exactly, it would be 4.5: 160 logits are looked at in
// each of eight comparisons (backends, heads and formats of pages), so that sound arithmetic fails
// once in all of them with a chance of 1 %, and the inputs are fixed. As they come from kDraws
// draws, it is the quantile of Student's distribution with so many degrees of freedom that has the
// probability of 4.5 of the normal one.
//
// The INT8 head adds, per row, half a step to each weight, absmax / 254: an error uniform within
// that, so absmax / 127 / sqrt 12 |n| of standard deviation, n the normed row that it reads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "engine/weights/weights.h"
#include "kernels/common/half.h"
#include "tests/support/model_run.h"
#include "tests/support/rounding_deviations.h"
#include "tests/support/temp_dir.h"

namespace incipit::engine {

using Json = nlohmann::json;

constexpr int32_t kDraws = 16;
constexpr double kDeviations = 6.54;

// Of n greedy tokens so many may be other ones with INT8 keys and values: each of them one whose
// rival was within the bound.
constexpr int most_other_tokens(int n) {
  return n / 20;
}

inline constexpr double kSqrt12 = 3.4641016;
inline constexpr test::RoundingError k15Bits = {.of_largest = 1 / (16256 * kSqrt12)};
inline constexpr test::RoundingError kInt8 = {.of_largest = 1 / (127 * kSqrt12)};
inline constexpr double kEpsHalf = 2.82e-4;
inline constexpr test::RoundingError kHalf = {.relative = kEpsHalf};

inline test::Rounding cpu_rounding(HeadFormat head) {
  test::Rounding rounding = {.product_rows = k15Bits, .pages = kHalf};
  if (head == HeadFormat::kInt8) rounding.head_rows = k15Bits;
  return rounding;
}

inline Json read_golden(const std::string& path) {
  std::ifstream in(path);
  return Json::parse(in);
}

inline const Json& golden() {
  static const Json file = read_golden(INCIPIT_SOURCE_DIR "/tests/golden/model/pocket.json");
  return file;
}

// Of a checkpoint in Hugging Face layout.
inline Weights<kernels::CpuTile> weights_of(const std::string& directory, HeadFormat head) {
  static const test::TempDir cache;
  return load_weights(directory, {.head_format = head, .cache_dir = cache.path().string()}).value();
}

inline Weights<kernels::CpuTile> pocket(HeadFormat head) {
  return weights_of(INCIPIT_SOURCE_DIR "/engine/models/pocket", head);
}

// A step of more than 64 rows that is given up between two layers, and then comes again with other
// tokens: the same bits as without.
inline void expect_no_trace_of_a_step_given_up(Model& model) {
  std::mt19937 random(7);
  const auto some_tokens = [&](size_t n) {
    std::vector<TokenId> tokens(n);
    for (TokenId& token : tokens)
      token = static_cast<TokenId>(random() % static_cast<uint32_t>(model.config().vocab));
    return tokens;
  };
  const std::vector<TokenId> before = some_tokens(100);
  const std::vector<TokenId> after = some_tokens(80);
  std::vector<float> logits[2];
  for (const bool gives_up : {false, true}) {
    ASSERT_TRUE(model.forward(batch_of(before, 0)));
    if (gives_up) {
      ForwardBatch unwanted = batch_of(some_tokens(90), 100);
      int n_asked = 0;
      unwanted.is_unwanted = [&] { return ++n_asked == 3; };
      ASSERT_FALSE(model.forward(unwanted));
      EXPECT_EQ(n_asked, 3);
    }
    ForwardBatch wanted = batch_of(after, 100);
    wanted.is_unwanted = [] { return false; };
    ASSERT_TRUE(model.forward(wanted));
    const std::span<const float> last = model.logits(79);
    logits[gives_up ? 1 : 0].assign(last.begin(), last.end());
  }
  EXPECT_EQ(logits[0], logits[1]);
}

// The deviations of the last row's logits where the head is rounded to INT8. `f16`: it as it was.
inline std::vector<double> with_int8_head(std::vector<double> deviations, const ModelRun& run,
                                          const Weights<kernels::CpuTile>& f16) {
  const auto hidden = static_cast<size_t>(f16.config.hidden);
  const size_t last = run.logits.size() - 1;
  const double length = norm(row_of(run.stages.back(), last, hidden));
  for (size_t t = 0; t < deviations.size(); ++t) {
    double absmax = 0;
    for (size_t i = 0; i < hidden; ++i)
      absmax =
          std::max(absmax, std::abs(double{kernels::half_to_float(f16.head_f16[t * hidden + i])}));
    deviations[t] = std::hypot(deviations[t], absmax / 127 / std::sqrt(12.0) * length);
  }
  return deviations;
}

inline void expect_norms(const Json& prompt, const ModelRun& run,
                         const test::Deviations& deviations, size_t hidden) {
  for (size_t stage = 0; stage < run.stages.size(); ++stage) {
    const size_t n_rows = run.stages[stage].size() / hidden;
    const double last = norm(row_of(run.stages[stage], n_rows - 1, hidden));
    double all_error = 0;
    for (double e : deviations.stages[stage]) all_error += e * e;
    const double golden_last = prompt["hidden_norm_last_position"][stage];
    const double golden_all = prompt["hidden_norm_all_positions"][stage];
    // 2e-7: the golden file's own float32 sums.
    EXPECT_NEAR(last, golden_last, deviations.stages[stage][n_rows - 1] + 2e-7 * golden_last)
        << "stage " << stage << ", last position";
    EXPECT_NEAR(norm(run.stages[stage]), golden_all, std::sqrt(all_error) + 2e-7 * golden_all)
        << "stage " << stage << ", all positions";
  }
}

// Checks the last row's logits; returns the largest error as a share of its bound.
inline double expect_logits(const Json& prompt, const ModelRun& run,
                            const std::vector<double>& deviations) {
  const std::vector<float>& logits = run.logits.back();
  double worst = 0;
  double largest_deviation = 0;
  for (const Json& entry : prompt["top20"]) {
    const auto token = entry[0].get<size_t>();
    const double error = std::abs(double{logits[token]} - entry[1].get<double>());
    EXPECT_LE(error, kDeviations * deviations[token]) << "token " << token;
    worst = std::max(worst, error / (kDeviations * deviations[token]));
    largest_deviation = std::max(largest_deviation, deviations[token]);
  }
  double sum = 0;
  double squares = 0;
  double deviation2 = 0;
  for (size_t t = 0; t < logits.size(); ++t) {
    sum += logits[t];
    squares += double{logits[t]} * double{logits[t]};
    deviation2 += deviations[t] * deviations[t];
  }
  const auto n = static_cast<double>(logits.size());
  const double mean = sum / n;
  const double top = *std::ranges::max_element(logits);
  double exponentials = 0;
  for (float logit : logits) exponentials += std::exp(double{logit} - top);
  // Mean and deviation are averages over the errors, log-sum-exp a weighted mean of them.
  const double rms = std::sqrt(deviation2 / n);
  EXPECT_NEAR(mean, prompt["logits_mean"].get<double>(), kDeviations * rms);
  EXPECT_NEAR(std::sqrt(squares / n - mean * mean), prompt["logits_std"].get<double>(),
              kDeviations * rms);
  EXPECT_NEAR(std::log(exponentials) + top, prompt["logsumexp"].get<double>(),
              kDeviations * largest_deviation);
  return worst;
}

// Feeds the golden continuation token by token. Where our choice differs, both must be so near to
// each other that the bound cannot tell them apart. Returns how many were so.
inline int follow_greedy(Model& model, const std::vector<TokenId>& prompt, const Json& greedy,
                         const std::vector<double>& deviations) {
  int n_undecided = 0;
  auto position = static_cast<int32_t>(prompt.size());
  int32_t row = position - 1;
  for (const Json& entry : greedy) {
    const auto token = entry.get<TokenId>();
    const Candidate top = model.candidates(row)[0];
    if (top.token != token) {
      const double margin = top.logit - model.logits(row)[static_cast<size_t>(token)];
      EXPECT_LE(margin, kDeviations * (deviations[static_cast<size_t>(token)] +
                                       deviations[static_cast<size_t>(top.token)]))
          << "at position " << position << ": chose " << top.token << ", golden has " << token;
      ++n_undecided;
    }
    model.forward(batch_of({token}, position++));
    row = 0;
  }
  return n_undecided;
}

// A model against golden prompts, one after the other.
class GoldenComparison {
 public:
  // The weights that the golden file was made from, their head not rounded.
  explicit GoldenComparison(Weights<kernels::CpuTile> f16)
      : f16_(std::move(f16)), deviations_(f16_, kDraws) {}

  // `head`: kInt8 where the model's head is rounded and the golden file's is not.
  void add(const Json& prompt, Model& model, const test::Rounding& rounding, HeadFormat head) {
    SCOPED_TRACE(prompt["name"].get<std::string>());
    const auto tokens = prompt["input_ids"].get<std::vector<TokenId>>();
    const ModelRun run = run_model(model, tokens, tokens.size() - 1);
    ASSERT_EQ(run.stages.size(), prompt["hidden_norm_all_positions"].size());
    const test::Deviations allowed = deviations_.of(tokens, rounding, tokens.size() - 1);
    expect_norms(prompt, run, allowed, static_cast<size_t>(model.config().hidden));
    std::vector<double> logits = allowed.logits.back();
    if (head == HeadFormat::kInt8) logits = with_int8_head(std::move(logits), run, f16_);
    worst_ = std::max(worst_, expect_logits(prompt, run, logits));
    n_undecided_ += follow_greedy(model, tokens, prompt["greedy_32"], logits);
    ++n_prompts_;
  }

  // The largest error of a logit as a share of its bound. Far below it the bound would say nothing.
  double worst() const { return worst_; }
  int n_undecided() const { return n_undecided_; }
  int n_greedy() const { return 32 * n_prompts_; }
  int n_prompts() const { return n_prompts_; }

  void print() const {
    std::printf(
        "[ measured ] %d prompts: largest logit error is %.2f of its bound; %d of %d greedy tokens "
        "undecided\n",
        n_prompts_, worst_, n_undecided_, n_greedy());
  }

 private:
  Weights<kernels::CpuTile> f16_;
  test::RoundingDeviations deviations_;
  double worst_ = 0;
  int n_undecided_ = 0;
  int n_prompts_ = 0;
};

inline std::vector<TokenId> golden_tokens(const std::string& name) {
  for (const Json& prompt : golden()["prompts"])
    if (prompt["name"] == name) return prompt["input_ids"].get<std::vector<TokenId>>();
  return {};
}

}  // namespace incipit::engine
