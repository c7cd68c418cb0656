#include <fmt/core.h>

#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"
#include "lsp/cli/inserted_text.h"
#include "lsp/cli/interrupt.h"
#include "lsp/cli/json_report.h"
#include "lsp/cli/model_session.h"
#include "lsp/cli/source_file.h"
#include "lsp/cli/timing_note.h"
#include "lsp/completion/complete_now.h"

namespace incipit::lsp::cli {
namespace {

// What to insert at the cursor. Where that is not all of a suggestion, stderr says what to replace.
std::string printed_text(const CompletionItem& item, const SourceFile& source, size_t offset) {
  if (auto text = inserted_text(item, *source.text, offset)) return std::move(*text);
  note(fmt::format("this suggestion stands for \"{}\" around the cursor, which is to be replaced",
                   source.text->substr(item.replace_start, item.replace_end - item.replace_start)));
  return item.insert_text;
}

}  // namespace

ExitCode run_complete(const CompleteArguments& arguments) {
  const Result<SourceFile> source = read_source(arguments.source);
  if (!source) return fail(arguments.format, ExitCode::kInput, source.error());
  const Result<size_t> offset = parse_position(arguments.at, *source);
  if (!offset) return fail(arguments.format, ExitCode::kUsage, offset.error());

  const InterruptScope interrupt;
  const Result<ModelSession> session = open_model(arguments.model, interrupt.token());
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;
  if (!session) return fail(arguments.format, ExitCode::kModel, session.error());

  CompletionRequest request;
  request.document = source->snapshot;
  request.offset = *offset;
  request.invoked = true;
  request.options.max_tokens = arguments.max_tokens;
  request.options.alternatives = arguments.alternatives;
  request.cancel = interrupt.token();
  const CompletionOutcome outcome = complete_now(*session->pipeline, std::move(request));
  if (interrupt.token().cancelled()) return ExitCode::kInterrupted;

  const bool empty = outcome.items.empty();
  note(empty ? "nothing to suggest: " + outcome.why_empty : timing_note(outcome.timings.engine));
  bool written = true;
  if (arguments.format == Format::kJson) {
    written = write_result(completion_json(outcome, *source) + "\n");
  } else if (!empty) {
    std::string text;
    for (const CompletionItem& item : outcome.items) {
      text += (text.empty() ? "" : "---\n") + printed_text(item, *source, *offset) + "\n";
    }
    written = write_result(text);
  }
  return written ? ExitCode::kOk : ExitCode::kFailure;
}

}  // namespace incipit::lsp::cli
