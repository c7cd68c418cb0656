#include "lsp/completion/complete_now.h"

#include <future>

namespace incipit::lsp {

CompletionOutcome complete_now(CompletionPipeline& pipeline, CompletionRequest request) {
  std::promise<CompletionOutcome> done;
  pipeline.start(std::move(request),
                 [&done](CompletionOutcome outcome) { done.set_value(std::move(outcome)); });
  return done.get_future().get();
}

}  // namespace incipit::lsp
