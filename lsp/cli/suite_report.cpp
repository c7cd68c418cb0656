#include "lsp/cli/suite_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "lsp/rpc/json.h"

namespace incipit::lsp::cli {
namespace {

// figure, measured, must, aim, floor, of the floor, llama.cpp, met, note
constexpr size_t kSuiteColumns = 9;
using SuiteLine = std::array<std::string, kSuiteColumns>;

// Three figures that count: 1087, 87.1, 8.71, 0.087.
std::string figure(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

std::string figure(const std::optional<double>& value) {
  return value ? figure(*value) : std::string();
}

SuiteLine suite_line_of(const engine::H100Row& row) {
  const char* limit = row.higher_is_better ? ">= " : "<= ";
  const std::optional<double> fraction = row.fraction();
  const std::optional<bool> met = row.met();
  return {row.name,
          figure(row.value) + " " + row.unit,
          row.must ? limit + figure(*row.must) : std::string(),
          figure(row.aim),
          figure(row.floor),
          fraction ? fmt::format("{:.0f} %", *fraction * 100) : std::string(),
          figure(row.peer),
          met ? (*met ? "yes" : "NO") : "",
          row.note};
}

std::string heading(const engine::H100Report& report) {
  std::string text = fmt::format("{} on {}\n", report.model, report.device);
  if (report.read_bytes_per_s > 0)
    text += fmt::format("measured here: read {:.0f} GB/s, copy {:.0f} GB/s, fp16 {:.0f} TFLOP/s\n",
                        report.read_bytes_per_s / 1e9, report.copy_bytes_per_s / 1e9,
                        report.tensor_flops_per_s / 1e12);
  return text;
}

}  // namespace

std::string suite_table(const engine::H100Report& report) {
  std::vector<SuiteLine> lines = {
      {"figure", "measured", "must", "aim", "floor", "of it", "llama.cpp", "met", "note"}};
  for (const engine::H100Row& row : report.rows) lines.push_back(suite_line_of(row));
  std::array<size_t, kSuiteColumns> widths{};
  for (const SuiteLine& line : lines) {
    for (size_t i = 0; i < kSuiteColumns; ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string table = heading(report) + "\n";
  for (const SuiteLine& line : lines) {
    std::string text = fmt::format("{:<{}}", line[0], widths[0]);
    for (size_t i = 1; i + 1 < kSuiteColumns; ++i)
      text += fmt::format("  {:>{}}", line[i], widths[i]);
    text += "  " + line.back();
    text.erase(text.find_last_not_of(' ') + 1);
    table += text + "\n";
  }
  return table;
}

std::string suite_json(const engine::H100Report& report) {
  Json rows = Json::array();
  for (const engine::H100Row& row : report.rows) {
    Json entry = {{"name", row.name}, {"value", row.value}, {"unit", row.unit}};
    const auto add = [&](const char* key, const auto& value) {
      if (value) entry[key] = *value;
    };
    add("floor", row.floor);
    add("fraction", row.fraction());
    add("must", row.must);
    add("aim", row.aim);
    add("peer", row.peer);
    add("met", row.met());
    if (!row.note.empty()) entry["note"] = row.note;
    rows.push_back(std::move(entry));
  }
  return print_json({{"model", report.model},
                     {"device", report.device},
                     {"machine",
                      {{"readBytesPerSecond", report.read_bytes_per_s},
                       {"copyBytesPerSecond", report.copy_bytes_per_s},
                       {"tensorFlopsPerSecond", report.tensor_flops_per_s}}},
                     {"rows", std::move(rows)}});
}

}  // namespace incipit::lsp::cli
