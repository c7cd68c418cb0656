#include "lsp/completion/pipeline_worker.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "lsp/completion/postprocess.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

microseconds since(PipelineClock::time_point start) {
  return duration_cast<microseconds>(PipelineClock::now() - start);
}

void answer_cancelled(const StartEvent& event) {
  CompletionOutcome outcome;
  outcome.cancelled = true;
  outcome.why_empty = "cancelled";
  outcome.timings.total = since(event.asked);
  outcome.timings.finish = "cancelled";
  event.done(std::move(outcome));
}

void answer_empty(const StartEvent& event, std::string why) {
  CompletionOutcome outcome;
  outcome.why_empty = std::move(why);
  outcome.timings.total = since(event.asked);
  outcome.timings.finish = "not asked";
  event.done(std::move(outcome));
}

void answer_cancelled(const ExplainEvent& event) {
  ExplainOutcome outcome;
  outcome.cancelled = true;
  event.done(std::move(outcome));
}

void answer_error(const ExplainEvent& event, Error error) {
  ExplainOutcome outcome;
  outcome.error = std::move(error);
  event.done(std::move(outcome));
}

// The document as it would be with the selected entry of the editor's own list inserted.
void insert_selection(CompletionRequest& request) {
  if (!request.selected_text) return;
  const std::string& text = *request.document.text;
  request.offset = std::min(request.offset, text.size());
  request.selected_start = std::min(request.selected_start, request.offset);
  auto changed = std::make_shared<std::string>(text.substr(0, request.selected_start));
  *changed += *request.selected_text;
  *changed += text.substr(request.offset);
  request.document.text = std::move(changed);
}

size_t cursor_of(const CompletionRequest& request) {
  return request.selected_text ? request.selected_start + request.selected_text->size()
                               : request.offset;
}

// What was generated, from the cursor on: the blank that the prompt lacked is there already.
std::string from_cursor(std::string_view generated, bool lacks_a_blank) {
  if (lacks_a_blank && generated.starts_with(' ')) generated.remove_prefix(1);
  return with_lf(generated);
}

// Whether the model went on with the word before the blank, as if there were none.
bool missed_the_blank(std::string_view generated) {
  return !generated.empty() && generated.front() != ' ' && generated.front() != '\n' &&
         generated.front() != '\r';
}

// From what postprocess made of a candidate to what the client gets, in the client's document.
CompletionItem item_of(const CompletionRequest& request, const Place& place,
                       const Postprocessed& result) {
  if (request.selected_text) {
    return {*request.selected_text + result.text, request.selected_start, request.offset};
  }
  return {result.text, place.site.offset, place.site.offset + result.tail_used};
}

Postprocessed process(const CompletionRequest& request, const Place& place, CompletionUnit unit,
                      std::string_view candidate, std::string_view unclosed) {
  PostprocessInput input;
  input.site = place.site;
  input.language = place.language;
  input.unit = unit;
  input.candidate = candidate;
  input.unclosed = unclosed;
  input.invoked = request.invoked;
  input.keep_tail = request.selected_text.has_value();
  return postprocess(input);
}

}  // namespace

PipelineWorker::PipelineWorker(std::shared_ptr<engine::Engine> engine,
                               std::shared_ptr<PipelineInbox> inbox)
    : engine_(std::move(engine)),
      inbox_(std::move(inbox)),
      tokenizer_(engine_->tokenizer()),
      documents_(*engine_) {}

