#include "lsp/cli/suite.h"

#include "engine/tools/h100_suite.h"
#include "lsp/cli/console.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/model_session.h"
#include "lsp/cli/suite_report.h"

namespace incipit::lsp::cli {

ExitCode run_suite(const BenchArguments& arguments) {
  const InterruptScope interrupt;
  engine::H100SuiteOptions options;
  options.engine = engine_options(arguments.model);
  if (!arguments.synthetic.empty()) options.synthetic = arguments.synthetic;
  const Result<engine::H100Report> report = [&] {
    Progress progress;
    return engine::run_h100_suite(
        options, [&](double fraction, const std::string& what) { progress.update(fraction, what); },
        interrupt.token());
  }();
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (!report) return fail(arguments.format, ExitCode::kModel, report.error());
  const bool json = arguments.format == Format::kJson;
  const std::string text = json ? suite_json(*report) + "\n" : suite_table(*report);
  return write_result(text) ? ExitCode::kOk : ExitCode::kFailure;
}

}  // namespace incipit::lsp::cli
