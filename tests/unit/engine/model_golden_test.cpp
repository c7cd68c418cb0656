// Pocket against an independent implementation (Hugging Face transformers, float32, on the
// dequantised INT4 weights): tests/golden/model/pocket.json.
//
// The bound. Our arithmetic differs from float32 in three places; each is a relative error whose
// root mean square is known without measuring anything:
//   activations  15 bits a group of 128: a step is absmax / 16256, its error is uniform, so the
//                relative error is (absmax / rms) / (16256 sqrt 12). absmax / rms is at most
//                sqrt 128 in a group:                            eps_q  = 2.0e-4
//   KV pages     fp16 keeps 11 bits: uniform within 2^-11 relative: eps_kv = 2^-11 / sqrt 3
//   = 2.8e-4 sums         float, at most 2^-24 sqrt(2816) = 3e-6: vanishes beside the others
// A branch of a layer (attention or MLP) has two quantised products, and attention reads one K and
// one V, so a layer adds to the residual stream an error of eta |b|, where b is what the layer
// added and eta = sqrt(2 eps_q^2 + 2 eps_kv^2) = 4.9e-4. Errors already there, of relative size r,
// pass through the layer: the branch is degree 0 in the stream (RMSNorm) and maps a random
// direction no longer than the signal itself, once per factor of SwiGLU's product: sqrt 2 in
// quadrature. With independent errors, layer by layer (b_l from our own run):
//     e_l^2 = e_(l-1)^2 (1 + 2 |b_l|^2 / |x_(l-1)|^2) + eta^2 |b_l|^2,     e_0 = 0
// The norm of the stream differs by at most e_l (triangle inequality). The final norm keeps the
// relative error r = e_L / |x_L|; a random direction of length r |n| meets row t of the head with
// standard deviation r |n| |w_t| / sqrt(hidden). Logits are allowed four of these (160 of them are
// looked at; 1 % chance that sound arithmetic fails once, and the inputs are fixed).
// The INT8 head adds, per row, half a step to each weight, absmax / 254: an error uniform within
// that, so absmax / 127 / sqrt 12 |n| of standard deviation, and never more than absmax / 254
// sum |n_i|; its activations are quantised too: eps_q |w_t| |n| / sqrt(hidden).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/model/llama.h"
#include "kernels/common/half.h"
#include "kernels/cpu/isa.h"
#include "tests/support/reference_backend.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_scale.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;

constexpr int32_t kContext = 512;
constexpr double kEpsQuantised = 2.0e-4;
constexpr double kEpsKv = 2.8e-4;
constexpr double kDeviations = 4;

const Json& golden() {
  static const Json file = [] {
    std::ifstream in(INCIPIT_SOURCE_DIR "/tests/golden/model/pocket.json");
    return Json::parse(in);
  }();
  return file;
}

Weights<kernels::CpuTile> pocket(HeadFormat head) {
  static const test::TempDir cache;
  return load_weights(INCIPIT_SOURCE_DIR "/engine/models/pocket",
                      {.head_format = head, .cache_dir = cache.path().string()})
      .value();
}

std::unique_ptr<Model> cpu_model(HeadFormat head, const std::string& isa) {
  return create_cpu_model(pocket(head),
                          {.n_pages = pages_for(kContext),
                           .context_tokens = kContext,
                           .max_rows = kContext,
                           .max_sequences = 1,
                           .max_logit_rows = kContext},
                          {.n_threads = 2, .isa = isa})
      .value();
}

// Tokens of one sequence from `position` on; logits of every row.
ForwardBatch batch_of(const std::vector<TokenId>& tokens, int32_t position) {
  ForwardBatch batch;
  batch.tokens = tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.positions.push_back(position + static_cast<int32_t>(i));
    batch.sequence_of_row.push_back(0);
    batch.logit_rows.push_back(static_cast<int32_t>(i));
  }
  batch.page_table_stride = pages_for(kContext);
  // Backwards: nothing may depend on pages lying in order.
  for (int32_t page = batch.page_table_stride - 1; page >= 0; --page)
    batch.page_tables.push_back(page);
  return batch;
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (float v : values) sum += double{v} * double{v};
  return std::sqrt(sum);
}

