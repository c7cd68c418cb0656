#include <fmt/core.h>

#include <chrono>
#include <optional>

#include "engine/tools/model_report.h"
#include "engine/tools/model_store.h"
#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/model_text.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp::cli {
namespace {

// A wrong name is a mistake of the command line, anything else is the model's.
ExitCode exit_for_model(const Error& error) {
  return error.code == ErrorCode::kInvalidArgument ? ExitCode::kUsage : ExitCode::kModel;
}

ExitCode print(const std::string& text) {
  return write_result(text) ? ExitCode::kOk : ExitCode::kFailure;
}

engine::AddModelOptions add_options(const ModelArguments& arguments) {
  engine::AddModelOptions options{arguments.source, arguments.name};
  options.quantize.method = arguments.quantize == "gptq"  ? engine::QuantizeMethod::kGptq
                            : arguments.quantize == "rtn" ? engine::QuantizeMethod::kRtn
                                                          : engine::QuantizeMethod::kAuto;
  options.quantize.calibration.assign(arguments.calibration.begin(), arguments.calibration.end());
  options.quantize.measure = arguments.measure;
  options.quantize.device = arguments.device;
  options.say = [](const std::string& line) { note(line); };
  return options;
}

ExitCode add(const ModelArguments& arguments) {
  const InterruptScope interrupt;
  std::optional<std::chrono::steady_clock::time_point> began;  // packing: files were read before
  const auto added = [&] {
    Progress progress;
    return engine::add_model(
        add_options(arguments),
        [&](int64_t done, int64_t total, const std::string& what) {
          const auto now = std::chrono::steady_clock::now();
          if (!began) began = now;
          progress.show(progress_text(done, total, what, now - *began));
        },
        interrupt.token());
  }();
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (!added) return fail(arguments.format, exit_for_model(added.error()), added.error());
  return print(arguments.format == Format::kJson ? added_json(*added) + "\n" : added_text(*added));
}

ExitCode list(const ModelArguments& arguments) {
  const auto reports = engine::report_models();
  return print(arguments.format == Format::kJson ? models_json(reports) + "\n"
                                                 : models_text(reports));
}

ExitCode show(const ModelArguments& arguments) {
  const auto report = engine::report_model(arguments.name);
  if (!report) return fail(arguments.format, ExitCode::kModel, report.error());
  const ExitCode exit =
      print(arguments.format == Format::kJson ? model_json(*report) + "\n" : model_text(*report));
  return exit == ExitCode::kOk && !report->problem.empty() ? ExitCode::kModel : exit;
}

ExitCode choose_default(const ModelArguments& arguments) {
  const auto done = engine::set_default_model(arguments.name);
  if (!done) return fail(arguments.format, exit_for_model(done.error()), done.error());
  if (arguments.format == Format::kJson)
    return print(print_json({{"default", arguments.name}}) + "\n");
  return print(fmt::format("{} is used when no model is named\n", arguments.name));
}

ExitCode remove(const ModelArguments& arguments) {
  const auto removed = engine::remove_model(arguments.name);
  if (!removed) return fail(arguments.format, exit_for_model(removed.error()), removed.error());
  if (arguments.format == Format::kJson) {
    return print(print_json({{"removed", arguments.name},
                             {"freedBytes", removed->freed_bytes},
                             {"wasDefault", removed->was_default}}) +
                 "\n");
  }
  return print(fmt::format("{}: removed, {:.1f} MiB freed{}\n", arguments.name,
                           static_cast<double>(removed->freed_bytes) / (1 << 20),
                           removed->was_default ? "; pocket is the default again" : ""));
}

}  // namespace

ExitCode run_model(const ModelArguments& arguments) {
  switch (arguments.action) {
    case ModelArguments::Action::kAdd:
      return add(arguments);
    case ModelArguments::Action::kList:
      return list(arguments);
    case ModelArguments::Action::kShow:
      return show(arguments);
    case ModelArguments::Action::kDefault:
      return choose_default(arguments);
    case ModelArguments::Action::kRemove:
      return remove(arguments);
  }
  return ExitCode::kFailure;
}

}  // namespace incipit::lsp::cli
