#include "lsp/handlers/completion_service.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "lsp/context/file_patterns.h"
#include "lsp/handlers/completion_items.h"
#include "lsp/handlers/open_documents.h"
#include "lsp/handlers/type_through.h"

namespace incipit::lsp {
namespace {

std::string key_of(const std::string& uri) {
  return Uri::parse(uri).key();
}

}  // namespace

std::string CompletionService::why_excluded(const Document& document) const {
  const Settings& settings = parts_.settings.current();
  const auto& languages = settings.completion_excluded_languages;
  if (!settings.completion_enabled) return "the setting incipit.completion.enabled is false";
  if (std::find(languages.begin(), languages.end(), document.language_id()) != languages.end()) {
    return fmt::format("incipit.completion.excludeLanguages names {}", document.language_id());
  }
  return why_file_excluded(document);
}

std::string CompletionService::why_file_excluded(const Document& document) const {
  const Settings& settings = parts_.settings.current();
  if (matches_any(settings.excluded_files, document.parsed_uri().file_name())) {
    return fmt::format("incipit.excludeFiles names {}", document.parsed_uri().file_name());
  }
  return {};
}

void CompletionService::start(const Question& question, PositionEncoding encoding, Call call,
                              AnyReply reply) {
  Pending pending{
      {}, encoding, std::move(reply), question.position, {}, std::chrono::steady_clock::now(),
      {}, {}};
  pending.request.document.uri = question.uri;
  const auto place = pending_.emplace(call.serial, std::move(pending)).first;

  const Document* document = parts_.documents.find(question.uri);
  if (!document) return answer_empty(place, "the document is not open");
  supersede(question.uri, call.serial);
  place->second.request = make_request(question, *document, encoding, call);
  if (const std::string why = why_excluded(*document); !why.empty()) {
    return answer_empty(place, why);
  }
  switch (parts_.model.state()) {
    case ModelHost::State::kReady:
      return submit(call.serial, place->second);
    case ModelHost::State::kFailed:
      return answer_empty(place, parts_.model.failure());
    case ModelHost::State::kIdle:
    case ModelHost::State::kLoading:
      place->second.deadline = std::chrono::steady_clock::now() + parts_.load_wait;
  }
}

CompletionRequest CompletionService::make_request(const Question& question,
                                                  const Document& document,
                                                  PositionEncoding encoding,
                                                  const Call& call) const {
  const PositionMapper positions = document.mapper(encoding);
  const Settings& settings = parts_.settings.current();
  CompletionRequest request;
  request.document = parts_.documents.snapshot(document);
  request.offset = positions.offset_of(question.position);
  request.invoked = question.invoked;
  if (question.selected) {
    request.selected_text = question.selected->text;
    request.selected_start =
        std::min(positions.offset_of(question.selected->range.start), request.offset);
  }
  request.open = open_documents(parts_.documents, document, settings);
  request.options.max_tokens = settings.completion_max_tokens;
  request.options.max_lines = settings.completion_max_lines;
  request.options.context_tokens = settings.completion_context_tokens;
  request.options.prepare_next = settings.completion_prepare_next;
  request.options.alternatives = settings.completion_alternatives;
  request.options.min_confidence = settings.completion_min_confidence;
  request.cancel = call.cancel;
  return request;
}

// -32800 rather than an empty list: an empty list takes the ghost text away, and the newer request
// is about to give a better one.
void CompletionService::supersede(const std::string& uri, RequestSerial newer) {
  const auto [place, is_first] = newest_.emplace(key_of(uri), newer);
  if (is_first) return;
  const RequestSerial older = std::exchange(place->second, newer);
  parts_.connection.cancel(older, {RpcCode::kRequestCancelled, "superseded by a newer request"});
}

void CompletionService::submit(RequestSerial serial, Pending& pending) {
  pending.deadline.reset();
  // Handed over, except for what the answer needs.
  CompletionRequest request = pending.request;
  pending.request.open.reset();
  parts_.model.pipeline()->start(
      std::move(request), [this, serial, post = parts_.post](CompletionOutcome outcome) {
        post([this, serial, outcome = std::move(outcome)] { finished(serial, outcome); });
      });
}

void CompletionService::finished(RequestSerial serial, CompletionOutcome outcome) {
  const auto found = pending_.find(serial);
  if (found == pending_.end()) return;
  if (!found->second.request.cancel.cancelled() && hold_back(found->second, outcome)) return;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending.request.cancel.cancelled()) return;  // answered when it was cancelled
  answer(pending, std::move(outcome));
}

// Whether it waits until the user seems to have stopped typing. What is typed through does not.
bool CompletionService::hold_back(Pending& pending, CompletionOutcome& outcome) {
  const std::chrono::milliseconds longest(parts_.settings.current().completion_longest_delay);
  pending.held_until = pending.asked + delay_.of(longest);
  if (pending.request.invoked || outcome.items.empty() ||
      outcome.timings.engine.n_prompt_tokens == 0 ||
      pending.held_until <= std::chrono::steady_clock::now()) {
    return false;
  }
  pending.held = std::move(outcome);
  return true;
}

