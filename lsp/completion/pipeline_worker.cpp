#include "lsp/completion/pipeline_worker.h"

#include <algorithm>
#include <utility>

#include "lsp/completion/pipeline_answers.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {

namespace {

// Of what is not in the cache yet, 2,048 tokens take a CPU a second even with a small model; more
// of them hardly made suggestions better (docs/evaluation.md).
constexpr int32_t kCpuPromptTokens = 2048;

}  // namespace

PipelineWorker::PipelineWorker(std::shared_ptr<engine::Engine> engine,
                               std::shared_ptr<PipelineInbox> inbox, ContextChoice context)
    : engine_(std::move(engine)),
      inbox_(std::move(inbox)),
      tokenizer_(engine_->tokenizer()),
      documents_(*engine_, std::move(context)) {}

// Waits; nothing when there is something else to do, or the inbox is closed.
std::optional<PipelineEvent> PipelineWorker::next_event() {
  if (documents_.has_background_work()) return inbox_->poll();
  const auto due = next_due();
  return due ? inbox_->wait_until(*due) : inbox_->wait();
}

void PipelineWorker::run(const std::atomic<bool>& closing) {
  constexpr std::chrono::milliseconds kSlice{5};
  for (;;) {
    settle_overdue();
    if (ready_.empty()) {
      std::optional<PipelineEvent> event = next_event();
      if (!event && closing.load(std::memory_order_acquire)) break;
      if (!event) {
        documents_.work_in_background(kSlice);
        continue;
      }
      ready_.push_back(std::move(*event));
    }
    while (auto event = inbox_->poll()) ready_.push_back(std::move(*event));
    if (closing.load(std::memory_order_acquire)) break;
    handle(take_next());
  }
  while (auto event = inbox_->poll()) ready_.push_back(std::move(*event));
  cancel_everything();
}

// The engine's news first (they may free it), then requests, then pre-warming. Pre-warming that a
// request of the same document overtakes is for an older text: by it, what is made for the newer
// one would be outdated. Pre-warming that the closing of its document overtakes would bring the
// document back into memory.
PipelineEvent PipelineWorker::take_next() {
  const auto rank = [](const PipelineEvent& event) {
    if (std::holds_alternative<TokensEvent>(event) ||
        std::holds_alternative<FinishedEvent>(event)) {
      return 0;
    }
    return std::holds_alternative<PrewarmEvent>(event) ? 2 : 1;
  };
  const auto first = std::min_element(
      ready_.begin(), ready_.end(),
      [&](const PipelineEvent& a, const PipelineEvent& b) { return rank(a) < rank(b); });
  PipelineEvent event = std::move(*first);
  const auto* start = std::get_if<StartEvent>(&event);
  const auto* closed = std::get_if<ForgetEvent>(&event);
  const std::string* uri = start != nullptr    ? &start->request.document.uri
                           : closed != nullptr ? &closed->uri
                                               : nullptr;
  const auto is_overtaken = [&](const PipelineEvent& other) {
    const auto* prewarm = std::get_if<PrewarmEvent>(&other);
    return uri != nullptr && prewarm != nullptr && prewarm->document.uri == *uri;
  };
  ready_.erase(std::remove_if(ready_.begin(), first, is_overtaken), std::next(first));
  return event;
}

void PipelineWorker::handle(PipelineEvent event) {
  std::visit([&](auto& one) { on(std::move(one)); }, event);
}

int32_t PipelineWorker::prompt_budget(int32_t wanted, int32_t max_tokens) const {
  const int32_t room = engine_->info().context_tokens - max_tokens;
  if (wanted > 0) return std::min(wanted, room);
  return engine_->info().device.starts_with("cpu") ? std::min(room, kCpuPromptTokens) : room;
}

// The engine's callbacks only post.
void PipelineWorker::submit(uint64_t id, engine::GenerateRequest request) {
  request.on_token = [id, inbox = inbox_](engine::TokenId token) {
    PipelineEvent event = TokensEvent{id, {token}};
    inbox->post(event);
  };
  request.on_finish = [id, inbox = inbox_](const engine::Generation& generation) {
    PipelineEvent event = FinishedEvent{id, generation};
    inbox->post(event);
  };
  engine_->submit(std::move(request));
}

