#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "engine/quantize/calibration_text.h"
#include "engine/quantize/model_quantizer.h"
#include "engine/quantize/quality_meter.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/model_report.h"
#include "engine/tools/model_store.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/weights.h"
#include "tests/support/dense_llama.h"
#include "tests/support/environment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using Outcome = AddedModel::Outcome;
using ::testing::HasSubstr;

struct Divergence {
  double kl = 0, top1 = 0, loss_full = 0, loss_quantised = 0;
};

// From whole logits [n, vocab], in the obvious way. next[i] < 0: no token follows.
Divergence divergence(const std::vector<double>& full, const std::vector<double>& quantised,
                      const std::vector<TokenId>& next, int64_t vocab) {
  Divergence sum;
  int64_t n_next = 0;
  const auto n = static_cast<int64_t>(next.size());
  for (int64_t i = 0; i < n; ++i) {
    const auto logs = [&](const std::vector<double>& logits) {
      std::vector<double> out(logits.begin() + i * vocab, logits.begin() + (i + 1) * vocab);
      double total = 0;
      for (const double x : out) total += std::exp(x);
      for (double& x : out) x -= std::log(total);
      return out;
    };
    const auto p = logs(full), q = logs(quantised);
    for (size_t v = 0; v < p.size(); ++v) sum.kl += std::exp(p[v]) * (p[v] - q[v]);
    const auto top = [](const std::vector<double>& x) {
      return std::max_element(x.begin(), x.end()) - x.begin();
    };
    sum.top1 += top(p) == top(q) ? 1 : 0;
    const TokenId follows = next[static_cast<size_t>(i)];
    if (follows < 0) continue;
    ++n_next;
    sum.loss_full -= p[static_cast<size_t>(follows)];
    sum.loss_quantised -= q[static_cast<size_t>(follows)];
  }
  return {sum.kl / static_cast<double>(n), sum.top1 / static_cast<double>(n),
          sum.loss_full / static_cast<double>(n_next),
          sum.loss_quantised / static_cast<double>(n_next)};
}

TEST(QualityMeter, FindsWhatWholeLogitsSay) {
  constexpr int32_t kHidden = 24, kVocab = 70;
  constexpr int64_t kTokens = 600;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto draw = [&](int64_t n) {
    std::vector<float> out(static_cast<size_t>(n));
    for (float& x : out) x = normal(random);
    return out;
  };
  const auto full = draw(kTokens * kHidden), full_head = draw(kVocab * kHidden);
  auto quantised = full, quantised_head = full_head;
  for (float& x : quantised) x += 0.1F * normal(random);
  for (float& x : quantised_head) x += 0.1F * normal(random);
  std::vector<TokenId> next;
  for (int64_t i = 0; i < kTokens; ++i) next.push_back(static_cast<TokenId>(i % 71 - 1));

  const auto logits = [&](const std::vector<float>& x, const std::vector<float>& head) {
    std::vector<double> out;
    for (int64_t i = 0; i < kTokens; ++i) {
      for (int32_t v = 0; v < kVocab; ++v) {
        double sum = 0;
        for (int32_t k = 0; k < kHidden; ++k) {
          sum += double{x[static_cast<size_t>(i * kHidden + k)]} *
                 head[static_cast<size_t>(v * kHidden + k)];
        }
        out.push_back(sum);
      }
    }
    return out;
  };
  const auto full_logits = logits(full, full_head);
  const auto quantised_logits = logits(quantised, quantised_head);
  kernels::ThreadPool pool(2);
  QualityMeter meter(next, pool);
  for (int32_t first = 0; first < kVocab; first += 32) {
    const int32_t n = std::min(32, kVocab - first);
    const auto slice = [&](const std::vector<double>& all) {
      std::vector<float> out;
      for (int64_t i = 0; i < kTokens; ++i) {
        const auto begin = all.begin() + i * kVocab + first;
        out.insert(out.end(), begin, begin + n);
      }
      return out;
    };
    meter.add_logits(first, n, slice(full_logits).data(), slice(quantised_logits).data());
  }
  const Divergence want = divergence(full_logits, quantised_logits, next, kVocab);
  const QuantizeQuality got = meter.result();
  EXPECT_EQ(got.n_tokens, kTokens);
  EXPECT_NEAR(got.kl_divergence, want.kl, 1e-4 * want.kl);
  EXPECT_NEAR(got.top1_agreement, want.top1, 1.5 / kTokens);
  EXPECT_NEAR(got.loss_full, want.loss_full, 1e-4);
  EXPECT_NEAR(got.loss_quantised, want.loss_quantised, 1e-4);
  EXPECT_GT(got.kl_divergence, 0.01);
}

