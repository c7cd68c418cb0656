#include "lsp/cli/json_report.h"

#include "lsp/document/position_mapper.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp::cli {
namespace {

double milliseconds(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1e3;
}

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kOutOfMemory:
      return "out_of_memory";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kDevice:
      return "device";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

Json engine_timings(const engine::Timings& timings) {
  return {{"queuedMs", milliseconds(timings.queued)},
          {"firstTokenMs", milliseconds(timings.first_token)},
          {"engineMs", milliseconds(timings.total)},
          {"promptTokens", timings.n_prompt_tokens},
          {"cachedTokens", timings.n_cached_tokens},
          {"generatedTokens", timings.n_generated}};
}

Json position(Position at) {
  return {{"line", at.line}, {"character", at.character}};
}

}  // namespace

std::string error_json(ExitCode exit, const Error& error) {
  return print_json({{"error",
                      {{"code", name_of(error.code)},
                       {"message", error.message},
                       {"exitCode", static_cast<int>(exit)}}}});
}

std::string completion_json(const CompletionOutcome& outcome, const SourceFile& source) {
  const PositionMapper mapper(*source.text, source.lines, PositionEncoding::kUtf8);
  Json items = Json::array();
  for (const CompletionItem& item : outcome.items) {
    const Range range = mapper.range_of(item.replace_start, item.replace_end);
    items.push_back({{"insertText", item.insert_text},
                     {"range", {{"start", position(range.start)}, {"end", position(range.end)}}}});
  }
  Json timings = engine_timings(outcome.timings.engine);
  timings["contextMs"] = milliseconds(outcome.timings.context);
  timings["totalMs"] = milliseconds(outcome.timings.total);
  if (!outcome.timings.finish.empty()) timings["finish"] = outcome.timings.finish;
  Json report = {{"items", std::move(items)}, {"timings", std::move(timings)}};
  if (outcome.items.empty()) report["whyEmpty"] = outcome.why_empty;
  return print_json(report);
}

std::string explanation_json(const ExplainOutcome& outcome) {
  return print_json({{"text", outcome.text}, {"timings", engine_timings(outcome.timings)}});
}

std::string bench_json(const engine::EngineBenchReport& report) {
  Json rows = Json::array();
  for (const engine::EngineBenchRow& row : report.rows) {
    Json entry = {{"name", row.name}, {"value", row.value}, {"unit", row.unit}, {"note", row.note}};
    if (row.limit) entry["limit"] = *row.limit;
    if (row.fraction) entry["fraction"] = *row.fraction;
    rows.push_back(std::move(entry));
  }
  Json machine = {{"readBytesPerSecond", report.machine.read_bytes_per_s}};
  if (report.machine.is_gpu()) {
    machine["copyBytesPerSecond"] = report.machine.copy_bytes_per_s;
    machine["tensorFlopsPerSecond"] = report.machine.tensor_flops_per_s;
  } else {
    machine["int8OpsPerSecond"] = report.machine.int8_ops_per_s;
    machine["fmaFlopsPerSecond"] = report.machine.fma_flops_per_s;
  }
  return print_json({{"model", report.model},
                     {"device", report.device},
                     {"isa", report.isa},
                     {"threads", report.n_threads},
                     {"weightBytes", report.weight_bytes},
                     {"stepWeightBytes", report.step_weight_bytes},
                     {"kvBytesPerToken", report.kv_bytes_per_token},
                     {"machine", std::move(machine)},
                     {"rows", std::move(rows)}});
}

std::string findings_json(std::span<const engine::Finding> findings) {
  Json list = Json::array();
  int n_problems = 0;
  for (const engine::Finding& finding : findings) {
    if (finding.severity == engine::Severity::kProblem) ++n_problems;
    list.push_back({{"severity", engine::name_of(finding.severity)},
                    {"area", finding.area},
                    {"found", finding.found},
                    {"advice", finding.advice}});
  }
  return print_json({{"problems", n_problems}, {"findings", std::move(list)}});
}

}  // namespace incipit::lsp::cli