void PipelineWorker::run(const std::atomic<bool>& closing) {
  constexpr milliseconds kSlice{5};
  for (;;) {
    if (ready_.empty()) {
      std::optional<PipelineEvent> event =
          documents_.has_background_work() ? inbox_->poll() : inbox_->wait();
      if (!event && !documents_.has_background_work()) break;
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

// The engine's news first (they may free it), then requests, then pre-warming.
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
  ready_.erase(first);
  return event;
}

void PipelineWorker::handle(PipelineEvent event) {
  std::visit([&](auto& one) { on(std::move(one)); }, event);
}

int32_t PipelineWorker::prompt_budget(int32_t wanted, int32_t max_tokens) const {
  const int32_t room = engine_->info().context_tokens - max_tokens;
  return wanted > 0 ? std::min(wanted, room) : room;
}

void PipelineWorker::on(StartEvent event) {
  const PipelineClock::time_point t0 = PipelineClock::now();
  CompletionRequest& request = event.request;
  if (request.cancel.cancelled()) return answer_cancelled(event);
  if (request.document.text == nullptr) return answer_empty(event, "the document is not open");
  insert_selection(request);
  const std::string& path =
      request.document.path.empty() ? request.document.uri : request.document.path;
  // Looked at before anything is parsed or remembered.
  const Language* language = find_language(request.document.language_id, path);
  const std::string refusal = policy_.refusal(
      look_at(*request.document.text, cursor_of(request), language), path, request.invoked);
  if (!refusal.empty()) return answer_empty(event, refusal);

  Place place = documents_.read(request.document, cursor_of(request), request.cancel);
  if (request.cancel.cancelled()) return answer_cancelled(event);
  if (answer_from_cache(event, place)) return;

  const int32_t max_tokens =
      std::clamp(request.options.max_tokens, 1, std::max(1, engine_->info().context_tokens / 2));
  Result<Prompt> prompt =
      documents_.prompt(place, prompt_budget(request.options.context_tokens, max_tokens));
  if (!prompt) return answer_empty(event, prompt.error().message);
  if (request.cancel.cancelled()) return answer_cancelled(event);
  request.options.max_tokens = max_tokens;
  start_generation(std::move(event), std::move(place), std::move(*prompt), t0);
}

bool PipelineWorker::answer_from_cache(StartEvent& event, const Place& place) {
  const auto hit = cache_.find(suggestion_place(event.request.document.uri, place.site));
  if (!hit) return false;
  const StopSite site = stop_site_of(place.site, place.language, place.tree, place.document.text,
                                     event.request.options.max_lines);
  const Postprocessed result =
      process(event.request, place, hit->unit, hit->candidate, site.unclosed);
  if (result.text.empty()) return false;
  CompletionOutcome outcome;
  outcome.items.push_back(item_of(event.request, place, result));
  outcome.timings.total = since(event.asked);
  outcome.timings.context = outcome.timings.total;
  outcome.timings.finish = "typed through";
  event.done(std::move(outcome));
  return true;
}

void PipelineWorker::start_generation(StartEvent event, Place place, Prompt prompt,
                                      PipelineClock::time_point t0) {
  cancel_prewarming(place.document.uri);
  documents_.repeats_last_prompt(place.document.uri, prompt.tokens);
  const CompletionOptions options = event.request.options;
  StopSite site =
      stop_site_of(place.site, place.language, place.tree, place.document.text, options.max_lines);
  engine::GenerateRequest request;
  request.prompt = std::move(prompt.tokens);
  request.stop.max_new_tokens = options.max_tokens;
  request.stop.stop_tokens = engine_->info().prompt.stop;
  request.stop.max_lines = site.unit == CompletionUnit::kRestOfLine  ? 1
                           : site.unit == CompletionUnit::kStatement ? options.max_lines + 1
                                                                     : options.max_lines;
  request.priority = engine::Priority::kInteractive;
  request.cancel = event.request.cancel.child();

  const uint64_t id = next_id_++;
  Flight& flight = flights_[id];
  flight.uri = place.document.uri;
  flight.engine_cancel = request.cancel;
  const bool lacks_a_blank = prompt.lacks_a_blank;
  flight.completion = std::make_unique<CompletionFlight>(
      CompletionFlight{std::move(event), std::move(place), site, StopChecks(site),
                       engine::StreamingDecoder(*tokenizer_), "", lacks_a_blank, since(t0)});
  submit(id, std::move(request), false);
}

// The engine's callbacks only post. Tokens of a completion go in batches, at line ends, because
// nothing is decided in between.
void PipelineWorker::submit(uint64_t id, engine::GenerateRequest request, bool every_token) {
  const auto batch = std::make_shared<std::vector<engine::TokenId>>();  // engine thread only
  request.on_token = [id, batch, every_token, inbox = inbox_,
                      tokenizer = tokenizer_](engine::TokenId token) {
    batch->push_back(token);
    if (!every_token && tokenizer->bytes(token).find('\n') == std::string_view::npos) return;
    PipelineEvent event = TokensEvent{id, std::move(*batch)};
    batch->clear();
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
    CompletionFlight& completion = *flight.completion;
    for (const engine::TokenId token : event.tokens) {
      completion.text += completion.decoder.push(token);
    }
    if (completion.lacks_a_blank && missed_the_blank(completion.text)) {
      flight.engine_cancel.cancel();
    } else if (completion.checks.look(from_cursor(completion.text, completion.lacks_a_blank))) {
      flight.engine_cancel.cancel();
    }
  }
}

void PipelineWorker::on(FinishedEvent event) {
  const auto found = flights_.find(event.id);
  if (found == flights_.end()) return;
  Flight flight = std::move(found->second);
  flights_.erase(found);
  if (flight.completion != nullptr)
    finish(std::move(*flight.completion), std::move(event.generation));
  if (flight.explain != nullptr) finish(std::move(*flight.explain), std::move(event.generation));
}

// A prompt that left out the last blank gave a word that goes on without one: once more, with all
// of the text. True when that was started.
bool PipelineWorker::ask_again(CompletionFlight& flight, const engine::Generation& generation) {
  if (!flight.lacks_a_blank || flight.start.request.cancel.cancelled() ||
      generation.reason == engine::FinishReason::kError ||
      !missed_the_blank(tokenizer_->decode(generation.tokens))) {
    return false;
  }
  const CompletionOptions& options = flight.start.request.options;
  Result<Prompt> prompt = documents_.prompt(
      flight.place, prompt_budget(options.context_tokens, options.max_tokens), LastBlank::kShown);
  if (!prompt) return false;
  start_generation(std::move(flight.start), std::move(flight.place), std::move(*prompt),
                   PipelineClock::now() - flight.context_time);
  return true;
}

void PipelineWorker::finish(CompletionFlight flight, engine::Generation generation) {
  if (ask_again(flight, generation)) return;
  CompletionOutcome outcome = outcome_of(flight, generation);
  outcome.timings.context = flight.context_time;
  outcome.timings.engine = generation.timings;
  outcome.timings.total = since(flight.start.asked);
  log::debug("completion: {} in {} us, {} of {} prompt tokens cached, {} generated, {}{}",
             outcome.items.empty() ? "nothing" : "a suggestion", outcome.timings.total.count(),
             generation.timings.n_cached_tokens, generation.timings.n_prompt_tokens,
             generation.timings.n_generated, outcome.timings.finish,
             outcome.why_empty.empty() ? "" : ": " + outcome.why_empty);
  flight.start.done(std::move(outcome));
}

CompletionOutcome PipelineWorker::outcome_of(CompletionFlight& flight,
                                             const engine::Generation& generation) {
  using engine::FinishReason;
  CompletionOutcome outcome;
  outcome.timings.finish = engine::name_of(generation.reason);
  const CompletionRequest& request = flight.start.request;
  const bool stopped_by_checks =
      flight.checks.look(from_cursor(flight.text, flight.lacks_a_blank)).has_value();
  if (request.cancel.cancelled() ||
      (generation.reason == FinishReason::kCancelled && !stopped_by_checks)) {
    outcome.cancelled = true;
    outcome.why_empty = "cancelled";
    return outcome;
  }
  if (generation.reason == FinishReason::kError) {
    outcome.why_empty = "the engine could not answer: " +
                        (generation.error ? generation.error->message : "unknown error");
    return outcome;
  }
  // From all tokens anew: the batches that arrived in time make no difference to the text.
  engine::StreamingDecoder decoder(*tokenizer_);
  std::string text;
  for (const engine::TokenId token : generation.tokens) text += decoder.push(token);
  const bool complete = generation.reason == FinishReason::kStopToken ||
                        generation.reason == FinishReason::kStopString;
  text = from_cursor(text, flight.lacks_a_blank);
  const Cut cut = StopChecks(flight.stop_site).finish(text, complete);
  text.resize(cut.at);
  if (!cut.reason.empty()) outcome.timings.finish = cut.reason;

  const Postprocessed result =
      process(request, flight.place, flight.stop_site.unit, text, flight.stop_site.unclosed);
  if (result.text.empty()) {
    outcome.why_empty = result.why_empty;
    if (text.empty() && !cut.reason.empty() && cut.reason != outcome.why_empty) {
      outcome.why_empty = "the model's first line was dropped: " + cut.reason;
    }
    return outcome;
  }
  outcome.items.push_back(item_of(request, flight.place, result));
  cache_.remember(suggestion_place(flight.place.document.uri, flight.place.site),
                  {std::move(text), flight.stop_site.unit});
  return outcome;
}

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
  submit(id, std::move(generate), true);
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
    return flight.second.uri == uri && flight.second.completion != nullptr;
  };
  return std::any_of(ready_.begin(), ready_.end(), newer) ||
         std::any_of(flights_.begin(), flights_.end(), running);
}