// One run: the residual stream after each stage, and the bound on its error, row by row.
struct ModelRun {
  std::vector<std::vector<float>> stages;         // [n_layers + 2][n_rows * hidden]
  std::vector<std::vector<double>> stage_errors;  // [n_layers + 2][n_rows], e_l
  std::vector<float> logits;                      // of the last row
};

std::span<const float> row_of(const std::vector<float>& stage, size_t row, size_t hidden) {
  return std::span(stage).subspan(row * hidden, hidden);
}

ModelRun run_model(Model& model, const std::vector<TokenId>& tokens) {
  ModelRun out;
  ForwardBatch batch = batch_of(tokens, 0);
  batch.on_hidden = [&](int stage, std::span<const float> values) {
    ASSERT_EQ(static_cast<size_t>(stage), out.stages.size());
    out.stages.emplace_back(values.begin(), values.end());
  };
  model.forward(batch);
  const std::span<const float> logits = model.logits(static_cast<int32_t>(tokens.size()) - 1);
  out.logits.assign(logits.begin(), logits.end());

  const auto hidden = static_cast<size_t>(model.config().hidden);
  const double eta2 = 2 * kEpsQuantised * kEpsQuantised + 2 * kEpsKv * kEpsKv;
  const size_t n_layers = out.stages.size() - 2;
  out.stage_errors.emplace_back(tokens.size(), 0.0);
  for (size_t l = 1; l <= n_layers; ++l) {
    std::vector<double>& errors = out.stage_errors.emplace_back();
    for (size_t row = 0; row < tokens.size(); ++row) {
      const std::span<const float> x = row_of(out.stages[l], row, hidden);
      const std::span<const float> before = row_of(out.stages[l - 1], row, hidden);
      double b2 = 0;
      for (size_t i = 0; i < hidden; ++i) b2 += std::pow(double{x[i]} - double{before[i]}, 2);
      const double x2 = std::pow(norm(before), 2);
      const double e = out.stage_errors[l - 1][row];
      errors.push_back(std::sqrt(e * e * (1 + 2 * b2 / x2) + eta2 * b2));
    }
  }
  std::vector<double>& last = out.stage_errors.emplace_back();
  for (size_t row = 0; row < tokens.size(); ++row) {
    const double r =
        out.stage_errors[n_layers][row] / norm(row_of(out.stages[n_layers], row, hidden));
    last.push_back(r * norm(row_of(out.stages[n_layers + 1], row, hidden)));
  }
  return out;
}

// Standard deviation of the error of each logit of the last row, from the rows of the head.
std::vector<double> logit_deviations(const ModelRun& run, const Weights<kernels::CpuTile>& f16,
                                     HeadFormat head) {
  const auto hidden = static_cast<size_t>(f16.config.hidden);
  const size_t last = run.stages.back().size() / hidden - 1;
  const double n_length = norm(row_of(run.stages.back(), last, hidden));
  const double stream = run.stage_errors.back()[last];
  std::vector<double> deviations;
  for (int32_t t = 0; t < f16.config.vocab; ++t) {
    double sum = 0;
    double absmax = 0;
    for (size_t i = 0; i < hidden; ++i) {
      const double w = kernels::half_to_float(f16.head_f16[static_cast<size_t>(t) * hidden + i]);
      sum += w * w;
      absmax = std::max(absmax, std::abs(w));
    }
    const double per_unit = std::sqrt(sum / static_cast<double>(hidden));
    double variance = std::pow(stream * per_unit, 2);
    if (head == HeadFormat::kInt8)
      variance += std::pow(absmax / 127 / std::sqrt(12.0) * n_length, 2) +
                  std::pow(kEpsQuantised * n_length * per_unit, 2);
    deviations.push_back(std::sqrt(variance));
  }
  return deviations;
}

void expect_norms(const Json& prompt, const ModelRun& run, size_t hidden) {
  for (size_t stage = 0; stage < run.stages.size(); ++stage) {
    const size_t n_rows = run.stages[stage].size() / hidden;
    const double last = norm(row_of(run.stages[stage], n_rows - 1, hidden));
    double all_error = 0;
    for (double e : run.stage_errors[stage]) all_error += e * e;
    const double golden_last = prompt["hidden_norm_last_position"][stage];
    const double golden_all = prompt["hidden_norm_all_positions"][stage];
    // 2e-7: the golden file's own float32 sums.
    EXPECT_NEAR(last, golden_last, run.stage_errors[stage][n_rows - 1] + 2e-7 * golden_last)
        << "stage " << stage << ", last position";
    EXPECT_NEAR(norm(run.stages[stage]), golden_all, std::sqrt(all_error) + 2e-7 * golden_all)
        << "stage " << stage << ", all positions";
  }
}

