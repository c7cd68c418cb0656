// Engine::create and what it makes, on the tiny checkpoint.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "engine/kv/page_table.h"
#include "engine/model/cuda_device.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {
namespace {

using ::testing::HasSubstr;

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_tiny_checkpoint(dir_ / "tiny");
    options_.model = (dir_ / "tiny").string();
    options_.cache_dir = (dir_ / "cache").string();
    options_.n_threads = 1;
    options_.device = "cpu";
  }

  Error error_of(const EngineOptions& options) {
    const Result<std::unique_ptr<Engine>> engine = Engine::create(options);
    if (engine.ok()) return {ErrorCode::kInternal, "created"};
    return engine.error();
  }

  static Generation generate(Engine& engine, GenerateRequest request) {
    std::promise<Generation> done;
    request.on_finish = [&](const Generation& generation) { done.set_value(generation); };
    engine.submit(std::move(request));
    return done.get_future().get();
  }

  test::TempDir dir_;
  EngineOptions options_;
};

TEST_F(EngineTest, ReportsProgressFromNothingToReady) {
  std::vector<double> fractions;
  std::string last;
  const auto engine = Engine::create(options_, [&](double fraction, const std::string& what) {
    fractions.push_back(fraction);
    last = what;
  });
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  ASSERT_GE(fractions.size(), 3u);
  EXPECT_EQ(fractions.front(), 0);
  EXPECT_EQ(fractions.back(), 1);
  EXPECT_TRUE(std::ranges::is_sorted(fractions));
  EXPECT_EQ(last, "ready");
}

TEST_F(EngineTest, TellsWhatItLoaded) {
  options_.context_tokens = 100;
  options_.head_format = HeadFormat::kF16;
  options_.isa = "scalar";
  const auto engine = Engine::create(options_).value();
  const ModelInfo& info = engine->info();
  EXPECT_EQ(info.name, "tiny");
  EXPECT_EQ(info.directory, (dir_ / "tiny").string());
  EXPECT_EQ(info.device, "cpu (scalar, 1 thread)");
  EXPECT_EQ(info.head_format, "f16");
  EXPECT_EQ(info.context_tokens, 100);
  EXPECT_EQ(info.config.n_layers, 2);
  EXPECT_GT(info.weight_bytes, 0);
  EXPECT_EQ(info.kv_bytes, 4 * 7 * kPageTokens * info.config.kv_bytes_per_token())
      << "four contexts of seven pages";
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.pages_total, 28);
  EXPECT_EQ(stats.pages_free, 28);
}

TEST_F(EngineTest, PromisesNoLongerContextThanItsPagesHold) {
  options_.kv_bytes =
      3 * kPageTokens * load_model_config(dir_ / "tiny").value().kv_bytes_per_token();
  const auto engine = Engine::create(options_).value();
  EXPECT_EQ(engine->info().context_tokens, 48);
  GenerateRequest request;
  request.prompt.assign(49, 65);
  const Generation refused = generate(*engine, request);
  EXPECT_EQ(refused.reason, FinishReason::kError);
  EXPECT_THAT(refused.error.value().message, HasSubstr("49 tokens need 4 KV pages"));
  request.prompt.resize(40);
  EXPECT_EQ(generate(*engine, request).reason, FinishReason::kContextFull);
}

TEST_F(EngineTest, AnswersARequestOfTextAndStopsAtItsBytes) {
  const auto engine = Engine::create(options_).value();
  const auto tokenizer = engine->tokenizer();
  GenerateRequest request;
  request.prompt = tokenizer->encode("int main() {\n  return ");
  request.stop.max_new_tokens = 30;
  const Generation whole = generate(*engine, request);
  ASSERT_EQ(whole.reason, FinishReason::kTokenLimit);
  ASSERT_EQ(whole.tokens.size(), 30u);
  const Generation again = generate(*engine, request);
  EXPECT_EQ(again.tokens, whole.tokens);
  EXPECT_EQ(again.timings.n_cached_tokens, static_cast<int32_t>(request.prompt.size()) - 1);

  const std::string text = tokenizer->decode(whole.tokens);
  ASSERT_GE(text.size(), 12u);
  request.stop.stop_strings = {text.substr(6, 4)};
  const Generation stopped = generate(*engine, request);
  EXPECT_EQ(stopped.reason, FinishReason::kStopString);
  std::string kept = tokenizer->decode(stopped.tokens);
  kept.resize(kept.size() - static_cast<size_t>(stopped.n_overhang_bytes));
  EXPECT_EQ(kept, text.substr(0, text.find(request.stop.stop_strings[0])));
}

