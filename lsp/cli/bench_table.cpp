#include "lsp/cli/bench_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

namespace incipit::lsp::cli {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kMinNoteColumns = 12;

// Three figures that count: 1087, 87.1, 8.71, 0.087.
std::string number(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

std::string with_unit(double value, const std::string& unit) {
  return number(value) + " " + unit;
}

std::string bytes_text(double bytes) {
  if (bytes >= 1 << 30) return number(bytes / (1 << 30)) + " GiB";
  if (bytes >= 1 << 20) return number(bytes / (1 << 20)) + " MiB";
  return number(bytes / (1 << 10)) + " KiB";
}

struct Line {
  std::string name, value, limit, share, note;
};

Line line_of(const engine::EngineBenchRow& row) {
  constexpr std::string_view kPrefix = "limit: ";  // the column's heading says that
  const size_t skipped = row.note.starts_with(kPrefix) ? kPrefix.size() : 0;
  const bool detail = row.level == engine::EngineBenchRow::Level::kDetail;
  Line line{(detail ? "  " : "") + row.name, with_unit(row.value, row.unit), "", "",
            row.note.substr(skipped)};
  if (row.limit) line.limit = with_unit(*row.limit, row.unit);
  if (row.fraction) line.share = fmt::format("{:.0f} %", *row.fraction * 100);
  return line;
}

// Breaks `text` at spaces into lines of `columns`, the later ones indented by `indent`.
std::string wrapped(const std::string& text, size_t columns, size_t indent) {
  std::string out;
  size_t column = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const size_t length = end - at;
    if (column > 0 && column + 1 + length > columns) {
      out += '\n';
      out.append(indent, ' ');
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += text.substr(at, length);
    column += length;
    at = end + 1;
  }
  return out;
}

std::string machine_text(const engine::EngineBenchReport& report) {
  const engine::MachineFigures& machine = report.machine;
  if (machine.is_gpu()) {
    return fmt::format(
        "measured here: read {:.0f} GB/s, copy {:.0f} GB/s, fp16 tensor {:.0f} "
        "TFLOP/s",
        machine.read_bytes_per_s / 1e9, machine.copy_bytes_per_s / 1e9,
        machine.tensor_flops_per_s / 1e12);
  }
  return fmt::format(
      "measured here with {} thread{}: read {:.1f} GB/s, int8 {:.0f} Gop/s, float {:.0f} GFLOP/s",
      report.n_threads, report.n_threads == 1 ? "" : "s", machine.read_bytes_per_s / 1e9,
      machine.int8_ops_per_s / 1e9, machine.fma_flops_per_s / 1e9);
}

std::string heading(const engine::EngineBenchReport& report) {
  return fmt::format(
      "{} on {}\n"
      "weights {}, of which a decode step reads {}; {} of KV a token\n"
      "{}\n",
      report.model, report.device, bytes_text(static_cast<double>(report.weight_bytes)),
      bytes_text(static_cast<double>(report.step_weight_bytes)),
      bytes_text(static_cast<double>(report.kv_bytes_per_token)), machine_text(report));
}

}  // namespace

std::string bench_table(const engine::EngineBenchReport& report) {
  std::vector<Line> lines = {{"figure", "measured", "limit", "share", "what the limit is"}};
  for (const engine::EngineBenchRow& row : report.rows) lines.push_back(line_of(row));
  size_t name = 0, value = 0, limit = 0, share = 0;
  for (const Line& line : lines) {
    name = std::max(name, line.name.size());
    value = std::max(value, line.value.size());
    limit = std::max(limit, line.limit.size());
    share = std::max(share, line.share.size());
  }
  const size_t before_note = name + value + limit + share + 8;
  const size_t note = std::max(kMinNoteColumns, kColumns - std::min(kColumns, before_note));
  std::string table = heading(report) + "\n";
  for (const Line& line : lines) {
    std::string text =
        fmt::format("{:<{}}  {:>{}}  {:>{}}  {:>{}}  {}", line.name, name, line.value, value,
                    line.limit, limit, line.share, share, wrapped(line.note, note, before_note));
    text.erase(text.find_last_not_of(' ') + 1);
    table += text + "\n";
  }
  return table;
}

}  // namespace incipit::lsp::cli
