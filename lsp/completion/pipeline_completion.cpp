// PipelineWorker, the part for completions: from a request to a generation, and from what was
// generated to the answer.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/base/log.h"
#include "lsp/completion/pipeline_answers.h"
#include "lsp/completion/pipeline_worker.h"
#include "lsp/completion/postprocess.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

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

// What was generated, from the cursor on: what the prompt left off is there already.
std::string from_cursor(std::string_view generated, std::string_view left_off) {
  if (left_off.starts_with(generated)) return "";
  if (generated.starts_with(left_off)) generated.remove_prefix(left_off.size());
  return with_lf(generated);
}

struct Judged {
  std::string text;          // from the cursor on
  std::vector<size_t> ends;  // of the tokens, in the bytes that were generated
  size_t before = 0;         // of those bytes, what stands before the cursor
};

// All tokens anew, up to the first after which the checks know enough: which of them had arrived
// when the engine was stopped makes no difference to the text.
Judged judge(const engine::Tokenizer& tokenizer, const engine::Generation& generation,
             std::string_view left_off, StopChecks& checks) {
  engine::StreamingDecoder decoder(tokenizer);
  std::string generated;
  std::vector<size_t> ends;
  for (const engine::TokenId token : generation.tokens) {
    generated += decoder.push(token);
    ends.push_back(generated.size());
  }
  // The last token may hold the beginning of a stop string.
  generated.resize(generated.size() -
                   std::min(generated.size(), static_cast<size_t>(generation.n_overhang_bytes)));
  std::string text;
  for (const size_t end : ends) {
    text = from_cursor(std::string_view(generated).substr(0, end), left_off);
    if (checks.look(text)) break;
  }
  const size_t before = generated.starts_with(left_off) ? left_off.size() : 0;
  return {std::move(text), std::move(ends), before};
}

// Over the tokens of the first `n_kept` bytes from the cursor on.
std::optional<double> mean_log_probability(const engine::Generation& generation,
                                           const Judged& judged, size_t n_kept) {
  const std::vector<float>& all = generation.log_probabilities;
  const size_t end = judged.before + n_kept;
  double sum = 0;
  int n = 0;
  for (size_t i = 0; i < judged.ends.size() && i < all.size(); ++i) {
    if (judged.ends[i] <= judged.before) continue;
    if (i > 0 && judged.ends[i - 1] >= end) break;
    sum += double{all[i]};
    ++n;
  }
  return n == 0 ? std::nullopt : std::optional(sum / n);
}

// Asked for by hand, whatever there is is welcome.
double least_confidence(const CompletionRequest& request) {
  return request.invoked ? 0 : request.options.min_confidence;
}

// From what postprocess made of a candidate to what the client gets, in the client's document.
CompletionItem item_of(const CompletionRequest& request, const Place& place,
                       const Postprocessed& result) {
  if (request.selected_text) {
    return {*request.selected_text + result.text, request.selected_start, request.offset};
  }
  return {result.text, place.site.offset, place.site.offset + result.tail_used};
}

PostprocessInput postprocess_input(const CompletionRequest& request, const Place& place,
                                   CompletionUnit unit, std::string_view candidate,
                                   std::string_view unclosed) {
  PostprocessInput input;
  input.site = place.site;
  input.language = place.language;
  input.tree = place.tree;
  input.unit = unit;
  input.candidate = candidate;
  input.unclosed = unclosed;
  input.invoked = request.invoked;
  input.keep_tail = request.selected_text.has_value();
  return input;
}

}  // namespace

void PipelineWorker::on(StartEvent event) {
  const PipelineClock::time_point t0 = PipelineClock::now();
  CompletionRequest& request = event.request;
  const bool too_late = request.cancel.cancelled();
  if (too_late) answer_cancelled(event);
  if (request.document.text == nullptr) {
    if (!too_late) answer_empty(event, "the document is not open");
    return;
  }
  insert_selection(request);
  const std::string& path =
      request.document.path.empty() ? request.document.uri : request.document.path;
  // Looked at before anything is parsed or remembered. The path may be relative; the URI is not.
  const Language* language = find_language(request.document.language_id, path);
  const std::string refusal = policy_.refusal(
      look_at(*request.document.text, cursor_of(request), language),
      looks_secret(request.document.uri) ? request.document.uri : path, request.invoked);
  if (!refusal.empty()) {
    if (!too_late) answer_empty(event, refusal);
    return;
  }
  if (holds_private_key(*request.document.text, cursor_of(request), cursor_of(request))) {
    if (!too_late) answer_empty(event, kPrivateKeyNear);
    return;
  }

  request.options.max_tokens =
      std::clamp(request.options.max_tokens, 1, std::max(1, engine_->info().context_tokens / 2));
  options_ = request.options;
  Place place = documents_.read(request.document, cursor_of(request));
  drop_outdated(request.document, cursor_of(request));
  std::optional<CompletionOutcome> known;
  if (!too_late) known = known_outcome(event, place);
  const bool answered = known && known->items.size() >= n_wanted(request);
  if (answered) event.done(*known);
  // Made for every request, also when nobody needs it any more: the next prompt begins with its
  // window, and must not depend on how fast this one was answered.
  Result<Prompt> prompt = prompt_of(event, place);
  if (answered) prepare_next(request, known->items.front());
  if (too_late || answered || (!known && adopt_prepared(event, place))) return;
  if (!prompt) return answer_empty(event, prompt.error().message);
  if (request.cancel.cancelled()) return answer_cancelled(event);
  if (known) return draw_beside(std::move(event), std::move(place), *prompt, std::move(*known));
  start_generation(std::move(event), std::move(place), std::move(*prompt), t0);
}

