#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/eval_table.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/model_session.h"
#include "lsp/cli/source_file.h"
#include "lsp/eval/comparison.h"
#include "lsp/eval/measure.h"
#include "lsp/eval/run_json.h"
#include "lsp/eval/source_files.h"
#include "lsp/index/workspace_index.h"
#include "lsp/settings.h"

namespace incipit::lsp::cli {
namespace {

// --out: opened before minutes of work, put in its place after them, so that an older report stays
// until there is a new one.
class ReportFile {
 public:
  static Result<ReportFile> create(const std::string& name) {
    ReportFile file;
    if (name.empty()) return file;
    file.name_ = name;
    file.stream_ = std::make_unique<std::ofstream>(file.part(), std::ios::binary);
    if (!*file.stream_) return file.failure();
    return file;
  }
  ReportFile(ReportFile&&) = default;
  ~ReportFile() {
    if (stream_ != nullptr) std::remove(part().c_str());
  }

  Result<void> write(const std::string& text) {
    if (stream_ == nullptr) return {};
    *stream_ << text;
    stream_->close();
    if (!*stream_ || std::rename(part().c_str(), name_.c_str()) != 0) return failure();
    stream_.reset();
    return {};
  }

 private:
  ReportFile() = default;
  std::string part() const { return fmt::format("{}.{}.part", name_, ::getpid()); }
  Error failure() const {
    return {ErrorCode::kIo, fmt::format("--out {}: cannot write: {}", name_, std::strerror(errno))};
  }

  std::string name_;
  std::unique_ptr<std::ofstream> stream_;  // of `part()`; null: nothing to write
};

Result<eval::EvalOptions> eval_options(const EvalArguments& arguments) {
  eval::EvalOptions options;
  options.holes = arguments.holes;
  options.seed = arguments.seed;
  options.max_files = arguments.max_files;
  options.neighbours = arguments.neighbours;
  if (!arguments.kinds.empty()) options.kinds.clear();
  for (const eval::HoleKind kind : eval::kHoleKinds) {
    const auto& asked = arguments.kinds;
    if (std::find(asked.begin(), asked.end(), name_of(kind)) != asked.end()) {
      options.kinds.push_back(kind);
    }
  }
  for (const std::string& name : arguments.languages) {
    const Language* language = find_language(name, "");
    if (language == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("--languages: want {}, found \"{}\"", language_names(), name)};
    }
    options.languages.push_back(language);
  }
  return options;
}

// The folders' own symbols, ready to be asked; nothing unless they are wanted.
ContextChoice context_of(const EvalArguments& arguments, const CancelToken& cancel) {
  ContextChoice choice;
  if (arguments.definitions == "none" || cancel.cancelled()) return choice;
  choice.shown_as = arguments.definitions == "comments" ? FilesAs::kComments : FilesAs::kFiles;
  std::vector<std::string> folders;
  for (const std::string& path : arguments.paths) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      std::string folder = std::filesystem::absolute(path).lexically_normal().string();
      if (folder.ends_with('/')) folder.pop_back();
      folders.push_back(std::move(folder));
    }
  }
  const auto index = std::make_shared<WorkspaceIndex>();
  index->set_folders(std::move(folders));
  index->wait_until_complete();
  choice.symbols = std::shared_ptr<const SymbolIndex>(index, &index->symbols());
  return choice;
}

size_t count_holes(const eval::EvalFiles& files) {
  size_t n = 0;
  for (const eval::EvalFile& file : files.files) n += file.holes.size();
  return n;
}

Error no_holes(const eval::EvalFiles& files) {
  std::string message = "want source files to make holes in, found none";
  for (const auto& [reason, n] : files.left_out) {
    message += fmt::format("{} {} {}", message.ends_with("none") ? "; left out:" : ",", n, reason);
  }
  return {ErrorCode::kNotFound, message};
}

eval::EvalRun run_of(const engine::ModelInfo& info, const eval::EvalOptions& options,
                     const eval::EvalFiles& files) {
  eval::EvalRun run;
  run.incipit = version();
  run.model = info.name;
  run.device = info.device;
  run.context_tokens = info.context_tokens;
  run.options = options;
  run.n_files = static_cast<int>(files.files.size());
  run.left_out = files.left_out;
  return run;
}

