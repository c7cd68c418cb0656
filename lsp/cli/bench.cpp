#include "engine/tools/engine_bench.h"
#include "lsp/cli/bench_table.h"
#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/json_report.h"
#include "lsp/cli/model_session.h"
#include "lsp/cli/suite.h"

namespace incipit::lsp::cli {
namespace {

engine::EngineBenchOptions bench_options(const BenchArguments& arguments) {
  engine::EngineBenchOptions options;
  options.engine = engine_options(arguments.model);
  options.synthetic = arguments.synthetic;
  options.prompt_tokens = arguments.prompt_tokens;
  options.decode_tokens = arguments.decode_tokens;
  options.cached_tokens = arguments.cached_tokens;
  options.new_tokens = arguments.new_tokens;
  return options;
}

// An argument that only the engine can judge (the name of a shape) is still the user's mistake.
ExitCode exit_for(const Error& error) {
  return error.code == ErrorCode::kInvalidArgument ? ExitCode::kUsage : ExitCode::kModel;
}

Result<engine::EngineBenchReport> measure(const BenchArguments& arguments,
                                          const CancelToken& cancel) {
  Progress progress;
  return engine::run_engine_bench(
      bench_options(arguments),
      [&progress](double fraction, const std::string& what) { progress.update(fraction, what); },
      cancel);
}

}  // namespace

ExitCode run_bench(const BenchArguments& arguments) {
  if (!arguments.suite.empty()) return run_suite(arguments);
  const InterruptScope interrupt;
  const Result<engine::EngineBenchReport> report = measure(arguments, interrupt.token());
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (!report) return fail(arguments.format, exit_for(report.error()), report.error());
  const std::string text =
      arguments.format == Format::kJson ? bench_json(*report) + "\n" : bench_table(*report);
  return write_result(text) ? ExitCode::kOk : ExitCode::kFailure;
}

}  // namespace incipit::lsp::cli