// A byte a token.
std::vector<TokenId> bytes_as_tokens(std::string_view text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

TEST(CalibrationSets, ShareNoDocumentAndBeginWithBos) {
  CalibrationText text;
  for (int i = 0; i < 32; ++i) text.documents.emplace_back(40, static_cast<char>('a' + i % 8));
  const auto sets = make_calibration_sets(text, bytes_as_tokens, 300, 301, {20, 12, 100});
  ASSERT_TRUE(sets.ok()) << sets.error().message;
  EXPECT_EQ(sets->calibration.n_sequences(), 12);
  EXPECT_EQ(sets->held_out.n_sequences(), 4 * 41 / 19);  // all there is
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(sets->calibration.tokens[static_cast<size_t>(i * 20)], 300);
  }
  for (const TokenId token : sets->held_out.tokens) EXPECT_TRUE(token == 'h' || token >= 300);
  for (const TokenId token : sets->calibration.tokens) EXPECT_NE(token, 'h');
}

TEST(CalibrationSets, HoldOutTheEndOfEachOfFewDocuments) {
  const CalibrationText text{{std::string(800, 'x') + "\n" + std::string(99, 'y')}, 0};
  const auto sets = make_calibration_sets(text, bytes_as_tokens, -1, -1, {10, 1000, 1000});
  ASSERT_TRUE(sets.ok()) << sets.error().message;
  EXPECT_EQ(sets->calibration.n_sequences(), 80);
  for (const TokenId token : sets->held_out.tokens) EXPECT_EQ(token, 'y');
  const auto none = make_calibration_sets({{"short"}, 0}, bytes_as_tokens, -1, -1, {10, 1, 1});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("calibration text: want enough for 10 tokens"));
}

TEST(CalibrationText, ThatComesWithTheProgramIsOurOwnAndSmall) {
  const auto text = default_calibration();
  ASSERT_TRUE(text.ok()) << text.error().message;
  size_t bytes = 0;
  bool has_this_library = false;
  for (const std::string& document : text->documents) {
    bytes += document.size();
    has_this_library |=
        document.find("Accurate Post-Training Quantization for Generative") != std::string::npos;
  }
  EXPECT_LE(bytes, 2000000U);
  EXPECT_GT(text->documents.size(), 200U);
  EXPECT_TRUE(has_this_library);
}

TEST(CalibrationText, ThatCannotBeReadIsNamed) {
  const test::TempDir dir;
  test::write_file(dir / "empty", "");
  EXPECT_THAT(read_calibration({dir / "empty"}).error().message, HasSubstr("empty: want"));
  EXPECT_EQ(read_calibration({dir / "absent"}).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(read_calibration({dir.path()}).error().message, HasSubstr("found no regular file"));
  test::write_file(dir / "binary", std::string("a\0b", 3));
  EXPECT_THAT(read_calibration({dir / "binary"}).error().message,
              HasSubstr("found bytes that no text has"));
}

// A full-precision checkpoint, text to calibrate with, and a user's home with nothing in it.
struct QuantizedModel : ::testing::Test {
  test::TempDir dir;
  test::Environment home{"HOME", (dir / "home").string()};
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  test::Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()};
  test::Environment listed{"INCIPIT_MODEL_PATH", ""};
  fs::path source = dir / "tiny";
  fs::path models = dir / "data/incipit/models";
  fs::path text = dir / "text.txt";
  CalibrationSizes sizes{32, 24, 3};

  void SetUp() override {
    write_source("BF16");
    std::mt19937 random(3);
    std::string bytes;
    while (bytes.size() < 8000) bytes += "abc de\nfgh(i)"[random() % 13];
    test::write_file(text, bytes);
  }
  void write_source(const std::string& dtype, test::TinyHead head = test::TinyHead::kTied) const {
    test::TinyOptions options;
    options.linear_dtype = dtype;
    options.head = head;
    test::write_tiny_checkpoint(source, options);
  }
  AddModelOptions with(QuantizeMethod method) const {
    AddModelOptions options{source, "tiny"};
    options.quantize = {method, {text}, method == QuantizeMethod::kRtn, sizes};
    return options;
  }
  // What add_model() measured, from a forward pass in double with the weights that it wrote.
  void expect_measured_truly(const QuantizeQuality& measured) const {
    const auto full = test::dense_checkpoint(source);
    ASSERT_TRUE(full.ok()) << full.error().message;
    const auto weights = load_weights(models / "tiny", {});
    ASSERT_TRUE(weights.ok()) << weights.error().message;
    const test::DenseLlama quantised = test::dense_weights(*weights);
    const auto tokenizer = Tokenizer::load(source / "tokenizer.json").value();
    const ModelConfig& c = full->config;
    const auto sets = make_calibration_sets(
        read_calibration({text}).value(),
        [&](std::string_view part) { return tokenizer->encode(part); }, c.bos,
        c.eos.empty() ? -1 : c.eos[0], sizes);
    std::vector<double> full_logits, quantised_logits;
    std::vector<TokenId> next;
    for (int64_t i = 0; i < sets->held_out.n_sequences(); ++i) {
      const auto tokens = std::span(sets->held_out.tokens).subspan(static_cast<size_t>(i * 32), 32);
      for (auto* logits : {&full_logits, &quantised_logits}) {
        const auto own = logits == &full_logits ? full->logits(tokens) : quantised.logits(tokens);
        logits->insert(logits->end(), own.begin(), own.end());
      }
      next.insert(next.end(), tokens.begin() + 1, tokens.end());
      next.push_back(-1);
    }
    const Divergence want = divergence(full_logits, quantised_logits, next, c.vocab);
    EXPECT_EQ(measured.n_tokens, static_cast<int64_t>(next.size()));
    EXPECT_GT(want.kl, 0);
    EXPECT_NEAR(measured.kl_divergence, want.kl, 0.02 * want.kl + 1e-6);
    EXPECT_NEAR(measured.top1_agreement, want.top1, 1.5 / static_cast<double>(next.size()));
    EXPECT_NEAR(measured.loss_full, want.loss_full, 1e-3);
    EXPECT_NEAR(measured.loss_quantised, want.loss_quantised, 1e-3);
  }
};