CompletionOptions completion_options(const EvalArguments& arguments) {
  CompletionOptions options;
  options.min_confidence = arguments.min_confidence < 0 ? Settings().completion_min_confidence
                                                        : arguments.min_confidence;
  if (!arguments.heals_tokens) options.prompt_end = PromptEnd::kBeforeBlank;
  return options;
}

std::vector<eval::HoleRow> measure_all(const ModelSession& session, const eval::EvalFiles& files,
                                       const CompletionOptions& options,
                                       const CancelToken& cancel) {
  Progress progress;
  const size_t n_holes = count_holes(files);
  size_t n_done = 0, n_exact = 0;
  return eval::measure(
      *session.pipeline, *session.engine, files, options, cancel, [&](const eval::HoleRow& row) {
        n_exact += row.exact_line ? 1 : 0;
        progress.show(fmt::format("{} of {} holes, {} with an exact first line; {}", ++n_done,
                                  n_holes, n_exact, row.file));
      });
}

Result<eval::EvalRun> read_run(const std::string& name) {
  SourceChoice choice;
  choice.file = name;
  const Result<SourceFile> source = read_source(choice);
  if (!source) return source.error();
  return eval::parse_run(*source->text, name);
}

ExitCode run_comparison(const EvalArguments& arguments) {
  const Result<eval::EvalRun> a = read_run(arguments.compare[0]);
  if (!a) return fail(arguments.format, ExitCode::kInput, a.error());
  const Result<eval::EvalRun> b = read_run(arguments.compare[1]);
  if (!b) return fail(arguments.format, ExitCode::kInput, b.error());
  const Result<eval::Comparison> comparison = eval::compare(*a, *b);
  if (!comparison) return fail(arguments.format, ExitCode::kFailure, comparison.error());
  const std::string json = comparison_json(*a, *b, *comparison) + "\n";
  const std::string text =
      arguments.format == Format::kJson ? json : comparison_table(*a, *b, *comparison);
  Result<ReportFile> out = ReportFile::create(arguments.out);
  if (!out) return fail(arguments.format, ExitCode::kFailure, out.error());
  if (const Result<void> written = out->write(json); !written) {
    return fail(arguments.format, ExitCode::kFailure, written.error());
  }
  return write_result(text) ? ExitCode::kOk : ExitCode::kFailure;
}

}  // namespace

ExitCode run_eval(const EvalArguments& arguments) {
  if (!arguments.compare.empty()) return run_comparison(arguments);
  const Format format = arguments.format;
  const Result<eval::EvalOptions> options = eval_options(arguments);
  if (!options) return fail(format, ExitCode::kUsage, options.error());
  const InterruptScope interrupt;  // before there is a file to remove
  const CancelToken& cancel = interrupt.token();
  Result<ReportFile> out = ReportFile::create(arguments.out);
  if (!out) return fail(format, ExitCode::kFailure, out.error());
  const Result<eval::EvalFiles> files = eval::find_files(arguments.paths, *options, cancel);
  if (cancel.cancelled()) return ExitCode::kInterrupted;
  if (!files) return fail(format, ExitCode::kInput, files.error());
  if (files->files.empty()) return fail(format, ExitCode::kInput, no_holes(*files));
  const Result<ModelSession> session =
      open_model(arguments.model, cancel, context_of(arguments, cancel));
  if (cancel.cancelled()) return ExitCode::kInterrupted;
  if (!session) return fail(format, ExitCode::kModel, session.error());

  eval::EvalRun run = run_of(session->engine->info(), *options, *files);
  run.completion = completion_options(arguments);
  run.definitions = arguments.definitions;
  run.rows = measure_all(*session, *files, run.completion, cancel);
  run.interrupted = cancel.cancelled();
  const std::string json = run_json(run) + "\n";
  if (const Result<void> written = out->write(json); !written) {
    return fail(format, ExitCode::kFailure, written.error());
  }
  if (!write_result(format == Format::kJson ? json : eval_table(run))) return ExitCode::kFailure;
  return run.interrupted ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace incipit::lsp::cli