void CompletionService::document_changed(const Document& document) {
  delay_.changed(document.uri(), document.text());
}

void CompletionService::answer(Pending& pending, CompletionOutcome outcome) {
  const DocumentSnapshot& asked = pending.request.document;
  const Document* document = parts_.documents.find(asked.uri);
  if (outcome.cancelled) {
    outcome.items.clear();
    if (outcome.why_empty.empty()) outcome.why_empty = "cancelled";
  } else if (!document) {
    outcome.items.clear();
    outcome.why_empty = "the document is not open";
  } else if (asked.text && document->text() != *asked.text && !outcome.items.empty()) {
    std::vector<CompletionItem> adapted;
    for (const CompletionItem& item : outcome.items) {
      auto now = type_through(item, pending.request.offset, *asked.text, document->text());
      if (now) adapted.push_back(std::move(*now));
    }
    outcome.items = std::move(adapted);
    if (outcome.items.empty()) outcome.why_empty = "the text changed meanwhile";
  }
  if (!outcome.items.empty() && parts_.settings.current().completion_longest_delay > 0) {
    const CompletionItem& item = outcome.items.front();
    std::string taken(document->text());
    taken.replace(item.replace_start, item.replace_end - item.replace_start, item.insert_text);
    delay_.shown(document->uri(), std::move(taken));
  }
  const CompletionTimings& timings = outcome.timings;
  log::info(
      "completion: {} items{}; {:.1f} ms, context {:.1f} ms, first token {:.1f} ms, {} of {} "
      "prompt "
      "tokens cached, {} generated",
      outcome.items.size(), outcome.why_empty.empty() ? "" : " (" + outcome.why_empty + ")",
      timings.total.count() / 1e3, timings.context.count() / 1e3,
      timings.engine.first_token.count() / 1e3, timings.engine.n_cached_tokens,
      timings.engine.n_prompt_tokens, timings.engine.n_generated);
  last_ =
      LastCompletion{asked.uri, outcome.items.size(), outcome.why_empty, outcome.context, timings};
  if (outcome.items.empty()) {
    suppressed_.push_front(
        {asked.uri, pending.position, outcome.why_empty, std::chrono::steady_clock::now()});
    if (suppressed_.size() > kMaxSuppressed) suppressed_.pop_back();
  }

  if (auto* list = std::get_if<Reply<InlineCompletionList>>(&pending.reply)) {
    list->ok(inline_list(outcome.items, document, pending.encoding));
  } else {
    std::get<Reply<CompletionList>>(pending.reply)
        .ok(completion_list(outcome.items, document, pending.request.offset, pending.encoding));
  }
}

void CompletionService::answer_empty(PendingMap::iterator place, const std::string& why) {
  Pending pending = std::move(place->second);
  pending_.erase(place);
  CompletionOutcome outcome;
  outcome.why_empty = why;
  answer(pending, std::move(outcome));
}

void CompletionService::cancel_all() {
  for (const auto& [serial, pending] : pending_) {
    parts_.connection.cancel(serial, {RpcCode::kRequestCancelled, "the server shuts down"});
  }
}

void CompletionService::document_closed(const std::string& uri) {
  newest_.erase(key_of(uri));
}

bool CompletionService::is_busy(const std::string& uri) const {
  const auto newest = newest_.find(key_of(uri));
  return newest != newest_.end() && pending_.contains(newest->second);
}

void CompletionService::model_changed() {
  const ModelHost::State state = parts_.model.state();
  if (state != ModelHost::State::kReady && state != ModelHost::State::kFailed) return;
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto place = next++;
    if (!place->second.deadline) continue;
    if (place->second.request.cancel.cancelled()) {
      pending_.erase(place);
    } else if (state == ModelHost::State::kReady) {
      submit(place->first, place->second);
    } else {
      answer_empty(place, parts_.model.failure());
    }
  }
}

std::optional<std::chrono::steady_clock::time_point> CompletionService::next_deadline() const {
  std::optional<std::chrono::steady_clock::time_point> first;
  for (const auto& [serial, pending] : pending_) {
    const auto due = pending.held ? std::optional(pending.held_until) : pending.deadline;
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

void CompletionService::on_deadline() {
  const auto now = std::chrono::steady_clock::now();
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto place = next++;
    if (place->second.held && place->second.held_until <= now) {
      Pending pending = std::move(place->second);
      pending_.erase(place);
      CompletionOutcome outcome = std::move(*pending.held);
      if (!pending.request.cancel.cancelled()) answer(pending, std::move(outcome));
      continue;
    }
    if (!place->second.deadline || *place->second.deadline > now) continue;
    if (place->second.request.cancel.cancelled()) {  // answered when it was cancelled
      pending_.erase(place);
      continue;
    }
    answer_empty(place, fmt::format("the model is still loading ({:.0f} %)",
                                    parts_.model.loading().fraction * 100));
  }
}

}  // namespace incipit::lsp
