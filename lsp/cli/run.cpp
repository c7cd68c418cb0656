#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"

namespace incipit::lsp::cli {
namespace {

int run_command(const LspArguments& arguments) {
  return run_lsp(arguments);
}
int run_command(const CompleteArguments& arguments) {
  return static_cast<int>(run_complete(arguments));
}
int run_command(const ExplainArguments& arguments) {
  return static_cast<int>(run_explain(arguments));
}
int run_command(const BenchArguments& arguments) {
  return static_cast<int>(run_bench(arguments));
}
int run_command(const EvalArguments& arguments) {
  return static_cast<int>(run_eval(arguments));
}
int run_command(const DoctorArguments& arguments) {
  return static_cast<int>(run_doctor(arguments));
}
int run_command(const ModelArguments& arguments) {
  return static_cast<int>(run_model(arguments));
}

}  // namespace

int run(int argc, const char* const* argv) {
  const ParsedCommandLine parsed = parse_command_line(argc, argv);
  if (const auto* help = std::get_if<HelpText>(&parsed)) {
    return static_cast<int>(write_result(help->text) ? ExitCode::kOk : ExitCode::kFailure);
  }
  if (const auto* wrong = std::get_if<UsageError>(&parsed)) {
    const Error error{ErrorCode::kInvalidArgument, wrong->message};
    const auto say = wrong->command == UsageError::Of::kLsp ? fail_on_stderr : fail;
    return static_cast<int>(say(wrong->format, ExitCode::kUsage, error));
  }
  return std::visit([](const auto& arguments) { return run_command(arguments); },
                    std::get<Arguments>(parsed));
}

}  // namespace incipit::lsp::cli
