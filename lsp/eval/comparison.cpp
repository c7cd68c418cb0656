#include "lsp/eval/comparison.h"

#include <fmt/core.h>

#include <functional>
#include <map>
#include <tuple>

#include "lsp/eval/statistics.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp::eval {
namespace {

struct Pair {
  const HoleRow* a = nullptr;
  const HoleRow* b = nullptr;
};

using Value = std::optional<double>;

// The hash stands for the text around the hole. Where the file lies makes no difference, its name
// does: the model is shown it.
auto key_of(const HoleRow& row) {
  return std::make_tuple(row.file, row.text_hash, row.language, row.hole.kind, row.hole.start,
                         row.hole.end);
}

Value number(const std::optional<bool>& value) {
  return value ? Value(*value ? 1 : 0) : std::nullopt;
}

struct FigureKind {
  const char* name;
  bool is_share;
  bool higher_is_better;
  Value (*value)(const HoleRow&);
};
const FigureKind kFigures[] = {
    {"shown", true, true, [](const HoleRow& row) { return number(row.is_shown()); }},
    {"exactLine", true, true, [](const HoleRow& row) { return number(row.exact_line); }},
    {"exactSpan", true, true, [](const HoleRow& row) { return number(row.exact_span); }},
    {"exactName", true, true, [](const HoleRow& row) { return number(row.exact_name); }},
    {"lineSimilarity", false, true, [](const HoleRow& row) { return Value(row.line_similarity); }},
    {"spanSimilarity", false, true, [](const HoleRow& row) { return Value(row.span_similarity); }},
    {"damages", true, false, [](const HoleRow& row) { return number(row.damages); }},
    {"repeats", true, false, [](const HoleRow& row) { return number(row.repeats); }},
};

PairedFigure figure_of(const FigureKind& kind, const std::vector<Pair>& pairs) {
  PairedFigure figure;
  figure.name = kind.name;
  figure.is_share = kind.is_share;
  figure.higher_is_better = kind.higher_is_better;
  for (const Pair& pair : pairs) {
    const Value a = kind.value(*pair.a);
    const Value b = kind.value(*pair.b);
    if (!a || !b) continue;
    ++figure.n;
    figure.a += *a;
    figure.b += *b;
    figure.up += *b > *a ? 1 : 0;
    figure.down += *b < *a ? 1 : 0;
  }
  if (figure.n > 0) {
    figure.a /= figure.n;
    figure.b /= figure.n;
  }
  figure.chance = sign_test(figure.up, figure.down);
  return figure;
}

ComparedGroup group_of(const std::vector<Pair>& pairs, const Summary& group) {
  ComparedGroup compared;
  compared.language = group.language;
  compared.kind = group.kind;
  std::vector<Pair> members;
  std::vector<const HoleRow*> rows_a, rows_b;
  for (const Pair& pair : pairs) {
    const bool fits = (group.language.empty() || pair.a->language == group.language) &&
                      (group.kind.empty() || name_of(pair.a->hole.kind) == group.kind);
    if (!fits) continue;
    members.push_back(pair);
    rows_a.push_back(pair.a);
    rows_b.push_back(pair.b);
  }
  for (const FigureKind& kind : kFigures) {
    PairedFigure figure = figure_of(kind, members);
    if (figure.n > 0) compared.figures.push_back(std::move(figure));
  }
  compared.a = summarise(rows_a);
  compared.b = summarise(rows_b);
  return compared;
}

Json times_json(const Summary& sum) {
  return {{"firstTokenP50Ms", sum.first_token.p50_ms},
          {"firstTokenP95Ms", sum.first_token.p95_ms},
          {"totalP50Ms", sum.total.p50_ms},
          {"totalP95Ms", sum.total.p95_ms},
          {"promptTokens", sum.prompt_tokens},
          {"cachedTokens", sum.cached_tokens},
          {"generatedTokens", sum.generated_tokens}};
}

Json run_name(const EvalRun& run) {
  return {{"incipit", run.incipit}, {"model", run.model}, {"device", run.device}};
}

}  // namespace

Result<Comparison> compare(const EvalRun& a, const EvalRun& b) {
  std::map<decltype(key_of(HoleRow())), const HoleRow*> in_a;
  for (const HoleRow& row : a.rows) in_a.emplace(key_of(row), &row);
  Comparison result;
  std::vector<Pair> pairs;
  std::vector<HoleRow> common;
  for (const HoleRow& row : b.rows) {
    const auto found = in_a.find(key_of(row));
    if (found == in_a.end()) {
      ++result.n_only_b;
      continue;
    }
    pairs.push_back({found->second, &row});
    common.push_back(row);
    in_a.erase(found);
  }
  result.n_common = static_cast<int>(pairs.size());
  result.n_only_a = static_cast<int>(in_a.size());
  if (pairs.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("want two runs over the same holes, found none in common: A has {}, "
                             "B has {} others; the files, --seed, --holes, --kinds and --max-files "
                             "make the holes",
                             a.rows.size(), b.rows.size())};
  }
  for (const Summary& group : summaries_of(common)) {
    result.groups.push_back(group_of(pairs, group));
  }
  return result;
}

std::string comparison_json(const EvalRun& a, const EvalRun& b, const Comparison& comparison) {
  Json groups = Json::array();
  for (const ComparedGroup& group : comparison.groups) {
    Json entry = {{"n", group.a.n}, {"a", times_json(group.a)}, {"b", times_json(group.b)}};
    if (!group.language.empty()) entry["language"] = group.language;
    if (!group.kind.empty()) entry["kind"] = group.kind;
    for (const PairedFigure& figure : group.figures) {
      entry["figures"].push_back({{"name", figure.name},
                                  {"n", figure.n},
                                  {"a", figure.a},
                                  {"b", figure.b},
                                  {"difference", figure.b - figure.a},
                                  {"up", figure.up},
                                  {"down", figure.down},
                                  {"chance", figure.chance}});
    }
    groups.push_back(std::move(entry));
  }
  return print_json({{"a", run_name(a)},
                     {"b", run_name(b)},
                     {"common", comparison.n_common},
                     {"onlyA", comparison.n_only_a},
                     {"onlyB", comparison.n_only_b},
                     {"groups", std::move(groups)}});
}

}  // namespace incipit::lsp::eval
