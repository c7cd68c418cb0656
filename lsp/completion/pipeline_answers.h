// The answers that carry no suggestion and no explanation, in one wording. Context thread.
#pragma once

#include <chrono>
#include <string>

#include "lsp/completion/pipeline_events.h"

namespace incipit::lsp {

std::chrono::microseconds since(PipelineClock::time_point start);

void answer_cancelled(const StartEvent& event);
void answer_empty(const StartEvent& event, std::string why);
void answer_cancelled(const ExplainEvent& event);
void answer_error(const ExplainEvent& event, Error error);

}  // namespace incipit::lsp
