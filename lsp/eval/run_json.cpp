#include "lsp/eval/run_json.h"

#include <fmt/core.h>

#include "lsp/eval/calibration.h"
#include "lsp/eval/statistics.h"
#include "lsp/eval/summary.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp::eval {
namespace {

Json share_json(const Share& share) {
  const Interval interval = share_interval(share.yes, share.n);
  return {{"yes", share.yes},
          {"n", share.n},
          {"share", share.value()},
          {"interval95", {interval.low, interval.high}}};
}

Json rules_json(const std::map<std::string, RuleSummary>& rules) {
  Json result = Json::object();
  for (const auto& [name, rule] : rules) {
    result[name] = {{"n", rule.n},
                    {"hidden", rule.hidden},
                    {"exactLineBefore", rule.exact_line_before},
                    {"exactLineAfter", rule.exact_line_after},
                    {"damagesBefore", rule.damages_before},
                    {"damagesAfter", rule.damages_after},
                    {"repeatsBefore", rule.repeats_before},
                    {"repeatsAfter", rule.repeats_after}};
  }
  return result;
}

Json summary_json(const Summary& sum) {
  Json result = {{"n", sum.n},
                 {"shown", share_json(sum.shown)},
                 {"whyHidden", sum.why_hidden},
                 {"rules", rules_json(sum.rules)},
                 {"exactLine", share_json(sum.exact_line)},
                 {"exactSpan", share_json(sum.exact_span)},
                 {"lineSimilarity", sum.line_similarity},
                 {"spanSimilarity", sum.span_similarity},
                 {"damages", share_json(sum.damages)},
                 {"repeats", share_json(sum.repeats)},
                 {"firstTokenP50Ms", sum.first_token.p50_ms},
                 {"firstTokenP95Ms", sum.first_token.p95_ms},
                 {"totalP50Ms", sum.total.p50_ms},
                 {"totalP95Ms", sum.total.p95_ms},
                 {"promptTokens", sum.prompt_tokens},
                 {"cachedTokens", sum.cached_tokens},
                 {"generatedTokens", sum.generated_tokens}};
  if (!sum.language.empty()) result["language"] = sum.language;
  if (!sum.kind.empty()) result["kind"] = sum.kind;
  if (sum.exact_name.n > 0) result["exactName"] = share_json(sum.exact_name);
  return result;
}

// The keys of a row in the order of docs/evaluation.md. One list for both directions.
template <class Row, class Field>
void row_fields(Row& row, Field field) {
  field("file", row.file);
  field("textHash", row.text_hash);
  field("language", row.language);
  field("start", row.hole.start);
  field("end", row.hole.end);
  field("line", row.line);
  field("character", row.character);
  field("expected", row.expected);
  field("shown", row.shown);
  field("whyHidden", row.why_hidden);
  field("finish", row.finish);
  field("exactLine", row.exact_line);
  field("exactSpan", row.exact_span);
  field("exactName", row.exact_name);
  field("lineSimilarity", row.line_similarity);
  field("spanSimilarity", row.span_similarity);
  field("damages", row.damages);
  field("repeats", row.repeats);
  field("meanLogProb", row.mean_log_prob);
  field("rules", row.rules);
  field("firstTokenMs", row.first_token_ms);
  field("totalMs", row.total_ms);
  field("promptTokens", row.prompt_tokens);
  field("cachedTokens", row.cached_tokens);
  field("generatedTokens", row.generated_tokens);
  field("otherFilesTokens", row.context_tokens);
}

template <class T>
void put(Json& json, const char* key, const T& value) {
  json[key] = value;
}
template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

template <class T>
void get(const Json& json, const char* key, T& value) {
  value = json.at(key).get<T>();
}
template <class T>
void get(const Json& json, const char* key, std::optional<T>& value) {
  if (const auto found = json.find(key); found != json.end()) value = found->get<T>();
}

// Reports of before there were rules have none.
void put(Json& json, const char* key, const std::vector<RuleRow>& rules) {
  Json list = Json::array();
  for (const RuleRow& rule : rules) {
    Json entry = {{"rule", rule.rule},
                  {"before", rule.before},
                  {"exactLine", rule.exact_line},
                  {"repeats", rule.repeats}};
    put(entry, "damages", rule.damages);
    list.push_back(std::move(entry));
  }
  json[key] = std::move(list);
}
void get(const Json& json, const char* key, std::vector<RuleRow>& rules) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  for (const Json& entry : *found) {
    RuleRow rule;
    get(entry, "rule", rule.rule);
    get(entry, "before", rule.before);
    get(entry, "exactLine", rule.exact_line);
    get(entry, "repeats", rule.repeats);
    get(entry, "damages", rule.damages);
    rules.push_back(std::move(rule));
  }
}

