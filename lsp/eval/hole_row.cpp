#include "lsp/eval/hole_row.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "lsp/eval/text_metrics.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp::eval {
namespace {

constexpr std::chrono::seconds kReparseTime{2};

int errors_of(const SyntaxTree& tree) {
  return count_errors(tree, {0, tree.text()->size()}, std::numeric_limits<int>::max());
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view leading_name(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_name_byte);
  return text.substr(0, static_cast<size_t>(end - text.begin()));
}

std::optional<bool> damage_of(const SyntaxTree& original, std::string spliced) {
  const Tree tree = reparse(original, std::make_shared<const std::string>(std::move(spliced)),
                            DocumentParser::Clock::now() + kReparseTime);
  if (tree == nullptr) return std::nullopt;
  return errors_of(*tree) > errors_of(original);
}

}  // namespace

std::string without_hole(const std::string& text, const Hole& hole) {
  return text.substr(0, hole.start) + text.substr(hole.end);
}

void judge(const SyntaxTree& original, const CompletionItem* item, HoleRow& row) {
  const std::string& text = *original.text();
  const Hole& hole = row.hole;
  row.expected = text.substr(hole.start, hole.end - hole.start);
  if (hole.kind == HoleKind::kToken) row.exact_name = false;
  if (item == nullptr) return;

  const std::string cut = without_hole(text, hole);
  row.shown = item->insert_text;
  // What the suggestion replaces right of the cursor it is meant to bring along.
  const std::string wanted = row.expected + cut.substr(hole.start, item->replace_end - hole.start);
  row.exact_line = is_same_text(first_line(row.shown), first_line(wanted));
  row.exact_span = is_same_text(row.shown, wanted);
  if (row.exact_name) row.exact_name = leading_name(row.shown) == leading_name(wanted);
  row.line_similarity = edit_similarity(first_line(row.shown), first_line(wanted));
  row.span_similarity = edit_similarity(row.shown, wanted);

  const std::string before = cut.substr(0, item->replace_start);
  const std::string after = cut.substr(item->replace_end);
  row.damages = damage_of(original, before + row.shown + after);
  row.repeats =
      repeats_a_neighbour(before, row.shown, after) && !repeats_a_neighbour(before, wanted, after);
}

void judge_rules(const SyntaxTree& original, const std::vector<RuleStep>& steps, HoleRow& row) {
  for (const RuleStep& step : steps) {
    const CompletionItem item{step.before, row.hole.start, row.hole.start};
    HoleRow as_shown;
    as_shown.hole = row.hole;
    judge(original, &item, as_shown);
    row.rules.push_back({step.rule, step.before, as_shown.exact_line, as_shown.damages,
                         as_shown.repeats.value_or(false)});
  }
}

}  // namespace incipit::lsp::eval
