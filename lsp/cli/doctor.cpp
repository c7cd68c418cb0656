#include <algorithm>
#include <vector>

#include "engine/tools/diagnose.h"
#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/findings_text.h"
#include "lsp/cli/json_report.h"
#include "lsp/cli/model_session.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp::cli {
namespace {

using engine::Finding;
using engine::Severity;

void add_grammars(std::vector<Finding>& findings) {
  std::string names;
  for (const Language& language : all_languages()) {
    const std::string_view wrong = check_language(language);
    if (wrong.empty()) {
      names += (names.empty() ? "" : ", ") + std::string(language.display);
      continue;
    }
    findings.push_back({Severity::kProblem, "grammars",
                        std::string(language.display) + ": " + std::string(wrong),
                        "Run scripts/setup.sh and build again."});
  }
  findings.push_back({Severity::kOk, "grammars",
                      names + "; files in other languages are completed from their text alone",
                      ""});
}

}  // namespace

ExitCode run_doctor(const DoctorArguments& arguments) {
  engine::DiagnoseOptions options;
  options.engine = engine_options(arguments.model);
  std::vector<Finding> findings = engine::diagnose(options);
  add_grammars(findings);
  const bool problem = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Severity::kProblem;
  });
  const std::string text =
      arguments.format == Format::kJson ? findings_json(findings) + "\n" : findings_text(findings);
  if (!write_result(text)) return ExitCode::kFailure;
  return problem ? ExitCode::kFailure : ExitCode::kOk;
}

}  // namespace incipit::lsp::cli
