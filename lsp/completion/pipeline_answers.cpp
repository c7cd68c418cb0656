#include "lsp/completion/pipeline_answers.h"

#include <utility>

namespace incipit::lsp {

std::chrono::microseconds since(PipelineClock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(PipelineClock::now() - start);
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

}  // namespace incipit::lsp
