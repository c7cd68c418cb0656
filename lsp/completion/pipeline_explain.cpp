// PipelineWorker, the part for questions about code: explanations, and what becomes changes of it.
#include <algorithm>
#include <utility>

#include "lsp/completion/chat_question.h"
#include "lsp/completion/code_answer.h"
#include "lsp/completion/doc_comment.h"
#include "lsp/completion/line_changes.h"
#include "lsp/completion/pipeline_answers.h"
#include "lsp/completion/pipeline_worker.h"
#include "lsp/completion/task_prompt.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

// Of a hover, for the definition of a name in this file.
constexpr std::chrono::milliseconds kLongestSearch{100};

Error refused(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

// Why nothing of this document may be shown to the model.
std::optional<Error> why_hidden(const ExplainRequest& request) {
  const DocumentSnapshot& document = request.document;
  if (document.text == nullptr) return Error{ErrorCode::kNotFound, "the document is not open"};
  if (looks_secret(document.path) || looks_secret(document.uri)) {
    return refused("the file looks like it holds secrets; such files are never shown to the model");
  }
  const size_t end = std::min(request.end, document.text->size());
  const size_t start = std::min(request.start, end);
  if (holds_private_key(*document.text, start, end)) return refused(kPrivateKeyNear);
  return std::nullopt;
}

// What an explanation of a whole symbol is remembered by.
std::string symbol_key(std::string_view language, std::string_view code) {
  return std::string(language).append("\n").append(code);
}

// Errors that the changed text has on top of the old one's; 0 without a tree.
int new_errors(const Place& place, const Span& block, std::string_view replacement) {
  if (place.tree == nullptr) return 0;
  const std::string& old = *place.document.text;
  auto text = std::make_shared<std::string>(old.substr(0, block.start));
  text->append(replacement).append(old, block.end);
  const size_t size = text->size();
  const Tree tree = reparse(*place.tree, std::move(text),
                            DocumentParser::Clock::now() + std::chrono::milliseconds(250));
  if (tree == nullptr) return 0;
  return std::max(0, count_errors(*tree, {0, size}) - count_errors(*place.tree, {0, old.size()}));
}

}  // namespace

Result<CodeBlock> PipelineWorker::block_of(const ExplainRequest& request,
                                           const Place& place) const {
  const std::string_view text = *request.document.text;
  const size_t end = std::min(request.end, text.size());
  const Span selection{std::min(request.start, end), end};
  if (request.whole_symbol) {
    CodeBlock block;
    if (place.tree != nullptr) {
      block.definition = definition_named_at(text, *place.tree, selection.start, kLongestSearch);
    }
    if (!block.definition) {
      return Error{ErrorCode::kNotFound, "no function or type of this file is named here"};
    }
    block.span = block.definition->span;
    return block;
  }
  if (request.task == CodeTask::kExplain) {
    if (is_blank(text.substr(selection.start, selection.end - selection.start))) {
      return refused("the selection holds no code");
    }
    return CodeBlock{selection, std::nullopt};
  }
  if (request.task == CodeTask::kFix) {
    // What is wrong in a line is seldom put right within it: the function around, where there is
    // one.
    const Span lines = whole_lines(text, selection);
    const bool is_one_line =
        text.substr(lines.start, lines.end - lines.start).find('\n') + 1 >= lines.end - lines.start;
    if (is_one_line) {
      Result<CodeBlock> around = block_at(text, place.tree.get(), {lines.start, lines.start});
      if (!around) around = block_at(text, place.tree.get(), lines);
      return around;
    }
  }
  ASSIGN_OR_RETURN(CodeBlock block, block_at(text, place.tree.get(), selection));
  if (request.task != CodeTask::kDocument) return block;
  if (!block.definition && place.tree != nullptr) {
    const auto around = enclosing_definitions(*place.tree, selection.start);
    if (!around.empty()) block.definition = around.back();
  }
  if (!block.definition) return refused("no function or type is selected that could be documented");
  if (place.language == nullptr)
    return refused("documentation needs a language that is known here");
  // What cannot be put anywhere need not be written.
  ASSIGN_OR_RETURN(const TextChange possible,
                   doc_comment(text, *place.language, *block.definition, "a"));
  (void)possible;
  block.span = block.definition->span;
  return block;
}