TEST_F(EngineTest, NamesWhatIsWrongWithAnOption) {
  const auto error_with = [&](auto change) {
    EngineOptions options = options_;
    change(options);
    return error_of(options).message;
  };
  using O = EngineOptions;
  EXPECT_THAT(error_with([](O& o) { o.max_batch = 0; }),
              HasSubstr("max_batch: want 1..256, found 0"));
  EXPECT_THAT(error_with([](O& o) { o.prefill_chunk = -4; }), HasSubstr("prefill_chunk: want 0.."));
  EXPECT_THAT(error_with([](O& o) { o.n_threads = -1; }), HasSubstr("n_threads: want 0.."));
  EXPECT_THAT(error_with([](O& o) { o.context_tokens = -1; }), HasSubstr("context_tokens"));
  EXPECT_THAT(error_with([](O& o) { o.context_tokens = 4097; }),
              HasSubstr("context_tokens: the model knows 512 positions, found 4097; want at most "
                        "4096, 8 times as many"));
  EXPECT_THAT(error_with([](O& o) { o.kv_bytes = 100; }), HasSubstr("100 bytes holds no page"));
  EXPECT_THAT(error_with([](O& o) { o.device = "gpu"; }),
              HasSubstr("device: want auto, cpu, cuda or cuda:N, found \"gpu\""));
  EXPECT_THAT(error_with([](O& o) { o.gpu_memory = "11 GiB"; }),
              HasSubstr("gpu_memory: want a size such as 11GiB"));
  EXPECT_THAT(error_with([](O& o) { o.kv_type = "int4"; }),
              HasSubstr("kv_type: want f16 or int8, found \"int4\""));
  EXPECT_THAT(error_with([](O& o) {
                o.kv_type = "int8";
                o.device = "cpu";
              }),
              HasSubstr("int8 keys and values are for a CUDA device"));
  EXPECT_THAT(error_with([](O& o) { o.isa = "neon"; }),
              HasSubstr("isa: want scalar, avx2 or avx512, found \"neon\""));
}

TEST_F(EngineTest, NamesTheModelThatIsNotThere) {
  options_.model = "no-such-model";
  const Error error = error_of(options_);
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("no-such-model"));
}

TEST_F(EngineTest, RefusesATokenizerWithMoreTokensThanTheModel) {
  test::TinyCheckpoint checkpoint = test::make_tiny_checkpoint();
  auto& added = checkpoint.tokenizer["added_tokens"];
  added.push_back(added.back());
  added.back()["id"] = 320;
  added.back()["content"] = "<|one_too_many|>";
  checkpoint.write(dir_ / "wide");
  options_.model = (dir_ / "wide").string();
  const Error error = error_of(options_);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("tokenizer.json: 321 tokens"));
  EXPECT_THAT(error.message, HasSubstr("vocab_size 320"));
}

TEST_F(EngineTest, StopsLoadingWhenItIsCancelled) {
  const CancelToken cancel;
  const auto engine = Engine::create(
      options_, [&](double, const std::string&) { cancel.cancel(); }, cancel);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, ErrorCode::kCancelled);
}

TEST_F(EngineTest, SaysWhyThereIsNoCuda) {
  if (probe_cuda().failure.empty()) GTEST_SKIP() << "this machine can run CUDA";
  options_.device = "cuda";
  const Error error = error_of(options_);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_EQ(error.message, probe_cuda().failure);
}

TEST_F(EngineTest, RunsOnTheCpuWhereThereIsNoCudaAndSaysWhy) {
  if (probe_cuda().failure.empty()) GTEST_SKIP() << "this machine can run CUDA";
  options_.device = "auto";
  const auto engine = Engine::create(options_).value();
  EXPECT_THAT(engine->info().device, HasSubstr("cpu ("));
  EXPECT_EQ(engine->info().device_note, probe_cuda().failure);
  EXPECT_EQ(engine->device().device, engine->info().device);
  EXPECT_EQ(engine->device().n_faults, 0);
}

TEST_F(EngineTest, KeepsFp16PagesWhereTheCpuStandsInForADevice) {
  if (probe_cuda().failure.empty()) GTEST_SKIP() << "this machine can run CUDA";
  options_.device = "auto";
  options_.kv_type = "int8";
  const auto engine = Engine::create(options_).value();
  const ModelInfo& info = engine->info();
  EXPECT_THAT(info.device, HasSubstr("cpu ("));
  EXPECT_THAT(info.device_note, HasSubstr("on the CPU keys and values are f16"));
  EXPECT_EQ(info.kv_bytes,
            engine->stats().pages_total * kPageTokens * info.config.kv_bytes_per_token());
}

TEST(FinishReason, HasANameForEach) {
  for (int i = 0; i <= static_cast<int>(FinishReason::kError); ++i)
    EXPECT_STRNE(name_of(static_cast<FinishReason>(i)), "unknown");
}

}  // namespace
}  // namespace incipit::engine
