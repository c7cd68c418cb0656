#include "lsp/cli/model_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace incipit::lsp::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

engine::ModelReport llama_report() {
  engine::ModelReport report;
  report.name = "llama3";
  report.directory = "/models/llama3";
  report.is_added = true;
  report.config.n_layers = 32;
  report.config.hidden = 4096;
  report.config.max_positions = 8192;
  report.config.rope_theta = 500000;
  report.n_parameters = 8030261248;
  report.source = "/downloads/llama3";
  report.format = "GPTQ INT4 in groups of 128, zero points stored less one (v1)";
  report.conversion = "exact";
  report.packed_bytes = 5000000000;
  report.checksum = "0123456789abcdef";
  report.notice = "Built with Meta Llama 3";
  report.memory = {{8192, 6073741824, false}, {16384, 7147483648, true}};
  return report;
}

TEST(ModelText, ShowsTheNoticeTheSourceAndTheMemory) {
  const std::string text = model_text(llama_report());
  for (const char* part :
       {"Built with Meta Llama 3", "8.03 billion", "32 layers", "/downloads/llama3", "exact",
        "0123456789abcdef", "5.66 GiB with 8192 tokens of context\n",
        "16384 tokens of context (more than it was trained for)", "RoPE base 500000"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(ModelText, SaysWhyAModelCannotBeUsedAndNothingElse) {
  engine::ModelReport report = llama_report();
  report.problem = "config.json: bits: want 4, found 8";
  EXPECT_THAT(model_text(report), HasSubstr("bits: want 4, found 8"));
  EXPECT_THAT(model_text(report), Not(HasSubstr("billion")));
  const auto json = nlohmann::json::parse(model_json(report));
  EXPECT_EQ(json["problem"], report.problem);
  EXPECT_FALSE(json.contains("architecture"));
}

TEST(ModelText, MarksTheDefaultInTheList) {
  std::vector<engine::ModelReport> reports = {llama_report(), llama_report()};
  reports[1].name = "b";
  reports[1].is_default = true;
  const std::string text = models_text(reports);
  EXPECT_THAT(text, HasSubstr("  llama3  "));
  EXPECT_THAT(text, HasSubstr("\n* b       "));
  EXPECT_EQ(nlohmann::json::parse(models_json(reports))["models"][1]["default"], true);
}

TEST(ModelText, JsonHasEveryFigure) {
  const auto json = nlohmann::json::parse(model_json(llama_report()));
  EXPECT_EQ(json["parameters"], 8030261248);
  EXPECT_EQ(json["architecture"]["layers"], 32);
  EXPECT_EQ(json["memory"][1]["beyondTraining"], true);
  EXPECT_EQ(json["notice"], "Built with Meta Llama 3");
  engine::AddedModel added;
  added.name = "x";
  added.outcome = engine::AddedModel::Outcome::kAlreadyThere;
  EXPECT_EQ(nlohmann::json::parse(added_json(added))["outcome"], "alreadyThere");
}

TEST(ModelText, ShowsWhatQuantisingHasCost) {
  engine::ModelReport report = llama_report();
  report.quantization.recipe = "gptq, groups of 128";
  report.quantization.quality = {8192, 0.0123, 0.953, 1.5, 1.52};
  report.quantization.sections = {{"layers.0.qkv", 0.02, 0.01}, {"layers.0.out", 0.04, 0.1}};
  report.quantization.layers = {{0.05}};
  const std::string text = model_text(report);
  for (const char* part : {"1.5200 nats a token on held-out text, 1.5000 in full precision",
                           "3.00 % of a section's outputs, 4.00 % at most (layers.0.out)",
                           "5.00 % after the last layer"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  const auto json = nlohmann::json::parse(model_json(report))["quantization"];
  EXPECT_EQ(json["klDivergence"], 0.0123);
  EXPECT_EQ(json["sections"][1]["damping"], 0.1);
  EXPECT_EQ(json["layers"][0]["hiddenError"], 0.05);
  EXPECT_FALSE(nlohmann::json::parse(model_json(llama_report())).contains("quantization"));
}

TEST(ModelText, SaysWhereAndHowLongItQuantised) {
  engine::AddedModel added;
  added.quantized_on = "CUDA (NVIDIA X)";
  added.quantizing_s = 100;
  added.quantize_times = {10, 20, 30, 15, 5, 4};
  EXPECT_THAT(added_text(added), HasSubstr("quantised in 100 s on CUDA (NVIDIA X): reading 10.0, "
                                           "products 20.0, Hessians 30.0, rounding 15.0, packing "
                                           "5.0, comparing 4.0, the rest 16.0"));
  const auto json = nlohmann::json::parse(added_json(added))["quantizing"];
  EXPECT_EQ(json["device"], "CUDA (NVIDIA X)");
  EXPECT_EQ(json["seconds"], 100);
  EXPECT_EQ(json["hessians"], 30);
  EXPECT_FALSE(nlohmann::json::parse(added_json({})).contains("quantizing"));
}

TEST(ModelText, ProgressHasRateAndRemainingTimeOnceSomethingIsDone) {
  using std::chrono::seconds;
  EXPECT_EQ(progress_text(0, 1000, "a", seconds(3)), "packing a: 0 %");
  EXPECT_EQ(progress_text(1000000000, 4000000000, "layers.3.down", seconds(2)),
            "packing layers.3.down: 25 %, 500 MB/s, 6 s left");
  EXPECT_EQ(progress_text(0, 0, "a", seconds(0)), "packing a: 0 %");
  EXPECT_EQ(progress_text(500000000, 4000000000, "a", seconds(1000)),
            "packing a: 12 %, 0.50 MB/s, 117 min left");
}

}  // namespace
}  // namespace incipit::lsp::cli
