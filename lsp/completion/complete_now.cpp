#include "lsp/completion/complete_now.h"

#include <future>
#include <memory>

namespace incipit::lsp {

CompletionOutcome complete_now(CompletionPipeline& pipeline, CompletionRequest request) {
  // Shared: get() may return while set_value() is still at work in the promise.
  const auto done = std::make_shared<std::promise<CompletionOutcome>>();
  std::future<CompletionOutcome> outcome = done->get_future();
  pipeline.start(std::move(request),
                 [done](CompletionOutcome result) { done->set_value(std::move(result)); });
  return outcome.get();
}

}  // namespace incipit::lsp