void PipelineWorker::on(const TokensEvent& event) {
  const auto found = flights_.find(event.id);
  if (found == flights_.end()) return;
  Flight& flight = found->second;
  if (flight.explain != nullptr) {
    stream(*flight.explain, event.tokens, 0, flight.engine_cancel);
  } else if (flight.completion != nullptr) {
    look(*flight.completion, event.tokens, flight.engine_cancel);
    if (!flight.engine_cancel.cancelled()) begin_alternatives(*flight.completion);
  }
}

void PipelineWorker::on(FinishedEvent event) {
  const auto found = flights_.find(event.id);
  if (found == flights_.end()) return;
  Flight flight = std::move(found->second);
  flights_.erase(found);
  const bool was_prewarming = flight.completion == nullptr && flight.explain == nullptr;
  if (was_prewarming && event.generation.reason != engine::FinishReason::kPrefilled) {
    documents_.forget_last_prompt(flight.uri);
  }
  if (flight.completion != nullptr)
    finish(std::move(*flight.completion), std::move(event.generation));
  if (flight.explain != nullptr) finish(std::move(*flight.explain), std::move(event.generation));
}

bool PipelineWorker::superseded(const PrewarmEvent& event) const {
  const std::string& uri = event.document.uri;
  const auto newer = [&](const PipelineEvent& other) {
    if (const auto* start = std::get_if<StartEvent>(&other))
      return start->request.document.uri == uri;
    if (const auto* prewarm = std::get_if<PrewarmEvent>(&other))
      return prewarm->document.uri == uri;
    return false;
  };
  const auto running = [&](const auto& flight) {
    const auto& completion = flight.second.completion;
    return flight.second.uri == uri && completion != nullptr && !completion->start.ahead &&
           !completion->is_outdated;
  };
  return std::any_of(ready_.begin(), ready_.end(), newer) ||
         std::any_of(flights_.begin(), flights_.end(), running);
}

void PipelineWorker::on(PrewarmEvent event) {
  const DocumentSnapshot& document = event.document;
  if (document.text == nullptr) return;
  drop_outdated(document, event.offset);
  if (!event.prefill || superseded(event)) return;
  if (looks_secret(document.path) || looks_secret(document.uri)) return;
  if (holds_private_key(*document.text, event.offset, event.offset)) return;
  const Place place = documents_.read(document, event.offset);
  Result<Prompt> prompt =
      documents_.prompt_ahead(place, prompt_budget(options_.context_tokens, options_.max_tokens),
                              options_.prompt_end, event.open.get());
  if (!prompt || documents_.repeats_last_prompt(document.uri, prompt->tokens)) return;
  cancel_prewarming();  // also of other documents: the user is here now
  engine::GenerateRequest request;
  request.prompt = std::move(prompt->tokens);
  request.stop.max_new_tokens = 0;
  request.priority = engine::Priority::kPrewarm;
  const uint64_t id = next_id_++;
  flights_[id] = Flight{document.uri, request.cancel, nullptr, nullptr};
  submit(id, std::move(request));
}

void PipelineWorker::cancel_prewarming() {
  for (auto& [id, flight] : flights_) {
    if (flight.completion == nullptr && flight.explain == nullptr) flight.engine_cancel.cancel();
  }
}

void PipelineWorker::on(const ForgetEvent& event) {
  cancel_prewarming();
  for (auto& [id, flight] : flights_) {
    if (flight.uri != event.uri || flight.completion == nullptr) continue;
    flight.completion->start.request.options.prepare_next = false;
    if (flight.completion->start.ahead) flight.engine_cancel.cancel();
  }
  for (auto& [id, group] : groups_) {
    if (group.place.document.uri == event.uri) group.start.request.options.prepare_next = false;
  }
  documents_.forget(event.uri);
  cache_.forget(event.uri);
}

void PipelineWorker::cancel_everything() {
  for (auto& [id, flight] : flights_) {
    flight.engine_cancel.cancel();
    if (flight.completion != nullptr) answer_cancelled(flight.completion->start);
    if (flight.explain != nullptr) answer_cancelled(flight.explain->event);
  }
  flights_.clear();
  for (auto& [id, group] : groups_) {
    if (group.first) answer_cancelled(group.start);
  }
  groups_.clear();
  for (const PipelineEvent& event : ready_) {
    if (const auto* start = std::get_if<StartEvent>(&event)) answer_cancelled(*start);
    if (const auto* explain = std::get_if<ExplainEvent>(&event)) answer_cancelled(*explain);
  }
  ready_.clear();
}

}  // namespace incipit::lsp