// What is left of suggestions that were made before and are being typed; nothing: there is none.
std::optional<CompletionOutcome> PipelineWorker::known_outcome(const StartEvent& event,
                                                               const Place& place) {
  const CompletionRequest& request = event.request;
  const SuggestionPlace at = suggestion_place(request.document.uri, place.site, request.options);
  std::vector<Suggestion> hits;
  if (n_wanted(request) > 1) {
    hits = cache_.find_all(at);
  } else if (auto hit = cache_.find(at, least_confidence(request))) {
    hits.push_back(std::move(*hit));
  }
  if (hits.empty()) return std::nullopt;
  const StopSite site = stop_site_of(place.site, place.language, place.tree, place.document.text,
                                     request.options.max_lines);
  CompletionOutcome outcome;
  for (const Suggestion& hit : hits) {
    PostprocessInput input =
        postprocess_input(request, place, hit.unit, hit.candidate, site.unclosed);
    input.typed_through = true;
    const Postprocessed result = postprocess(input);
    if (result.text.empty() || outcome.items.size() == n_wanted(request)) continue;
    outcome.items.push_back(item_of(request, place, result));
  }
  if (outcome.items.empty()) return std::nullopt;
  outcome.context = std::move(hits.front().context);
  outcome.timings.total = since(event.asked);
  outcome.timings.context = outcome.timings.total;
  outcome.timings.finish = "typed through";
  return outcome;
}

engine::GenerateRequest PipelineWorker::generate_request(const StartEvent& event,
                                                         const StopSite& site,
                                                         const Prompt& prompt) const {
  const CompletionOptions& options = event.request.options;
  engine::GenerateRequest request;
  request.prompt = prompt.tokens;
  request.forced_text = prompt.left_off;
  request.stop.max_new_tokens =
      options.max_tokens + static_cast<int32_t>(tokenizer_->encode(prompt.left_off).size());
  request.stop.stop_tokens = engine_->info().prompt.stop;
  request.stop.stop_strings = prompt.stop_strings;
  request.stop.max_lines = site.unit == CompletionUnit::kRestOfLine  ? 1
                           : site.unit == CompletionUnit::kStatement ? options.max_lines + 1
                                                                     : options.max_lines;
  request.priority = event.ahead ? engine::Priority::kPrewarm : engine::Priority::kInteractive;
  request.cancel = event.request.cancel.child();
  return request;
}

PipelineWorker::CompletionFlight& PipelineWorker::launch(StartEvent start, Place place,
                                                         StopSite site, std::string left_off,
                                                         engine::GenerateRequest request) {
  const uint64_t id = next_id_++;
  Flight& flight = flights_[id];
  flight.uri = place.document.uri;
  flight.engine_cancel = request.cancel;
  flight.completion = std::make_unique<CompletionFlight>(
      CompletionFlight{std::move(start), std::move(place), site, StopChecks(site),
                       engine::StreamingDecoder(*tokenizer_), request, std::move(left_off)});
  flight.completion->submitted = PipelineClock::now();
  submit(id, std::move(request));
  return *flight.completion;
}

PipelineWorker::CompletionFlight& PipelineWorker::start_generation(StartEvent event, Place place,
                                                                   Prompt prompt,
                                                                   PipelineClock::time_point t0) {
  if (!event.ahead) {
    cancel_prewarming();
    documents_.repeats_last_prompt(place.document.uri, prompt.tokens);
  }
  StopSite site = stop_site_of(place.site, place.language, place.tree, place.document.text,
                               event.request.options.max_lines);
  engine::GenerateRequest request = generate_request(event, site, prompt);
  CompletionFlight& flight = launch(std::move(event), std::move(place), std::move(site),
                                    prompt.left_off, std::move(request));
  flight.context = std::move(prompt.context);
  flight.context_time =
      std::chrono::duration_cast<std::chrono::microseconds>(flight.submitted - t0);
  return flight;
}

std::string PipelineWorker::generated_text(const CompletionFlight& flight) const {
  return from_cursor(flight.text, flight.left_off);
}

void PipelineWorker::look(CompletionFlight& flight, const std::vector<engine::TokenId>& tokens,
                          const CancelToken& engine_cancel) {
  flight.tokens.insert(flight.tokens.end(), tokens.begin(), tokens.end());
  for (const engine::TokenId token : tokens) flight.text += flight.decoder.push(token);
  const std::string text = generated_text(flight);
  if (contradicts(text, flight.typed)) flight.is_outdated = true;
  if (flight.is_outdated || flight.start.request.cancel.cancelled() || flight.checks.look(text)) {
    engine_cancel.cancel();
  }
}