void PipelineWorker::on(ExplainEvent event) {
  const ExplainRequest& request = event.request;
  if (request.cancel.cancelled()) return answer_cancelled(event);
  if (request.task == CodeTask::kChat) return on_chat(std::move(event));
  if (std::optional<Error> hidden = why_hidden(request)) {
    return answer_error(event, std::move(*hidden));
  }
  const DocumentSnapshot& document = request.document;
  const engine::ModelInfo& model = engine_->info();
  if (std::string why = why_not(request.task, model.prompt); !why.empty()) {
    return answer_error(event, Error{ErrorCode::kUnsupported, std::move(why)});
  }
  Place place = documents_.read(document, request.start);
  Result<CodeBlock> block = block_of(request, place);
  if (!block) return answer_error(event, block.error());
  TaskQuestion question;
  question.task = request.task;
  question.path = document.path;
  question.language =
      place.language == nullptr ? std::string_view(document.language_id) : place.language->fence;
  question.text = *document.text;
  question.block = block->span;
  if (block->definition) question.name = block->definition->name;
  question.problems = request.problems;
  question.instruction = request.instruction;
  if (request.whole_symbol) {
    const auto known = symbols_.find(
        symbol_key(question.language,
                   question.text.substr(block->span.start, block->span.end - block->span.start)));
    if (known) {
      ExplainOutcome outcome;
      outcome.text = *known;
      return event.done(std::move(outcome));
    }
  }
  Result<TaskPrompt> prompt = task_prompt(*tokenizer_, model.prompt, question,
                                          model.context_tokens - answer_tokens(request));
  if (!prompt) return answer_error(event, prompt.error());
  const bool is_explanation = request.task == CodeTask::kExplain;
  if (!is_explanation) {  // most of the lines come back as they are
    prompt->draft_texts = {tokenizer_->encode(
        with_lf(question.text.substr(block->span.start, block->span.end - block->span.start)))};
  }
  const auto kind =
      answers_with_code(request.task) ? ExplainStream::Kind::kCode : ExplainStream::Kind::kProse;
  auto flight = std::make_unique<ExplainFlight>(
      ExplainFlight{std::move(event), ExplainStream(*tokenizer_, kind), 0, std::move(place),
                    std::move(*block), 0, is_explanation ? std::move(prompt->left_out) : ""});
  ask(std::move(flight), std::move(*prompt));
}

void PipelineWorker::on_chat(ExplainEvent event) {
  const ExplainRequest& request = event.request;
  const engine::ModelInfo& model = engine_->info();
  Result<ChatPrompt> prompt = chat_question(*tokenizer_, model.prompt, request.conversation,
                                            model.context_tokens - answer_tokens(request));
  if (!prompt) return answer_error(event, prompt.error());
  const bool explains = model.prompt.chat->skill == engine::ChatSkill::kExplainsOnly;
  const auto kind = explains ? ExplainStream::Kind::kProse : ExplainStream::Kind::kCode;
  ask(std::make_unique<ExplainFlight>(ExplainFlight{std::move(event),
                                                    ExplainStream(*tokenizer_, kind),
                                                    0,
                                                    {},
                                                    {},
                                                    prompt->n_left_out,
                                                    std::move(prompt->left_out)}),
      TaskPrompt{std::move(prompt->tokens), {}});
}

int32_t PipelineWorker::answer_tokens(const ExplainRequest& request) const {
  return std::clamp(request.max_tokens, 1, std::max(1, engine_->info().context_tokens / 2));
}

