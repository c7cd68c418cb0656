#include "lsp/cli/suite_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace incipit::lsp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

engine::H100Report report_of_two() {
  engine::H100Row decode;
  decode.name = "decode";
  decode.value = 612.3;
  decode.unit = "tok/s";
  decode.floor = 758;
  decode.peer = 319;
  decode.must = 480;
  decode.aim = 600;
  engine::H100Row start;
  start.name = "packed file to ready";
  start.value = 1.75;
  start.unit = "s";
  start.higher_is_better = false;
  start.must = 1.5;
  engine::H100Report report;
  report.model = "llama-3-8b";
  report.device = "cuda:0 (NVIDIA H100)";
  report.read_bytes_per_s = 3.125e12;
  report.rows = {decode, start};
  return report;
}

TEST(SuiteReport, PutsWhatIsAskedForBesideWhatWasMeasured) {
  const std::string table = suite_table(report_of_two());
  EXPECT_THAT(table, HasSubstr("llama-3-8b on cuda:0 (NVIDIA H100)"));
  EXPECT_THAT(table, HasSubstr("read 3125 GB/s"));
  EXPECT_THAT(table, HasSubstr("612 tok/s   >= 480  600    758   81 %        319  yes\n"));
  EXPECT_THAT(table, HasSubstr("1.75 s  <= 1.50"));
  EXPECT_THAT(table, HasSubstr("NO\n"));
}

TEST(SuiteReport, SaysNothingOfADeviceThatWasNotMeasured) {
  engine::H100Report report = report_of_two();
  report.read_bytes_per_s = 0;
  EXPECT_THAT(suite_table(report), Not(HasSubstr("measured here")));
}

TEST(SuiteReport, JsonLeavesOutWhatIsUnknown) {
  const auto json = nlohmann::json::parse(suite_json(report_of_two()));
  EXPECT_EQ(json["rows"][0]["must"], 480);
  EXPECT_EQ(json["rows"][0]["met"], true);
  EXPECT_EQ(json["rows"][1]["met"], false);
  EXPECT_FALSE(json["rows"][1].contains("floor"));
  EXPECT_FALSE(json["rows"][1].contains("note"));
}

}  // namespace
}  // namespace incipit::lsp::cli
