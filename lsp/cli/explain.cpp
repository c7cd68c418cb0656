#include <atomic>
#include <future>

#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/json_report.h"
#include "lsp/cli/model_session.h"
#include "lsp/cli/source_file.h"
#include "lsp/cli/timing_note.h"

namespace incipit::lsp::cli {
namespace {

// Streams to stdout unless the result is JSON. `unread` becomes true when stdout takes no more.
ExplainOutcome explain(CompletionPipeline& pipeline, ExplainRequest request, Format format,
                       std::atomic<bool>& unread) {
  std::promise<ExplainOutcome> done;
  const auto on_text = [format, &unread, cancel = request.cancel](std::string_view piece) {
    if (format == Format::kJson || write_result(piece)) return;
    unread = true;
    cancel.cancel();
  };
  pipeline.explain(std::move(request), on_text,
                   [&done](ExplainOutcome outcome) { done.set_value(std::move(outcome)); });
  return done.get_future().get();
}

}  // namespace

ExitCode run_explain(const ExplainArguments& arguments) {
  const Result<SourceFile> source = read_source(arguments.source);
  if (!source) return fail(arguments.format, ExitCode::kInput, source.error());
  const Result<ByteRange> range = parse_lines(arguments.lines, *source);
  if (!range) return fail(arguments.format, ExitCode::kUsage, range.error());

  const InterruptScope interrupt;
  const Result<ModelSession> session = open_model(arguments.model, interrupt.token());
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (!session) return fail(arguments.format, ExitCode::kModel, session.error());

  ExplainRequest request;
  request.document = source->snapshot;
  request.start = range->start;
  request.end = range->end;
  request.max_tokens = arguments.max_tokens;
  request.cancel = interrupt.token();
  std::atomic<bool> unread{false};
  const ExplainOutcome outcome =
      explain(*session->pipeline, std::move(request), arguments.format, unread);
  if (unread) return ExitCode::kFailure;

  const bool json = arguments.format == Format::kJson;
  if (!json && !outcome.text.empty() && outcome.text.back() != '\n') write_result("\n");
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (outcome.error) return fail(arguments.format, ExitCode::kFailure, *outcome.error);
  if (json && !write_result(explanation_json(outcome) + "\n")) return ExitCode::kFailure;
  note(outcome.text.empty() ? "the model has nothing to say about these lines"
                            : timing_note(outcome.timings));
  return ExitCode::kOk;
}

}  // namespace incipit::lsp::cli
