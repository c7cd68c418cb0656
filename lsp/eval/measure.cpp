#include "lsp/eval/measure.h"

#include <fmt/core.h>

#include <algorithm>

#include "lsp/completion/complete_now.h"
#include "lsp/eval/hole_places.h"

namespace incipit::lsp::eval {
namespace {

constexpr std::chrono::seconds kParseTime{10};

double milliseconds(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1e3;
}

OpenDocumentsPtr open_beside(const EvalFile& file) {
  if (file.beside.empty()) return nullptr;
  auto open = std::make_shared<OpenDocuments>();
  open->others = file.beside;
  open->similar = true;
  return open;
}

CompletionRequest request_for(const EvalFile& file, const Hole& hole, int64_t version,
                              const OpenDocumentsPtr& open, const CompletionOptions& options,
                              const CancelToken& cancel) {
  CompletionRequest request;
  request.document.uri = file.uri;
  request.document.path = file.name;
  request.document.language_id = file.language->name;
  request.document.version = version;
  request.document.text = std::make_shared<const std::string>(without_hole(*file.text, hole));
  request.open = open;
  request.offset = hole.start;
  request.invoked = hole.kind == HoleKind::kToken;
  request.options = options;
  request.cancel = cancel;
  return request;
}

HoleRow row_of(const EvalFile& file, const Hole& hole) {
  HoleRow row;
  row.file = file.name;
  row.text_hash = fmt::format("{:016x}", text_hash(*file.text));
  row.language = file.language->name;
  row.hole = hole;
  const auto start = file.text->begin() + static_cast<ptrdiff_t>(hole.start);
  row.line = static_cast<size_t>(std::count(file.text->begin(), start, '\n'));
  const size_t line_start = hole.start == 0 ? 0 : file.text->rfind('\n', hole.start - 1) + 1;
  row.character = hole.start - line_start;
  return row;
}

void take_timings(const CompletionTimings& timings, HoleRow& row) {
  row.finish = timings.finish;
  row.mean_log_prob = timings.mean_log_probability;
  row.first_token_ms = milliseconds(timings.first_token);
  row.total_ms = milliseconds(timings.total);
}

// The engine's counters know of both when a request asked twice.
void take_tokens(const engine::EngineStats& before, const engine::EngineStats& after,
                 HoleRow& row) {
  row.cached_tokens = static_cast<int32_t>(after.tokens_reused - before.tokens_reused);
  row.prompt_tokens =
      row.cached_tokens + static_cast<int32_t>(after.tokens_prefilled - before.tokens_prefilled);
  row.generated_tokens = static_cast<int32_t>(after.tokens_generated - before.tokens_generated);
}

}  // namespace

std::vector<HoleRow> measure(CompletionPipeline& pipeline, const engine::Engine& engine,
                             const EvalFiles& files, const CompletionOptions& options,
                             const CancelToken& cancel,
                             const std::function<void(const HoleRow&)>& on_row) {
  std::vector<HoleRow> rows;
  for (const EvalFile& file : files.files) {
    const Tree tree =
        DocumentParser(*file.language).parse(file.text, DocumentParser::Clock::now() + kParseTime);
    const OpenDocumentsPtr open = open_beside(file);
    int64_t version = 0;
    for (const Hole& hole : file.holes) {
      const engine::EngineStats before = engine.stats();
      const CompletionOutcome outcome =
          complete_now(pipeline, request_for(file, hole, ++version, open, options, cancel));
      if (cancel.cancelled()) return rows;
      if (tree == nullptr) continue;  // it was parsed when the holes were chosen
      HoleRow row = row_of(file, hole);
      take_timings(outcome.timings, row);
      take_tokens(before, engine.stats(), row);
      row.why_hidden = outcome.why_empty;
      int32_t n_context = 0;
      for (const ShownPiece& piece : outcome.context) n_context += piece.n_tokens;
      row.context_tokens = n_context;
      judge(*tree, outcome.items.empty() ? nullptr : &outcome.items.front(), row);
      judge_rules(*tree, outcome.steps, row);
      on_row(row);
      rows.push_back(std::move(row));
    }
    pipeline.forget(file.uri);
  }
  return rows;
}

}  // namespace incipit::lsp::eval
