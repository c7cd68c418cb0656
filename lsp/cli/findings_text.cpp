#include "lsp/cli/findings_text.h"

#include <fmt/core.h>

#include <algorithm>

namespace incipit::lsp::cli {

std::string findings_text(std::span<const engine::Finding> findings) {
  constexpr size_t kSeverityColumns = 7;  // "problem"
  size_t area_columns = 0;
  for (const engine::Finding& finding : findings) {
    area_columns = std::max(area_columns, finding.area.size());
  }
  std::string text;
  size_t n_problems = 0;
  for (const engine::Finding& finding : findings) {
    text += fmt::format("{:<{}}  {:<{}}  {}\n", engine::name_of(finding.severity), kSeverityColumns,
                        finding.area, area_columns, finding.found);
    if (!finding.advice.empty()) {
      text += fmt::format("{:{}}-> {}\n", "", kSeverityColumns + 2, finding.advice);
    }
    if (finding.severity == engine::Severity::kProblem) ++n_problems;
  }
  if (n_problems == 0) return text + "\nNo problem found.\n";
  return text + fmt::format("\n{} problem{} found.\n", n_problems, n_problems == 1 ? "" : "s");
}

}  // namespace incipit::lsp::cli
