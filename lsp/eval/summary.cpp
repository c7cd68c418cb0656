#include "lsp/eval/summary.h"

#include <cctype>
#include <set>

#include "lsp/eval/statistics.h"

namespace incipit::lsp::eval {
namespace {

void count(Share& share, bool yes) {
  ++share.n;
  share.yes += yes ? 1 : 0;
}

void count(Share& share, const std::optional<bool>& yes) {
  if (yes) count(share, *yes);
}

void count_rules(const HoleRow& row, std::map<std::string, RuleSummary>& rules) {
  for (size_t i = 0; i < row.rules.size(); ++i) {
    const RuleRow& before = row.rules[i];
    const bool last = i + 1 == row.rules.size();
    RuleSummary& sum = rules[before.rule];
    ++sum.n;
    sum.exact_line_before += before.exact_line ? 1 : 0;
    sum.damages_before += before.damages.value_or(false) ? 1 : 0;
    sum.repeats_before += before.repeats ? 1 : 0;
    if (last && !row.is_shown()) {
      ++sum.hidden;
      continue;
    }
    const bool exact = last ? row.exact_line : row.rules[i + 1].exact_line;
    const std::optional<bool>& damages = last ? row.damages : row.rules[i + 1].damages;
    const bool repeats = last ? row.repeats.value_or(false) : row.rules[i + 1].repeats;
    sum.exact_line_after += exact ? 1 : 0;
    sum.damages_after += damages.value_or(false) ? 1 : 0;
    sum.repeats_after += repeats ? 1 : 0;
  }
}

Times times_of(const std::vector<double>& values) {
  return {percentile(values, 0.5), percentile(values, 0.95)};
}

// Without the figures of the one case, which follow a colon: "not sure enough: 0.38, and ...".
std::string kind_of(const std::string& why_hidden) {
  for (size_t at = why_hidden.find(": "); at != std::string::npos;
       at = why_hidden.find(": ", at + 2)) {
    if (at + 2 < why_hidden.size() && std::isdigit(static_cast<unsigned char>(why_hidden[at + 2])))
      return why_hidden.substr(0, at);
  }
  return why_hidden;
}

}  // namespace

Summary summarise(std::span<const HoleRow* const> rows) {
  Summary sum;
  std::vector<double> first_token, total;
  for (const HoleRow* row : rows) {
    ++sum.n;
    count(sum.shown, row->is_shown());
    if (!row->is_shown()) ++sum.why_hidden[kind_of(row->why_hidden)];
    count_rules(*row, sum.rules);
    count(sum.exact_line, row->exact_line);
    count(sum.exact_span, row->exact_span);
    count(sum.exact_name, row->exact_name);
    sum.line_similarity += row->line_similarity;
    sum.span_similarity += row->span_similarity;
    count(sum.damages, row->damages);
    count(sum.repeats, row->repeats);
    sum.prompt_tokens += row->prompt_tokens;
    sum.cached_tokens += row->cached_tokens;
    sum.generated_tokens += row->generated_tokens;
    if (!row->asked_the_model()) continue;
    first_token.push_back(row->first_token_ms);
    total.push_back(row->total_ms);
  }
  if (sum.n > 0) {
    sum.line_similarity /= sum.n;
    sum.span_similarity /= sum.n;
  }
  sum.first_token = times_of(first_token);
  sum.total = times_of(total);
  return sum;
}

std::vector<Summary> summaries_of(std::span<const HoleRow> rows) {
  std::vector<Summary> result;
  const auto add = [&](const std::string& language, const std::string& kind) {
    std::vector<const HoleRow*> group;
    for (const HoleRow& row : rows) {
      const bool fits = (language.empty() || row.language == language) &&
                        (kind.empty() || name_of(row.hole.kind) == kind);
      if (fits) group.push_back(&row);
    }
    if (group.empty()) return;
    Summary sum = summarise(group);
    sum.language = language;
    sum.kind = kind;
    result.push_back(std::move(sum));
  };
  std::set<std::string> languages;
  for (const HoleRow& row : rows) languages.insert(row.language);
  add("", "");
  for (const HoleKind kind : kHoleKinds) add("", std::string(name_of(kind)));
  for (const std::string& language : languages) add(language, "");
  for (const std::string& language : languages) {
    for (const HoleKind kind : kHoleKinds) add(language, std::string(name_of(kind)));
  }
  return result;
}

}  // namespace incipit::lsp::eval
