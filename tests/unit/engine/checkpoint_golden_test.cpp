// Checkpoints in every format that is read, brought in as a user brings them (add_model), against
// the logits that Hugging Face's transformers computes, in float32, from the weights they stand
// for: tests/golden/checkpoints, made by tests/oracle/formats/make_model_goldens.py. All weights
// are such that packing loses nothing, so what remains is the engine's arithmetic, and
// golden_model.h has the bound on that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/tools/model_store.h"
#include "kernels/quant/int8_codec.h"
#include "tests/support/environment.h"
#include "tests/support/hashed_checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/unit/engine/golden_model.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

// 40,000 numbers are compared: six deviations, which one of them exceeds by chance in 10^4 sets;
// of Student's distribution, as golden_model.h has it, this many.
constexpr int32_t kCheckpointDraws = 64;
constexpr double kCheckpointDeviations = 7;
constexpr size_t kColumnStep = 8;  // of position p logits.f32 has the columns p mod 8, + 8, ...

struct CheckpointCase {
  fs::path dir;
  std::string name;
  Json info;

  explicit CheckpointCase(fs::path place)
      : dir(std::move(place)),
        name(dir.filename().string()),
        info(Json::parse(test::read_file(dir / "case.json"))) {}
  std::string kind() const { return info["kind"]; }
  std::vector<TokenId> tokens() const { return info["tokens"]; }
  std::vector<float> logits() const {
    const std::string bytes = test::read_file(dir / "logits.f32");
    std::vector<float> numbers(bytes.size() / sizeof(float));
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    return numbers;
  }
};

std::vector<CheckpointCase> checkpoint_cases() {
  std::vector<CheckpointCase> cases;
  for (const auto& entry : fs::directory_iterator(INCIPIT_SOURCE_DIR "/tests/golden/checkpoints")) {
    cases.emplace_back(entry.path());
  }
  std::ranges::sort(cases, {}, &CheckpointCase::name);
  return cases;
}

// Of all cases; the weights that come with it are as few as can be.
const Json& tokenizer_json() {
  static const Json json = [] {
    test::TinyOptions options;
    options.n_layers = 0;
    options.hidden = 8;
    options.vocab = 272;
    return test::make_tiny_checkpoint(options).tokenizer;
  }();
  return json;
}

// Whole weights that both sides make from hashes, in files as the case wants.
void write_dense(const CheckpointCase& golden, const fs::path& dir) {
  const std::string text = test::read_file(golden.dir / "config.json");
  const auto config = parse_model_config(text, golden.name).value();
  test::TinyCheckpoint checkpoint;
  checkpoint.config = Json::parse(text);
  checkpoint.tokenizer = tokenizer_json();
  checkpoint.tensors = test::hashed_tensors(config, golden.info["dtype"]);
  checkpoint.n_shards = golden.info["shards"];
  checkpoint.write(dir);
}

// The linears as the case has them, and in a second file what is not quantised.
void write_quantised(const CheckpointCase& golden, const fs::path& dir) {
  const auto config = load_model_config(golden.dir).value();
  const std::string linears = test::read_file(golden.dir / "linears.safetensors");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, linears.data(), sizeof(header_bytes));
  const Json header = Json::parse(linears.substr(8, header_bytes));
  Json files;
  for (const auto& [name, row] : header.items()) {
    if (name != "__metadata__") files[name] = "model-00001-of-00002.safetensors";
  }
  std::vector<test::RawTensor> others = test::hashed_tensors(config, golden.info["dtype"]);
  std::erase_if(others, [](const auto& one) { return one.name.ends_with("_proj.weight"); });
  for (const auto& tensor : others) files[tensor.name] = "model-00002-of-00002.safetensors";
  test::write_file(dir / "model-00001-of-00002.safetensors", linears);
  test::write_file(dir / "model-00002-of-00002.safetensors", test::safetensors_bytes(others));
  test::write_file(dir / "model.safetensors.index.json", Json{{"weight_map", files}}.dump());
}

// What `incipit model add` is given.
fs::path source_of(const CheckpointCase& golden, const fs::path& dir) {
  if (golden.kind() == "gguf") return golden.dir / "model.gguf";
  fs::create_directories(dir);
  if (golden.kind() == "dense") {
    write_dense(golden, dir);
    return dir;
  }
  test::write_file(dir / "tokenizer.json", tokenizer_json().dump());
  for (const char* name :
       {"config.json", "generation_config.json", "quantize_config.json", "model.safetensors"}) {
    if (fs::exists(golden.dir / name)) fs::copy_file(golden.dir / name, dir / name);
  }
  if (golden.kind() == "quantised") write_quantised(golden, dir);
  return dir;
}

// The standard deviation of a weight of each row of an INT8 head, from rounding.
std::vector<double> head_steps(const Weights<kernels::CpuTile>& weights) {
  std::vector<double> steps;
  for (int32_t t = 0; t < weights.config.vocab; ++t) {
    double largest = 0;
    for (int32_t i = 0; i < weights.config.hidden; ++i)
      largest = std::max(largest, std::abs(double{kernels::weight_at(weights.head_int8, t, i)}));
    steps.push_back(largest / 127 / std::sqrt(12.0));
  }
  return steps;
}

double log_sum_exp(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return top + std::log(sum);
}