TEST_F(QuantizedModel, ByGptqLoadsAndIsMeasuredTruly) {
  const auto added = add_model(with(QuantizeMethod::kGptq));
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_THAT(added->conversion, HasSubstr("gptq, groups of 128, 24 x 32 tokens"));
  expect_measured_truly(added->quantization.quality);
  ASSERT_EQ(added->quantization.sections.size(), 8U);
  EXPECT_EQ(added->quantization.sections[5].name, "layers.1.out");
  for (const SectionLoss& section : added->quantization.sections) {
    EXPECT_GT(section.output_error, 0) << section.name;
    EXPECT_LT(section.output_error, 0.3) << section.name;
    EXPECT_EQ(section.damping, kDamping) << section.name;
  }
  EXPECT_EQ(added->quantization.layers.size(), 2U);
  const auto report = report_model("tiny");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->problem, "");
  EXPECT_EQ(report->quantization, added->quantization);  // the manifest kept all of it
  EXPECT_EQ(load_weights(models / "tiny", {}).value().layers[0].qkv.shape.group, 128);
}

TEST_F(QuantizedModel, WithItsOwnHeadByGptqIsMeasuredTruly) {
  write_source("F32", test::TinyHead::kUntied);
  const auto added = add_model(with(QuantizeMethod::kGptq));
  ASSERT_TRUE(added.ok()) << added.error().message;
  expect_measured_truly(added->quantization.quality);
}

TEST_F(QuantizedModel, ByRoundingIsWhatPackingMakesAndIsMeasuredTruly) {
  const auto added = add_model(with(QuantizeMethod::kRtn));
  ASSERT_TRUE(added.ok()) << added.error().message;
  expect_measured_truly(added->quantization.quality);
  EXPECT_EQ(test::bytes_of(load_weights(models / "tiny", {}).value()),
            test::bytes_of(load_weights(source, {}).value()));
}

TEST_F(QuantizedModel, IsLeftAloneWhenAddedAgainAndMadeAnewForAnotherRecipe) {
  ASSERT_TRUE(add_model(with(QuantizeMethod::kGptq)).ok());
  EXPECT_EQ(add_model(with(QuantizeMethod::kGptq)).value().outcome, Outcome::kAlreadyThere);
  AddModelOptions whatever{source, "tiny"};
  EXPECT_EQ(add_model(whatever).value().outcome, Outcome::kAlreadyThere);
  test::write_file(text, test::read_file(text) + "more");
  EXPECT_EQ(add_model(with(QuantizeMethod::kGptq)).value().outcome, Outcome::kReplaced);
  AddModelOptions rounded{source, "tiny"};
  rounded.quantize.method = QuantizeMethod::kRtn;
  const auto plain = add_model(rounded);
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_EQ(plain->outcome, Outcome::kReplaced);
  EXPECT_EQ(plain->quantization.quality.n_tokens, 0);
}

TEST_F(QuantizedModel, TakesGptqByItselfForFullPrecisionAndTheTextOfTheProgram) {
  AddModelOptions options{source, "tiny"};
  options.quantize.sizes = sizes;
  const auto added = add_model(options);
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_THAT(added->quantization.recipe, HasSubstr("gptq, groups of 128, 24 x 32 tokens"));
  EXPECT_EQ(added->note, "");
}

