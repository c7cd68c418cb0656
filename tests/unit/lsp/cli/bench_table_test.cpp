#include "lsp/cli/bench_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace incipit::lsp::cli {
namespace {

using ::testing::HasSubstr;

engine::EngineBenchReport report_with(std::vector<engine::EngineBenchRow> rows) {
  engine::EngineBenchReport report;
  report.model = "pocket";
  report.device = "cpu (avx2, 2 threads)";
  report.n_threads = 2;
  report.weight_bytes = 40 << 20;
  report.step_weight_bytes = 3 << 20;
  report.kv_bytes_per_token = 12 << 10;
  report.machine.read_bytes_per_s = 10e9;
  report.machine.int8_ops_per_s = 500e9;
  report.machine.fma_flops_per_s = 100e9;
  report.rows = std::move(rows);
  return report;
}

TEST(BenchTable, NamesModelDeviceAndWhatTheMachineCanDo) {
  const std::string table = bench_table(report_with({}));
  EXPECT_THAT(table, HasSubstr("pocket on cpu (avx2, 2 threads)"));
  EXPECT_THAT(table,
              HasSubstr("weights 40.0 MiB, of which a decode step reads 3.00 MiB; 12.0 KiB"));
  EXPECT_THAT(table, HasSubstr("read 10.0 GB/s, int8 500 Gop/s, float 100 GFLOP/s"));
}

TEST(BenchTable, PutsLimitAndShareBesideAFigure) {
  const std::string table =
      bench_table(report_with({{"decode", 90.5, "tok/s", 120.0, 0.754, "read bandwidth"}}));
  EXPECT_THAT(table, HasSubstr("decode  90.5 tok/s  120 tok/s   75 %  read bandwidth\n"));
}

TEST(BenchTable, LeavesLimitAndShareEmptyWhereThereIsNone) {
  const std::string table = bench_table(report_with({{"ratio", 1.8, "x", {}, {}, ""}}));
  EXPECT_THAT(table, HasSubstr("ratio     1.80 x\n"));
}

TEST(BenchTable, IndentsADetailBelowItsFigure) {
  engine::EngineBenchRow detail{"ratio", 1.8, "x", {}, {}, ""};
  detail.level = engine::EngineBenchRow::Level::kDetail;
  EXPECT_THAT(bench_table(report_with({detail})), HasSubstr("\n  ratio"));
}

TEST(BenchTable, FitsInAHundredColumnsHoweverLongTheNotesAre) {
  const std::string note =
      "the multiply-adds of the model at the float peak, each counted once, attention left out, "
      "and the keys and values of all layers read once from memory";
  std::istringstream lines(bench_table(
      report_with({{"first token, 1500 tokens cached, 8 new", 6.26, "ms", 4.9, 0.78, note}})));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

}  // namespace
}  // namespace incipit::lsp::cli
