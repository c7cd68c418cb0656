#include "engine/base/log.h"
#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/model_session.h"
#include "lsp/server.h"

namespace incipit::lsp::cli {
namespace {

int fail_start(Format format, ExitCode exit, const Error& error) {
  return static_cast<int>(fail_on_stderr(format, exit, error));
}

}  // namespace

int run_lsp(const LspArguments& arguments) {
  const Result<log::Level> level = log::parse_level(arguments.log_level);
  if (!level) return fail_start(arguments.format, ExitCode::kUsage, level.error());
  if (const Result<void> logging = log::configure(*level, arguments.log_file); !logging) {
    return fail_start(arguments.format, ExitCode::kFailure, logging.error());
  }
  ServerOptions options;
  options.engine = engine_options(arguments.model);
  options.engine.synthetic = arguments.synthetic;
  if (!arguments.settings_file.empty()) options.settings_file = arguments.settings_file;
  return run_stdio_server(options);
}

}  // namespace incipit::lsp::cli