void PipelineWorker::on(PrewarmEvent event) {
  const DocumentSnapshot& document = event.document;
  if (document.text == nullptr || superseded(event)) return;
  if (looks_secret(document.path) || looks_secret(document.uri)) return;
  const Place place = documents_.read(document, event.offset, {});
  Result<Prompt> prompt =
      documents_.prompt(place, prompt_budget(0, CompletionOptions{}.max_tokens));
  if (!prompt || documents_.repeats_last_prompt(document.uri, prompt->tokens)) return;
  cancel_prewarming(document.uri);
  engine::GenerateRequest request;
  request.prompt = std::move(prompt->tokens);
  request.stop.max_new_tokens = 0;
  request.priority = engine::Priority::kPrewarm;
  const uint64_t id = next_id_++;
  flights_[id] = Flight{document.uri, request.cancel, nullptr, nullptr};
  submit(id, std::move(request), false);
}

void PipelineWorker::cancel_prewarming(const std::string& uri) {
  for (auto& [id, flight] : flights_) {
    if (flight.uri == uri && flight.completion == nullptr && flight.explain == nullptr) {
      flight.engine_cancel.cancel();
    }
  }
}

void PipelineWorker::on(const ForgetEvent& event) {
  cancel_prewarming(event.uri);
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
  for (const PipelineEvent& event : ready_) {
    if (const auto* start = std::get_if<StartEvent>(&event)) answer_cancelled(*start);
    if (const auto* explain = std::get_if<ExplainEvent>(&event)) answer_cancelled(*explain);
  }
  ready_.clear();
}

}  // namespace incipit::lsp