// The largest error of a logit, of any position, as a share of its bound.
double largest_share(const CheckpointCase& golden, Weights<kernels::CpuTile> weights) {
  const std::vector<double> steps = head_steps(weights);
  const std::vector<TokenId> tokens = golden.tokens();
  const test::Deviations allowed = test::RoundingDeviations(weights, kCheckpointDraws)
                                       .of(tokens, cpu_rounding(HeadFormat::kInt8), 0);
  const auto hidden = static_cast<size_t>(weights.config.hidden);
  const std::unique_ptr<Model> model = create_cpu_model(std::move(weights),
                                                        {.n_pages = pages_for(kContext),
                                                         .context_tokens = kContext,
                                                         .max_rows = 128,
                                                         .max_sequences = 1,
                                                         .max_logit_rows = 128},
                                                        {.n_threads = 1, .isa = ""})
                                           .value();
  const std::vector<float> wanted = golden.logits();
  const ModelRun run = run_model(*model, tokens, 0);
  const bool is_rounded = golden.info.value("rounded_head", false);
  EXPECT_EQ(wanted.size(), tokens.size() * (steps.size() / kColumnStep));
  double worst = 0;
  size_t next = 0;
  for (size_t row = 0; row < tokens.size(); ++row) {
    const std::vector<float>& logits = run.logits[row];
    std::vector<double> deviations = allowed.logits[row];
    // An INT8 head that holds its rows exactly has no error of rounding.
    const double length = is_rounded ? norm(row_of(run.stages.back(), row, hidden)) : 0;
    for (size_t t = 0; t < deviations.size(); ++t)
      deviations[t] = std::hypot(deviations[t], steps[t] * length);
    const auto note = [&](double error, double deviation) {
      worst = std::max(worst, std::abs(error) / (kCheckpointDeviations * deviation));
    };
    for (size_t t = row % kColumnStep; t < logits.size(); t += kColumnStep) {
      note(double{logits[t]} - double{wanted[next++]}, deviations[t]);
    }
    // A weighted mean of the errors of all columns.
    note(log_sum_exp(logits) - golden.info["logsumexp"][row].get<double>(),
         *std::ranges::max_element(deviations));
  }
  return worst;
}

class CheckpointGolden : public ::testing::Test {
 protected:
  test::TempDir dir;
  test::Environment home{"HOME", (dir / "home").string()};
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  test::Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()};

  Result<AddedModel> add(const CheckpointCase& golden) const {
    QuantizeOptions quantize;
    if (golden.kind() != "quantised") quantize.method = QuantizeMethod::kRtn;
    return add_model({source_of(golden, dir / ("source_" + golden.name)), golden.name, quantize});
  }
};

// Angles of another kind.
Weights<kernels::CpuTile> turned_otherwise(Weights<kernels::CpuTile> weights) {
  if (weights.config.rope_scaling) {
    weights.config.rope_scaling.reset();
  } else {
    weights.config.rope_theta *= 50;
  }
  return weights;
}

TEST_F(CheckpointGolden, GivesTheLogitsOfTransformersInEveryFormat) {
  double worst_of_all = 0;
  std::map<std::string, int> n_cases;
  for (const CheckpointCase& golden : checkpoint_cases()) {
    SCOPED_TRACE(golden.name);
    EXPECT_THAT(golden.info["made_by"].get<std::string>(), ::testing::StartsWith("transformers"));
    const auto added = add(golden);
    ASSERT_TRUE(added.ok()) << added.error().message;
    EXPECT_EQ(added->conversion, "exact");
    const auto weights = load_weights(added->directory, {});
    ASSERT_TRUE(weights.ok()) << weights.error().message;
    const double worst = largest_share(golden, *weights);
    // That positions are few and the model is small hides no error.
    const double other = largest_share(golden, turned_otherwise(*weights));
    std::printf(
        "[ measured ] %s: largest logit error is %.2f of its bound, with other angles %.0f\n",
        golden.name.c_str(), worst, other);
    EXPECT_LE(worst, 1);
    EXPECT_GT(other, 3);
    worst_of_all = std::max(worst_of_all, worst);
    ++n_cases[golden.kind()];
  }
  EXPECT_EQ(n_cases, (std::map<std::string, int>{
                         {"dense", 11}, {"gguf", 5}, {"quantised", 11}, {"saved", 1}}));
  // Far below the bound would mean that the bound says nothing.
  EXPECT_GT(worst_of_all, 0.1);
}

TEST(CheckpointConfig, IsTheSameAsTransformersWritesItAgain) {
  int n_compared = 0;
  for (const CheckpointCase& golden : checkpoint_cases()) {
    if (golden.kind() != "dense") continue;
    SCOPED_TRACE(golden.name);
    const auto read = [&](const char* name) {
      return parse_model_config(test::read_file(golden.dir / name), name);
    };
    const auto theirs = read("config.transformers.json");
    ASSERT_TRUE(theirs.ok()) << theirs.error().message;
    const ModelConfig a = read("config.json").value(), b = *theirs;
    const auto shape = [](const ModelConfig& c) {
      return std::vector<double>{double(c.hidden),   double(c.ffn),        double(c.n_layers),
                                 double(c.n_heads),  double(c.n_kv_heads), double(c.head_dim),
                                 double(c.vocab),    double(c.bos),        double(c.tied_head),
                                 double(c.norm_eps), c.rope_theta,         double(c.max_positions)};
    };
    EXPECT_EQ(shape(a), shape(b));
    EXPECT_EQ(a.eos, b.eos);
    ASSERT_EQ(a.rope_scaling.has_value(), b.rope_scaling.has_value());
    if (a.rope_scaling) {
      const auto numbers = [](const RopeScaling& s) {
        return std::vector<double>{
            double(s.type), s.factor,    s.low_freq_factor,  s.high_freq_factor,
            s.beta_fast,    s.beta_slow, s.attention_factor, double(s.original_max_positions)};
      };
      EXPECT_EQ(numbers(*a.rope_scaling), numbers(*b.rope_scaling));
    }
    ++n_compared;
  }
  EXPECT_EQ(n_compared, 11);
}

}  // namespace
}  // namespace incipit::engine