Json calibration_json(const std::vector<HoleRow>& rows) {
  Json list = Json::array();
  for (const ConfidenceBucket& bucket : calibration(rows)) {
    list.push_back({{"from", bucket.from},
                    {"to", bucket.to},
                    {"exactLine", share_json(bucket.exact_line)},
                    {"hidden", share_json(bucket.hidden)},
                    {"exactLinesHidden", share_json(bucket.exact_hidden)}});
  }
  return list;
}

Json row_json(const HoleRow& row) {
  Json json = {{"kind", name_of(row.hole.kind)}};
  row_fields(row, [&](const char* key, const auto& value) { put(json, key, value); });
  return json;
}

Result<HoleRow> row_of(const Json& json) {
  HoleRow row;
  const auto name = json.at("kind").get<std::string>();
  const std::optional<HoleKind> kind = hole_kind_of(name);
  if (!kind) return Error{ErrorCode::kCorrupt, "want kind line, block or token, found " + name};
  row.hole.kind = *kind;
  row_fields(row, [&](const char* key, auto& value) { get(json, key, value); });
  return row;
}

Json options_json(const EvalRun& run) {
  const EvalOptions& options = run.options;
  Json kinds = Json::array(), languages = Json::array();
  for (const HoleKind kind : options.kinds) kinds.push_back(name_of(kind));
  for (const Language* language : options.languages) languages.push_back(language->name);
  return {{"holes", options.holes},
          {"seed", options.seed},
          {"kinds", std::move(kinds)},
          {"languages", std::move(languages)},
          {"maxFiles", options.max_files},
          {"neighbours", options.neighbours},
          {"definitions", run.definitions},
          {"noHealing", run.completion.prompt_end == PromptEnd::kBeforeBlank}};
}

// What a comparison tells of the options; older reports lack some of them.
void read_options(const Json& json, EvalRun& run) {
  run.completion.min_confidence = json.value("minConfidence", run.completion.min_confidence);
  const Json options = json.value("options", Json::object());
  run.options.neighbours = options.value("neighbours", false);
  run.definitions = options.value("definitions", run.definitions);
  if (options.value("noHealing", false)) run.completion.prompt_end = PromptEnd::kBeforeBlank;
}

}  // namespace

std::string run_json(const EvalRun& run) {
  Json summaries = Json::array(), holes = Json::array();
  for (const Summary& sum : summaries_of(run.rows)) summaries.push_back(summary_json(sum));
  for (const HoleRow& row : run.rows) holes.push_back(row_json(row));
  return print_json({{"format", kRunFormat},
                     {"incipit", run.incipit},
                     {"model", run.model},
                     {"device", run.device},
                     {"contextTokens", run.context_tokens},
                     {"maxTokens", run.completion.max_tokens},
                     {"maxLines", run.completion.max_lines},
                     {"minConfidence", run.completion.min_confidence},
                     {"options", options_json(run)},
                     {"files", run.n_files},
                     {"leftOut", run.left_out},
                     {"interrupted", run.interrupted},
                     {"summaries", std::move(summaries)},
                     {"calibration", calibration_json(run.rows)},
                     {"holes", std::move(holes)}});
}

Result<EvalRun> parse_run(std::string text, const std::string& name) {
  const Result<Json> json = parse_json(std::move(text));
  if (!json) return Error{json.error().code, name + ": " + json.error().message};
  try {
    const int format = json->at("format").get<int>();
    if (format != kRunFormat) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{}: want format {}, found {}", name, kRunFormat, format)};
    }
    EvalRun run;
    run.incipit = json->at("incipit").get<std::string>();
    run.model = json->at("model").get<std::string>();
    run.device = json->at("device").get<std::string>();
    run.context_tokens = json->at("contextTokens").get<int32_t>();
    run.interrupted = json->at("interrupted").get<bool>();
    run.n_files = json->at("files").get<int>();
    read_options(*json, run);
    for (const Json& entry : json->at("holes")) {
      Result<HoleRow> row = row_of(entry);
      if (!row) return Error{row.error().code, name + ": " + row.error().message};
      run.rows.push_back(std::move(*row));
    }
    return run;
  } catch (const Json::exception& error) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: want what `incipit eval --json` printed, found other JSON ({})",
                             name, error.what())};
  }
}

}  // namespace incipit::lsp::eval