// Checks the last row's logits; returns the largest error as a share of its bound.
double expect_logits(const Json& prompt, const ModelRun& run,
                     const std::vector<double>& deviations) {
  double worst = 0;
  double largest_deviation = 0;
  for (const Json& entry : prompt["top20"]) {
    const auto token = entry[0].get<size_t>();
    const double error = std::abs(double{run.logits[token]} - entry[1].get<double>());
    EXPECT_LE(error, kDeviations * deviations[token]) << "token " << token;
    worst = std::max(worst, error / (kDeviations * deviations[token]));
    largest_deviation = std::max(largest_deviation, deviations[token]);
  }
  double sum = 0;
  double squares = 0;
  double deviation2 = 0;
  for (size_t t = 0; t < run.logits.size(); ++t) {
    sum += run.logits[t];
    squares += double{run.logits[t]} * double{run.logits[t]};
    deviation2 += deviations[t] * deviations[t];
  }
  const auto n = static_cast<double>(run.logits.size());
  const double mean = sum / n;
  const double top = *std::ranges::max_element(run.logits);
  double exponentials = 0;
  for (float logit : run.logits) exponentials += std::exp(double{logit} - top);
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
int follow_greedy(Model& model, const std::vector<TokenId>& prompt, const Json& greedy,
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

struct Case {
  HeadFormat head;
  std::string isa;
};

class ModelGoldenTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!kernels::isa_supported(*kernels::parse_isa(GetParam().isa)))
      GTEST_SKIP() << "this machine has no " << GetParam().isa;
    if (test::kSanitized && GetParam().isa == "scalar")
      GTEST_SKIP() << "too slow under a sanitizer; its bits are compared below";
  }
};

TEST_P(ModelGoldenTest, AgreesWithTheIndependentImplementation) {
  const auto [head, isa] = GetParam();
  const std::unique_ptr<Model> model = cpu_model(head, isa);
  const Weights<kernels::CpuTile> f16 = pocket(HeadFormat::kF16);
  double worst = 0;
  int n_undecided = 0;
  int n_prompts = 0;
  // What is slow takes the short prompts only; the next test ties all instruction sets together.
  const bool fast = isa == "avx512" && !test::kSanitized;
  const size_t longest = isa == "scalar" ? 8 : fast ? 1000 : test::kSanitized ? 40 : 120;
  for (const Json& prompt : golden()["prompts"]) {
    const auto tokens = prompt["input_ids"].get<std::vector<TokenId>>();
    if (tokens.size() > longest) continue;
    SCOPED_TRACE(prompt["name"].get<std::string>());
    ++n_prompts;
    const ModelRun result = run_model(*model, tokens);
    ASSERT_EQ(result.stages.size(), prompt["hidden_norm_all_positions"].size());
    expect_norms(prompt, result, static_cast<size_t>(model->config().hidden));
    const std::vector<double> deviations = logit_deviations(result, f16, head);
    worst = std::max(worst, expect_logits(prompt, result, deviations));
    n_undecided += follow_greedy(*model, tokens, prompt["greedy_32"], deviations);
  }
  std::printf(
      "[ measured ] %d prompts: largest logit error is %.2f of its bound; %d of %d greedy "
      "tokens undecided\n",
      n_prompts, worst, n_undecided, 32 * n_prompts);
  EXPECT_GT(n_prompts, 0);
  // Far below the bound would mean that the bound says nothing.
  EXPECT_GT(worst, 0.05);
  if (head == HeadFormat::kF16) {
    EXPECT_EQ(n_undecided, 0) << "so the greedy continuations are equal, token for token";
  }
}

