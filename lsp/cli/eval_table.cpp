#include "lsp/cli/eval_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <vector>

#include "lsp/eval/calibration.h"
#include "lsp/eval/statistics.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp::cli {
namespace {

using eval::Comparison;
using eval::EvalRun;
using eval::PairedFigure;
using eval::Share;
using eval::Summary;

using Cells = std::vector<std::string>;

// The first column to the left, the others to the right.
std::string aligned(const std::vector<Cells>& lines) {
  std::vector<size_t> widths;
  for (const Cells& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const Cells& line : lines) {
    std::string row;
    for (size_t i = 0; i < line.size(); ++i) {
      row += i == 0 ? fmt::format("{:<{}}", line[i], widths[i])
                    : fmt::format("  {:>{}}", line[i], widths[i]);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

std::string percent(const Share& share) {
  return share.n == 0 ? "-" : fmt::format("{:.1f} %", share.value() * 100);
}

std::string display_of(const std::string& language) {
  const Language* known = find_language(language, "");
  return known == nullptr ? language : std::string(known->display);
}

std::string group_name(const std::string& language, const std::string& kind) {
  if (language.empty()) return kind.empty() ? "all" : fmt::format("  {}", kind);
  return kind.empty() ? display_of(language) : fmt::format("{} {}", display_of(language), kind);
}

std::string quality(const std::vector<Summary>& sums) {
  std::vector<Cells> lines = {{"holes", "n", "shown", "exact line", "exact span", "line sim.",
                               "span sim.", "damage", "repeats"}};
  for (const Summary& sum : sums) {
    if (!sum.language.empty() && !sum.kind.empty()) continue;  // those are in the JSON
    lines.push_back({group_name(sum.language, sum.kind), std::to_string(sum.n), percent(sum.shown),
                     percent(sum.exact_line), percent(sum.exact_span),
                     fmt::format("{:.3f}", sum.line_similarity),
                     fmt::format("{:.3f}", sum.span_similarity), percent(sum.damages),
                     percent(sum.repeats)});
  }
  return aligned(lines);
}

std::string speed(const std::vector<Summary>& sums) {
  std::vector<Cells> lines = {
      {"ms", "first token p50", "p95", "whole p50", "p95", "tokens read", "reused", "written"}};
  for (const Summary& sum : sums) {
    if (!sum.language.empty()) continue;
    const Share reused{static_cast<int>(sum.cached_tokens), static_cast<int>(sum.prompt_tokens)};
    lines.push_back({group_name("", sum.kind), fmt::format("{:.1f}", sum.first_token.p50_ms),
                     fmt::format("{:.1f}", sum.first_token.p95_ms),
                     fmt::format("{:.1f}", sum.total.p50_ms),
                     fmt::format("{:.1f}", sum.total.p95_ms), std::to_string(sum.prompt_tokens),
                     percent(reused), std::to_string(sum.generated_tokens)});
  }
  return aligned(lines);
}

// "95 % intervals: exact line 10.1 to 17.2 %, …"
std::string intervals(const Summary& all) {
  std::string text = "95 % intervals:";
  const auto add = [&](const char* name, const Share& share) {
    if (share.n == 0) return;
    const eval::Interval interval = eval::share_interval(share.yes, share.n);
    text += fmt::format("{} {} {:.1f} to {:.1f} %", text.back() == ':' ? "" : ",", name,
                        interval.low * 100, interval.high * 100);
  };
  add("exact line", all.exact_line);
  add("exact span", all.exact_span);
  add("damage", all.damages);
  return text + "\n";
}

std::string counts(const std::string& heading, const std::map<std::string, int>& by_reason) {
  if (by_reason.empty()) return "";
  std::vector<std::pair<int, std::string>> sorted;
  for (const auto& [reason, n] : by_reason) sorted.emplace_back(-n, reason);
  std::sort(sorted.begin(), sorted.end());
  std::string text = fmt::format("\n{}\n", heading);
  for (const auto& [n, reason] : sorted) text += fmt::format("  {:>5}  {}\n", -n, reason);
  return text;
}

// "12 > 3": of the suggestions that a rule changed, before it and after it.
std::string rules(const std::map<std::string, eval::RuleSummary>& by_name) {
  if (by_name.empty()) return "";
  std::vector<Cells> lines = {{"rule", "changed", "hid", "exact line", "damage", "repeats"}};
  const auto both = [](int before, int after) { return fmt::format("{} > {}", before, after); };
  for (const auto& [name, rule] : by_name) {
    lines.push_back({name, std::to_string(rule.n), std::to_string(rule.hidden),
                     both(rule.exact_line_before, rule.exact_line_after),
                     both(rule.damages_before, rule.damages_after),
                     both(rule.repeats_before, rule.repeats_after)});
  }
  return fmt::format("\n{}", aligned(lines));
}

// How right the model is when it is how sure, and the price of a threshold.
std::string confidence(const std::vector<eval::ConfidenceBucket>& buckets) {
  std::vector<Cells> lines = {
      {"confidence", "n", "exact line", "hidden below", "exact lines lost"}};
  for (const eval::ConfidenceBucket& bucket : buckets) {
    if (bucket.exact_line.n == 0) continue;
    lines.push_back({fmt::format("{:.2f} to {:.2f}", bucket.from, bucket.to),
                     std::to_string(bucket.exact_line.n), percent(bucket.exact_line),
                     percent(bucket.hidden), percent(bucket.exact_hidden)});
  }
  return lines.size() == 1 ? "" : fmt::format("\n{}", aligned(lines));
}

std::string figure_text(const PairedFigure& figure, double value) {
  return figure.is_share ? fmt::format("{:.1f} %", value * 100) : fmt::format("{:.3f}", value);
}

Cells comparison_line(const std::string& name, const PairedFigure& figure) {
  const double change = figure.b - figure.a;
  const bool sure = figure.chance < 0.05;
  const bool better = (figure.up > figure.down) == figure.higher_is_better;
  return {name,
          std::to_string(figure.n),
          figure_text(figure, figure.a),
          figure_text(figure, figure.b),
          figure.is_share ? fmt::format("{:+.1f}", change * 100) : fmt::format("{:+.3f}", change),
          fmt::format("{} / {}", figure.up, figure.down),
          fmt::format("{:.3f}", figure.chance),
          !sure    ? ""
          : better ? "better"
                   : "worse"};
}

constexpr const char* kFigureNames[][2] = {{"shown", "shown"},
                                           {"exactLine", "exact line"},
                                           {"exactSpan", "exact span"},
                                           {"exactName", "exact name"},
                                           {"lineSimilarity", "line similarity"},
                                           {"spanSimilarity", "span similarity"},
                                           {"damages", "damage"},
                                           {"repeats", "repeats"}};

std::string display_name(const std::string& figure) {
  for (const auto& [name, display] : kFigureNames) {
    if (figure == name) return display;
  }
  return figure;
}

// What `run` was measured with, where that is not what `other` was.
std::string options_apart(const EvalRun& run, const EvalRun& other) {
  std::string text;
  if (run.context_tokens != other.context_tokens)
    text += fmt::format(", context of {}", run.context_tokens);
  if (run.definitions != other.definitions) text += ", definitions: " + run.definitions;
  if (run.options.neighbours != other.options.neighbours)
    text += run.options.neighbours ? ", neighbours" : ", no neighbours";
  if (run.completion.prompt_end != other.completion.prompt_end)
    text += run.completion.prompt_end == PromptEnd::kBeforeToken ? ", healing" : ", no healing";
  if (run.completion.min_confidence != other.completion.min_confidence)
    text += fmt::format(", min. confidence {}", run.completion.min_confidence);
  return text;
}

std::string run_line(const char* name, const EvalRun& run, const EvalRun& other) {
  return fmt::format("{}: {} on {}, incipit {}{}{}\n", name, run.model, run.device, run.incipit,
                     options_apart(run, other), run.interrupted ? ", interrupted" : "");
}

std::string speed_comparison(const Summary& a, const Summary& b) {
  std::vector<Cells> lines = {{"ms (depends on the machine)", "A", "B", "B - A"}};
  const auto add = [&](const char* name, double in_a, double in_b) {
    lines.push_back({name, fmt::format("{:.1f}", in_a), fmt::format("{:.1f}", in_b),
                     fmt::format("{:+.1f}", in_b - in_a)});
  };
  add("first token p50", a.first_token.p50_ms, b.first_token.p50_ms);
  add("first token p95", a.first_token.p95_ms, b.first_token.p95_ms);
  add("whole request p50", a.total.p50_ms, b.total.p50_ms);
  add("whole request p95", a.total.p95_ms, b.total.p95_ms);
  return aligned(lines);
}

}  // namespace

std::string eval_table(const EvalRun& run) {
  std::string text = fmt::format("{} on {}\n{} hole{} in {} file{}, seed {}{}\n\n", run.model,
                                 run.device, run.rows.size(), run.rows.size() == 1 ? "" : "s",
                                 run.n_files, run.n_files == 1 ? "" : "s", run.options.seed,
                                 run.interrupted ? ", interrupted" : "");
  const std::vector<Summary> sums = summaries_of(run.rows);
  if (!sums.empty()) {
    const Summary& all = sums.front();
    text += quality(sums) + "\n" + intervals(all);
    if (all.exact_name.n > 0) {
      text += fmt::format("exact name: {} of {} token holes\n", percent(all.exact_name),
                          all.exact_name.n);
    }
    text += '\n';
    text += speed(sums);
    text += counts("nothing shown, because", all.why_hidden);
    text += rules(all.rules);
    text += confidence(eval::calibration(run.rows));
  }
  return text + counts("files left out", run.left_out);
}

std::string comparison_table(const EvalRun& a, const EvalRun& b, const Comparison& comparison) {
  std::string text = run_line("A", a, b) + run_line("B", b, a);
  text += fmt::format("{} holes in both; only in A {}, only in B {}\n\n", comparison.n_common,
                      comparison.n_only_a, comparison.n_only_b);
  const Cells heading = {"figure", "n", "A", "B", "B - A", "up / down", "chance", ""};
  std::vector<Cells> lines = {heading};
  for (const PairedFigure& figure : comparison.groups.front().figures) {
    lines.push_back(comparison_line(display_name(figure.name), figure));
  }
  text += aligned(lines);
  for (const char* name : {"exactLine", "spanSimilarity"}) {
    lines = {heading};
    lines.front().front() = display_name(name);
    for (const eval::ComparedGroup& group : comparison.groups) {
      const bool one = group.language.empty() != group.kind.empty();
      for (const PairedFigure& figure : group.figures) {
        if (!one || figure.name != name) continue;
        lines.push_back(comparison_line(group_name(group.language, group.kind), figure));
      }
    }
    text += '\n';
    text += aligned(lines);
  }
  text +=
      "\nchance: how likely so uneven a split of up and down is by luck (two-sided sign test);\n"
      "better or worse is said below 0.05, where one figure in twenty gets by luck alone.\n\n";
  return text + speed_comparison(comparison.groups.front().a, comparison.groups.front().b);
}

}  // namespace incipit::lsp::cli
