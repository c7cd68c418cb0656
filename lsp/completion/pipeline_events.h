// What reaches the pipeline's context thread, and the queue it comes through. Callers and the
// engine thread post; the context thread takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/bounded_queue.h"
#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp {

using PipelineClock = std::chrono::steady_clock;

struct StartEvent {
  CompletionRequest request;
  std::function<void(CompletionOutcome)> done;
  PipelineClock::time_point asked;
  bool ahead = false;  // asked by the pipeline itself, see CompletionOptions::prepare_next
};
struct ExplainEvent {
  ExplainRequest request;
  std::function<void(std::string_view)> on_text;
  std::function<void(ExplainOutcome)> done;
};
struct PrewarmEvent {
  DocumentSnapshot document;
  size_t offset = 0;
  bool prefill = true;
  OpenDocumentsPtr open;
};
struct ForgetEvent {
  std::string uri;
};
// From the engine, about generation `id`.
struct TokensEvent {
  uint64_t id = 0;
  std::vector<engine::TokenId> tokens;  // new since the last event
};
struct FinishedEvent {
  uint64_t id = 0;
  engine::Generation generation;
};

using PipelineEvent =
    std::variant<StartEvent, ExplainEvent, PrewarmEvent, ForgetEvent, TokensEvent, FinishedEvent>;

// Without a limit: the engine thread must never wait for the context thread, which in turn waits
// for the engine when it submits. What is in it is limited by the requests that are open.
class PipelineInbox {
 public:
  // False when the pipeline is being destroyed; then the event is left as it was.
  bool post(PipelineEvent& event) { return queue_.try_push(event); }
  std::optional<PipelineEvent> wait() { return queue_.pop(); }
  std::optional<PipelineEvent> wait_until(PipelineClock::time_point when) {
    return queue_.pop_until(when);
  }
  std::optional<PipelineEvent> poll() { return queue_.try_pop(); }
  void close() { queue_.close(); }

 private:
  BoundedQueue<PipelineEvent> queue_{std::numeric_limits<size_t>::max()};
};

}  // namespace incipit::lsp