TEST_F(QuantizedModel, IsRefusedWhereIntegersAreThereAlready) {
  test::write_tiny_checkpoint(source);
  for (const auto method : {QuantizeMethod::kGptq, QuantizeMethod::kRtn}) {
    const auto added = add_model(with(method));
    ASSERT_FALSE(added.ok());
    EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(added.error().message, HasSubstr("integers are kept"));
  }
  const auto kept = add_model({source, "tiny"});
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_EQ(kept->conversion, "exact");
  EXPECT_EQ(kept->quantization.recipe, "");
}

TEST_F(QuantizedModel, SaysWhereItIsQuantisedAndHowLongThatTook) {
  AddModelOptions options = with(QuantizeMethod::kGptq);
  options.quantize.device = "cpu";
  std::vector<std::string> said;
  options.say = [&](const std::string& line) { said.push_back(line); };
  const auto added = add_model(options);
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_THAT(said, ::testing::ElementsAre(HasSubstr("GPTQ on CPU")));
  EXPECT_THAT(added->quantized_on, HasSubstr("CPU"));
  EXPECT_THAT(added->conversion, HasSubstr(", on CPU"));
  const QuantizeTimes& t = added->quantize_times;
  const double parts =
      t.reading_s + t.products_s + t.hessians_s + t.rounding_s + t.packing_s + t.comparing_s;
  for (const double part :
       {t.reading_s, t.products_s, t.hessians_s, t.rounding_s, t.packing_s, t.comparing_s}) {
    EXPECT_GT(part, 0);
  }
  EXPECT_LE(parts, added->quantizing_s);
}

TEST_F(QuantizedModel, IsRefusedWhereTheDeviceThatWasAskedForCannotBeUsed) {
  AddModelOptions options = with(QuantizeMethod::kGptq);
  options.quantize.device = "cuda:99";
  const auto added = add_model(options);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(added.error().message, HasSubstr("CUDA"));
  EXPECT_FALSE(fs::exists(models / "tiny"));
}

// What the documentation promises.
TEST(QuantizeMemory, OfAnEightBillionModelFitsAnOrdinaryDesktop) {
  const ModelConfig config = synthetic_model_config("llama-3-8b").value();
  QuantizeInputs inputs;
  inputs.calibration = {std::vector<TokenId>(size_t{128} * 512), 512};
  inputs.held_out = {std::vector<TokenId>(size_t{16} * 512), 512};
  const QuantizeMemory cpu = quantize_memory(config, inputs, SolverPlace::kCpu);
  const QuantizeMemory cuda = quantize_memory(config, inputs, SolverPlace::kCuda);
  EXPECT_EQ(cpu.device_bytes, 0);
  EXPECT_LT(cpu.host_bytes, int64_t{8} << 30);
  EXPECT_LT(cuda.host_bytes, int64_t{6} << 30);
  EXPECT_LT(cuda.device_bytes, int64_t{4} << 30);
  // Two squares of down's inputs, the weights twice and the integers of gate_up.
  EXPECT_GT(cuda.device_bytes, 8 * int64_t{14336} * 14336 + 9 * int64_t{28672} * 4096);
}

TEST_F(QuantizedModel, LeavesNothingWhenCancelledInTheMiddle) {
  const CancelToken cancel;
  bool was_inside = false;
  int64_t last = -1;
  const auto added = add_model(
      with(QuantizeMethod::kGptq),
      [&](int64_t done, int64_t total, const std::string& what) {
        EXPECT_GE(done, last);
        EXPECT_LE(done, total);
        last = done;
        if (what != "layers.1.gate_up") return;
        was_inside = true;
        cancel.cancel();
      },
      cancel);
  EXPECT_TRUE(was_inside);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(!fs::exists(models) || fs::is_empty(models));
}

TEST_F(QuantizedModel, IsNotCalibratedAgainOnTheWayToACompletion) {
  ASSERT_TRUE(add_model(with(QuantizeMethod::kGptq)).ok());
  const fs::path weights = models / "tiny" / kAddedWeightsName;
  std::string old = test::read_file(weights);
  old[8] = 9;  // the version
  fs::remove(weights);
  test::write_file(weights, old);
  const auto loaded = load_weights(models / "tiny", {});
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.error().message, HasSubstr("--name tiny --quantize gptq"));
}

TEST_F(QuantizedModel, IsRefusedForANumberThatIsNone) {
  test::TinyOptions options;
  options.linear_dtype = "F32";
  test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  std::string& bytes = tiny.tensor("model.layers.1.self_attn.o_proj.weight").bytes;
  bytes.replace(4 * 130, 4, std::string("\x00\x00\xc0\x7f", 4));
  tiny.write(source);
  const auto added = add_model(with(QuantizeMethod::kGptq));
  ASSERT_FALSE(added.ok());
  EXPECT_THAT(added.error().message,
              HasSubstr("model.layers.1.self_attn.o_proj.weight: element [1, 2]"));
}

}  // namespace
}  // namespace incipit::engine
