#include "lsp/completion/completion_pipeline.h"

#include <atomic>
#include <thread>
#include <utility>

#include "kernels/common/check.h"
#include "lsp/completion/pipeline_events.h"
#include "lsp/completion/pipeline_worker.h"

namespace incipit::lsp {

struct CompletionPipeline::Impl {
  Impl(std::shared_ptr<engine::Engine> engine, ContextChoice context)
      : worker(std::move(engine), inbox, std::move(context)),
        thread([this] { worker.run(closing); }) {}

  ~Impl() {
    closing.store(true, std::memory_order_release);
    inbox->close();
    thread.join();
  }

  // Shared with the engine's callbacks, which may come after this is gone.
  const std::shared_ptr<PipelineInbox> inbox = std::make_shared<PipelineInbox>();
  std::atomic<bool> closing{false};
  PipelineWorker worker;
  std::thread thread;
};

CompletionPipeline::CompletionPipeline(std::shared_ptr<engine::Engine> engine,
                                       ContextChoice context) {
  CHECK(engine != nullptr);
  impl_ = std::make_unique<Impl>(std::move(engine), std::move(context));
}

CompletionPipeline::~CompletionPipeline() = default;

void CompletionPipeline::start(CompletionRequest request,
                               std::function<void(CompletionOutcome)> done) {
  PipelineEvent event = StartEvent{std::move(request), std::move(done), PipelineClock::now()};
  if (impl_->inbox->post(event)) return;
  CompletionOutcome outcome;
  outcome.cancelled = true;
  outcome.why_empty = "cancelled";
  std::get<StartEvent>(event).done(std::move(outcome));
}

void CompletionPipeline::explain(ExplainRequest request,
                                 std::function<void(std::string_view)> on_text,
                                 std::function<void(ExplainOutcome)> done) {
  PipelineEvent event = ExplainEvent{std::move(request), std::move(on_text), std::move(done)};
  if (impl_->inbox->post(event)) return;
  ExplainOutcome outcome;
  outcome.cancelled = true;
  std::get<ExplainEvent>(event).done(std::move(outcome));
}

void CompletionPipeline::follow(DocumentSnapshot document, size_t offset, bool prefill,
                                OpenDocumentsPtr open) {
  PipelineEvent event = PrewarmEvent{std::move(document), offset, prefill, std::move(open)};
  impl_->inbox->post(event);
}

void CompletionPipeline::forget(const std::string& uri) {
  PipelineEvent event = ForgetEvent{uri};
  impl_->inbox->post(event);
}

}  // namespace incipit::lsp