void PipelineWorker::ask(std::unique_ptr<ExplainFlight> explain, TaskPrompt prompt) {
  const ExplainRequest& request = explain->event.request;
  engine::GenerateRequest generate;
  generate.prompt = std::move(prompt.tokens);
  generate.draft_texts = std::move(prompt.draft_texts);
  generate.stop.max_new_tokens = answer_tokens(request);
  generate.stop.stop_tokens = engine_->info().prompt.stop;
  generate.stop.stop_strings = std::move(prompt.stop_strings);
  generate.priority = engine::Priority::kBackground;
  generate.cancel = request.cancel.child();
  const uint64_t id = next_id_++;
  Flight& flight = flights_[id];
  flight.uri = request.document.uri;
  flight.engine_cancel = generate.cancel;
  flight.explain = std::move(explain);
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

// From the whole text of an answer to what it changes. The error says why nothing is changed.
std::optional<Error> PipelineWorker::take_answer(const ExplainFlight& flight,
                                                 const engine::Generation& generation,
                                                 ExplainOutcome& outcome) {
  const ExplainRequest& request = flight.event.request;
  if (request.task == CodeTask::kExplain || request.task == CodeTask::kChat) return std::nullopt;
  const std::string_view text = *request.document.text;
  if (request.task == CodeTask::kDocument) {
    Result<TextChange> change =
        doc_comment(text, *flight.place.language, *flight.block.definition, outcome.text);
    if (!change) return change.error();
    if (new_errors(flight.place, {change->start, change->end}, change->text) > 0) {
      return refused("the documentation would bring syntax errors; nothing was changed");
    }
    outcome.changes = {std::move(*change)};
    return std::nullopt;
  }
  if (outcome.cut_off) {
    return refused("the answer was not finished after " + std::to_string(generation.tokens.size()) +
                   " tokens (the setting incipit.edit.maxTokens allows more); nothing was changed");
  }
  if (is_blank(outcome.text)) return refused("the model answered with nothing");
  if (request.task == CodeTask::kTests) {
    outcome.text = code_of(outcome.text) + "\n";
    return std::nullopt;
  }
  const Span& block = flight.block.span;
  const std::string_view old = text.substr(block.start, block.end - block.start);
  outcome.text = fitted(outcome.text, old);
  if (outcome.text.empty()) return refused("the model answered with nothing");
  if (new_errors(flight.place, block, outcome.text) > 0) {
    return refused(
        "the model's answer has syntax errors that the text has not; nothing was changed");
  }
  outcome.changes = line_changes(old, outcome.text, block.start);
  if (outcome.changes.empty()) return refused("the model would leave these lines as they are");
  return std::nullopt;
}

// What the user has to know of the answer, as its last paragraph.
void PipelineWorker::add_note(const ExplainFlight& flight, ExplainOutcome& outcome) {
  const std::string note = "\n\n" + flight.note;
  outcome.text += note;
  if (flight.event.on_text) flight.event.on_text(note);
}

void PipelineWorker::finish(ExplainFlight flight, engine::Generation generation) {
  using engine::FinishReason;
  const ExplainRequest& request = flight.event.request;
  ExplainOutcome outcome;
  outcome.timings = generation.timings;
  outcome.n_left_out = flight.n_left_out;
  outcome.cut_off = generation.reason == FinishReason::kTokenLimit ||
                    generation.reason == FinishReason::kContextFull;
  if (request.cancel.cancelled() ||
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
  // The last token may hold the beginning of the fence that ends the answer.
  text.resize(text.size() -
              std::min(text.size(), static_cast<size_t>(generation.n_overhang_bytes)));
  outcome.text = answers_with_code(request.task) ? std::move(text) : std::string(trim(text));
  if (!outcome.cancelled && !outcome.error) {
    outcome.error = take_answer(flight, generation, outcome);
    if (!flight.note.empty()) add_note(flight, outcome);
  }
  if (request.whole_symbol && !outcome.cancelled && !outcome.error) {
    const Span& span = flight.block.span;
    const Language* language = flight.place.language;
    symbols_.remember(
        symbol_key(
            language == nullptr ? request.document.language_id : language->fence,
            std::string_view(*request.document.text).substr(span.start, span.end - span.start)),
        outcome.text);
  }
  flight.event.done(std::move(outcome));
}

}  // namespace incipit::lsp