INSTANTIATE_TEST_SUITE_P(
    HeadsAndInstructionSets, ModelGoldenTest,
    ::testing::Values(Case{HeadFormat::kF16, "avx512"}, Case{HeadFormat::kInt8, "avx512"},
                      Case{HeadFormat::kF16, "avx2"}, Case{HeadFormat::kInt8, "avx2"},
                      Case{HeadFormat::kF16, "scalar"}, Case{HeadFormat::kInt8, "scalar"}),
    [](const auto& c) {
      return std::string(c.param.head == HeadFormat::kF16 ? "F16_" : "Int8_") + c.param.isa;
    });

std::vector<TokenId> golden_tokens(const std::string& name) {
  for (const Json& prompt : golden()["prompts"])
    if (prompt["name"] == name) return prompt["input_ids"].get<std::vector<TokenId>>();
  return {};
}

TEST(ModelGolden, GivesTheSameBitsOnEveryInstructionSet) {
  const std::vector<TokenId> tokens = golden_tokens("plain_short");
  for (HeadFormat head : {HeadFormat::kInt8, HeadFormat::kF16}) {
    if (test::kSanitized && head == HeadFormat::kF16) continue;
    const ModelRun scalar = run_model(*cpu_model(head, "scalar"), tokens);
    for (const char* isa : {"avx2", "avx512"}) {
      if (!kernels::isa_supported(*kernels::parse_isa(isa))) continue;
      const ModelRun other = run_model(*cpu_model(head, isa), tokens);
      EXPECT_EQ(other.logits, scalar.logits) << isa;
      EXPECT_EQ(other.stages, scalar.stages) << isa;
    }
  }
}

// Per weight, the INT8 head is off by at most half a step: absmax / 254. What the stream did before
// is the same for both heads.
TEST(ModelGolden, KeepsTheInt8HeadWithinHalfAStepOfTheF16Head) {
  const std::vector<TokenId> tokens = golden_tokens("fim_spm_java_empty_suffix");
  const ModelRun f16 = run_model(*cpu_model(HeadFormat::kF16, ""), tokens);
  const ModelRun int8 = run_model(*cpu_model(HeadFormat::kInt8, ""), tokens);
  ASSERT_EQ(f16.stages, int8.stages);
  const Weights<kernels::CpuTile> weights = pocket(HeadFormat::kF16);
  const auto hidden = static_cast<size_t>(weights.config.hidden);
  const std::span<const float> n = row_of(f16.stages.back(), tokens.size() - 1, hidden);
  double n_sum = 0;
  double n_max = 0;
  for (float v : n) {
    n_sum += std::abs(v);
    n_max = std::max(n_max, std::abs(double{v}));
  }
  for (size_t t = 0; t < f16.logits.size(); ++t) {
    double absmax = 0;
    double w_sum = 0;
    for (size_t i = 0; i < hidden; ++i) {
      const double w = kernels::half_to_float(weights.head_f16[t * hidden + i]);
      absmax = std::max(absmax, std::abs(w));
      w_sum += std::abs(w);
    }
    // The second term: half a step of the 15-bit activations; the last: float sums.
    const double bound = absmax / 254 * n_sum + n_max / 16256 / 2 * w_sum + 1e-5 * absmax * n_sum;
    ASSERT_NEAR(int8.logits[t], f16.logits[t], bound) << "token " << t;
  }
}

// The model text on the double-precision steps: only fp16 pages are left as a source of error.
TEST(ModelGolden, AgreesOnTheReferenceStepsToo) {
  const StepCapacity capacity{
      .max_rows = 8, .max_logit_rows = 8, .max_sequences = 1, .max_pages = pages_for(kContext)};
  const std::unique_ptr<Model> model =
      LlamaModel<test::ReferenceBackend>::create(std::make_unique<test::ReferenceBackend>(),
                                                 pocket(HeadFormat::kF16), pages_for(kContext),
                                                 kContext, capacity)
          .value();
  for (const Json& prompt : golden()["prompts"]) {
    if (prompt["name"] != "plain_short") continue;
    const ModelRun result = run_model(*model, prompt["input_ids"].get<std::vector<TokenId>>());
    expect_norms(prompt, result, static_cast<size_t>(model->config().hidden));
    expect_logits(prompt, result,
                  logit_deviations(result, pocket(HeadFormat::kF16), HeadFormat::kF16));
  }
}

}  // namespace
}  // namespace incipit::engine
