// PipelineWorker, the part for requests that want more than one suggestion.
#include <algorithm>
#include <iterator>
#include <utility>

#include "lsp/completion/pipeline_answers.h"
#include "lsp/completion/pipeline_worker.h"

namespace incipit::lsp {
namespace {

// Near enough to the likeliest that most draws are code one would write, far enough that they are
// not all the same.
constexpr engine::SamplingParams kDraw{.temperature = 0.8F, .top_p = 0.95F, .seed = 0};

void ignore(const CompletionOutcome&) {}

}  // namespace

// Called when the first token is there, so that the others find the prompt's pages, and again at
// the end, if there was none.
void PipelineWorker::begin_alternatives(CompletionFlight& flight) {
  const StartEvent& start = flight.start;
  if (start.ahead || flight.seed != 0 || flight.group != 0 || n_wanted(start.request) < 2) return;
  flight.group = next_id_++;
  Alternatives& group = groups_[flight.group];
  group.start = {start.request, ignore, start.asked};
  group.place = flight.place;
  group.stop_site = flight.stop_site;
  group.asked = flight.asked;
  group.left_off = flight.left_off;
  draw(flight.group, group);
}

// The first is known already.
void PipelineWorker::draw_beside(StartEvent event, Place place, const Prompt& prompt,
                                 CompletionOutcome known) {
  cancel_prewarming();
  documents_.repeats_last_prompt(place.document.uri, prompt.tokens);
  const uint64_t id = next_id_++;
  Alternatives& group = groups_[id];
  group.stop_site = stop_site_of(place.site, place.language, place.tree, place.document.text,
                                 event.request.options.max_lines);
  group.asked = generate_request(event, group.stop_site, prompt);
  group.place = std::move(place);
  group.left_off = prompt.left_off;
  take_first(id, std::move(event), std::move(known));
}

void PipelineWorker::take_first(uint64_t group_id, StartEvent start, CompletionOutcome first) {
  Alternatives& group = groups_.at(group_id);
  group.start = std::move(start);
  group.first = std::move(first);
  group.due = PipelineClock::now() + kAlternativesWait;
  settle(group_id);
}

// As many as are needed. Below the first in rank: their rows ride along with its own.
void PipelineWorker::draw(uint64_t group_id, Alternatives& group) {
  while (group.needs_another()) {
    engine::GenerateRequest request = group.asked;
    request.sampling = kDraw;
    request.sampling.seed = ++group.last_seed;
    request.priority = engine::Priority::kBackground;
    request.cancel = group.start.request.cancel.child();
    ++group.n_running;
    CompletionFlight& flight = launch({group.start.request, ignore, group.start.asked}, group.place,
                                      group.stop_site, group.left_off, std::move(request));
    flight.group = group_id;
    flight.seed = group.last_seed;
  }
}

void PipelineWorker::take_alternative(CompletionFlight& flight,
                                      const engine::Generation& generation) {
  const auto found = groups_.find(flight.group);
  if (found == groups_.end()) return;
  Alternatives& group = found->second;
  --group.n_running;
  CompletionOutcome outcome = outcome_of(flight, generation);
  if (!outcome.items.empty()) group.drawn.emplace(flight.seed, std::move(outcome.items.front()));
}

// Answers when there is enough, or nothing more to wait for.
void PipelineWorker::settle(uint64_t group_id) {
  const auto found = groups_.find(group_id);
  if (found == groups_.end()) return;
  Alternatives& group = found->second;
  const bool is_cancelled = group.start.request.cancel.cancelled();
  const bool is_overdue = group.first && PipelineClock::now() >= group.due;
  if (!is_cancelled && !is_overdue) draw(group_id, group);
  if (!group.first) return;
  if (group.n_running > 0 && !is_cancelled && !is_overdue &&
      group.items().size() < n_wanted(group.start.request)) {
    return;
  }
  cut_draws(group_id, is_cancelled ? Unfinished::kDrop : Unfinished::kKeepLines);
  const Alternatives done = std::move(group);
  groups_.erase(found);
  if (is_cancelled) return answer_cancelled(done.start);
  CompletionOutcome outcome = *done.first;
  outcome.items = done.items();
  if (!outcome.items.empty()) outcome.why_empty.clear();
  outcome.timings.total = since(done.start.asked);
  deliver(done.start, std::move(outcome));
}

// What is still being drawn ends. Its whole lines count as if the token limit had come after them.
void PipelineWorker::cut_draws(uint64_t group_id, Unfinished unfinished) {
  for (auto next = flights_.begin(); next != flights_.end();) {
    const auto it = next++;
    CompletionFlight* draw = it->second.completion.get();
    if (draw == nullptr || draw->seed == 0 || draw->group != group_id) continue;
    it->second.engine_cancel.cancel();
    const Flight flight = std::move(it->second);
    flights_.erase(it);
    const std::string text = generated_text(*draw);
    const size_t last_line = text.rfind('\n');
    if (unfinished == Unfinished::kDrop || last_line == std::string::npos ||
        is_blank(std::string_view(text).substr(0, last_line))) {
      continue;
    }
    engine::Generation generation;
    generation.tokens = draw->tokens;
    generation.reason = engine::FinishReason::kTokenLimit;
    take_alternative(*draw, generation);
  }
}

std::optional<PipelineClock::time_point> PipelineWorker::next_due() const {
  std::optional<PipelineClock::time_point> first;
  for (const auto& [id, group] : groups_) {
    if (group.first && (!first || group.due < *first)) first = group.due;
  }
  return first;
}

void PipelineWorker::settle_overdue() {
  const PipelineClock::time_point now = PipelineClock::now();
  for (auto next = groups_.begin(); next != groups_.end();) {
    const auto it = next++;
    if (it->second.first && it->second.due <= now) settle(it->first);
  }
}

}  // namespace incipit::lsp
