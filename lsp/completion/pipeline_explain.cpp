// PipelineWorker, the part for explanations.
#include <algorithm>
#include <utility>

#include "lsp/completion/pipeline_answers.h"
#include "lsp/completion/pipeline_worker.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {

void PipelineWorker::on(ExplainEvent event) {
  const ExplainRequest& request = event.request;
  if (request.cancel.cancelled()) return answer_cancelled(event);
  const DocumentSnapshot& document = request.document;
  if (document.text == nullptr) {
    return answer_error(event, {ErrorCode::kNotFound, "the document is not open"});
  }
  if (looks_secret(document.path) || looks_secret(document.uri)) {
    return answer_error(event, {ErrorCode::kInvalidArgument,
                                "the file looks like it holds secrets; such files are never shown "
                                "to the model"});
  }
  const size_t end = std::min(request.end, document.text->size());
  const size_t start = std::min(request.start, end);
  if (holds_private_key(*document.text, start, end)) {
    return answer_error(event, {ErrorCode::kInvalidArgument, kPrivateKeyNear});
  }
  const std::string_view code = std::string_view(*document.text).substr(start, end - start);
  if (is_blank(code)) {
    return answer_error(event, {ErrorCode::kInvalidArgument, "the selection holds no code"});
  }
  const Language* language = find_language(document.language_id, document.path);
  const int32_t context = engine_->info().context_tokens;
  const int32_t max_tokens = std::clamp(request.max_tokens, 1, std::max(1, context / 2));
  Result<std::vector<engine::TokenId>> prompt = explain_prompt(
      *tokenizer_, engine_->info().prompt,
      language == nullptr ? document.language_id : language->fence, code, context - max_tokens);
  if (!prompt) return answer_error(event, prompt.error());

  engine::GenerateRequest generate;
  generate.prompt = std::move(*prompt);
  generate.stop.max_new_tokens = max_tokens;
  generate.stop.stop_tokens = engine_->info().prompt.stop;
  generate.priority = engine::Priority::kBackground;
  generate.cancel = request.cancel.child();
  const uint64_t id = next_id_++;
  Flight& flight = flights_[id];
  flight.uri = document.uri;
  flight.engine_cancel = generate.cancel;
  flight.explain = std::make_unique<ExplainFlight>(
      ExplainFlight{std::move(event), ExplainStream(*tokenizer_), 0});
  submit(id, std::move(generate));
}

void PipelineWorker::stream(ExplainFlight& flight, const std::vector<engine::TokenId>& tokens,
                            size_t from, const CancelToken& engine_cancel) {
  for (size_t i = from; i < tokens.size(); ++i) {
    const std::string piece = flight.stream.push(tokens[i]);
    ++flight.n_tokens;
    if (!piece.empty() && flight.event.on_text) flight.event.on_text(piece);
  }
  if (flight.stream.done()) engine_cancel.cancel();
}

void PipelineWorker::finish(ExplainFlight flight, engine::Generation generation) {
  using engine::FinishReason;
  ExplainOutcome outcome;
  outcome.timings = generation.timings;
  if (flight.event.request.cancel.cancelled() ||
      (generation.reason == FinishReason::kCancelled && !flight.stream.done())) {
    outcome.cancelled = true;
  } else if (generation.reason == FinishReason::kError) {
    outcome.error = generation.error.value_or(Error{ErrorCode::kInternal, "the engine failed"});
  } else {
    stream(flight, generation.tokens, flight.n_tokens, {});
    const std::string rest = flight.stream.flush();
    if (!rest.empty() && flight.event.on_text) flight.event.on_text(rest);
  }
  std::string text = flight.stream.text();
  if (flight.stream.done()) {  // one of the three is enough, with the end of its sentence
    size_t end = text.size() - 2 * repeated_tail(text);
    while (std::string_view(".!?").find(text[end]) != std::string_view::npos) ++end;
    text.resize(end);
  }
  outcome.text = std::string(trim(text));
  flight.event.done(std::move(outcome));
}

}  // namespace incipit::lsp