Result<Prompt> PipelineWorker::prompt_of(const StartEvent& event, const Place& place) {
  const CompletionOptions& options = event.request.options;
  const int32_t budget = prompt_budget(options.context_tokens, options.max_tokens);
  const OpenDocuments* open = event.request.open.get();
  return event.ahead ? documents_.prompt_ahead(place, budget, options.prompt_end, open)
                     : documents_.prompt(place, budget, options.prompt_end, open);
}

void PipelineWorker::finish(CompletionFlight flight, engine::Generation generation) {
  if (flight.seed != 0) {
    take_alternative(flight, generation);
    return settle(flight.group);
  }
  CompletionOutcome outcome = outcome_of(flight, generation);
  outcome.context = std::move(flight.context);
  outcome.timings.context = flight.context_time;
  outcome.timings.engine = generation.timings;
  outcome.timings.n_steps_to_first_token = generation.timings.n_steps_to_first_token;
  if (generation.timings.first_token.count() > 0) {
    // One that was prepared may have had its first token before it was asked for.
    outcome.timings.first_token = std::max(std::chrono::microseconds(1),
                                           std::chrono::duration_cast<std::chrono::microseconds>(
                                               flight.submitted - flight.start.asked) +
                                               generation.timings.first_token);
  }
  outcome.timings.total = since(flight.start.asked);
  log::debug("completion: {} in {} us, {} of {} prompt tokens cached, {} generated, {}{}",
             outcome.items.empty() ? "nothing" : "a suggestion", outcome.timings.total.count(),
             generation.timings.n_cached_tokens, generation.timings.n_prompt_tokens,
             generation.timings.n_generated, outcome.timings.finish,
             outcome.why_empty.empty() ? "" : ": " + outcome.why_empty);
  if (!outcome.cancelled && generation.reason != engine::FinishReason::kError) {
    begin_alternatives(flight);
  }
  if (flight.group != 0) {
    return take_first(flight.group, std::move(flight.start), std::move(outcome));
  }
  deliver(flight.start, std::move(outcome));
}

void PipelineWorker::deliver(const StartEvent& start, CompletionOutcome outcome) {
  const bool prepares = !start.ahead && !outcome.items.empty();
  const std::optional<CompletionItem> shown =
      prepares ? std::optional(outcome.items.front()) : std::nullopt;
  start.done(std::move(outcome));
  if (shown) prepare_next(start.request, *shown);
}

CompletionOutcome PipelineWorker::outcome_of(CompletionFlight& flight,
                                             const engine::Generation& generation) {
  using engine::FinishReason;
  CompletionOutcome outcome;
  outcome.timings.finish = engine::name_of(generation.reason);
  const CompletionRequest& request = flight.start.request;
  const bool stopped_by_checks = flight.checks.look(generated_text(flight)).has_value();
  if (flight.is_outdated) {
    outcome.why_empty = "the text changed meanwhile";
    return outcome;
  }
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
  StopChecks checks(flight.stop_site);
  Judged judged = judge(*tokenizer_, generation, flight.left_off, checks);
  std::string& text = judged.text;
  const bool complete = generation.reason == FinishReason::kStopToken ||
                        generation.reason == FinishReason::kStopString;
  const Cut cut = checks.finish(text, complete);
  if (cut.at < text.size()) outcome.steps.push_back({cut.reason, text});
  text.resize(cut.at);
  if (!cut.reason.empty()) outcome.timings.finish = cut.reason;
  outcome.timings.mean_log_probability = mean_log_probability(generation, judged, text.size());

  if (flight.place.tree == nullptr) flight.place.tree = documents_.late_tree(flight.place);
  Postprocessed result = postprocess(postprocess_input(request, flight.place, flight.stop_site.unit,
                                                       text, flight.stop_site.unclosed));
  std::move(result.steps.begin(), result.steps.end(), std::back_inserter(outcome.steps));
  if (result.text.empty()) {
    outcome.why_empty = result.why_empty;
    if (text.empty() && !cut.reason.empty() && cut.reason != outcome.why_empty) {
      outcome.why_empty = "the model's first line was dropped: " + cut.reason;
    }
    return outcome;
  }
  // Of an engine that does not tell, every suggestion is sure.
  const double confidence = std::exp(outcome.timings.mean_log_probability.value_or(0));
  cache_.remember(suggestion_place(flight.place.document.uri, flight.place.site, request.options),
                  {result.fitted ? with_lf(result.text) : std::move(text), flight.stop_site.unit,
                   confidence, flight.context},
                  {flight.group, flight.seed});
  if (confidence < least_confidence(request)) {
    outcome.why_empty = fmt::format(
        "the model was not sure enough of it: {:.2f}, and incipit.completion.minConfidence wants "
        "{:.2f}; asked for by hand it is shown",
        confidence, least_confidence(request));
    outcome.steps.push_back({kConfidenceRule, with_lf(result.text)});
    return outcome;
  }
  outcome.items.push_back(item_of(request, flight.place, result));
  return outcome;
}

}  // namespace incipit::lsp
