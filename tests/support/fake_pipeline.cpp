#include "tests/support/fake_pipeline.h"

#include <stdexcept>
#include <thread>
#include <utility>

#include "engine/base/bounded_queue.h"

namespace incipit::test {

FakePipeline& FakePipeline::control() {
  static FakePipeline instance;
  return instance;
}

void FakePipeline::reset() {
  std::lock_guard lock(mutex_);
  script_ = nullptr;
  started_.clear();
  explained_.clear();
  warmed_.clear();
  forgotten_.clear();
  destroyed_.clear();
}

void FakePipeline::answer_with(Script script) {
  std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void FakePipeline::answer_with_insert(const std::string& text) {
  answer_with([text](const lsp::CompletionRequest& request) {
    return one_item(text, request.offset, request.offset);
  });
}

template <class T>
T FakePipeline::wait_for(const std::vector<T>& list, size_t n) {
  std::unique_lock lock(mutex_);
  const bool came =
      changed_.wait_for(lock, std::chrono::seconds(120), [&] { return list.size() >= n; });
  if (!came) throw std::runtime_error("fake pipeline: what the test waits for did not happen");
  return list[n - 1];
}

lsp::CompletionRequest FakePipeline::wait_for_start(size_t n) {
  return wait_for(started_, n).request;
}
lsp::ExplainRequest FakePipeline::wait_for_explain(size_t n) {
  return wait_for(explained_, n).request;
}
FakePipeline::Warmed FakePipeline::wait_for_warmed(size_t n) {
  return wait_for(warmed_, n);
}
std::string FakePipeline::wait_for_forgotten(size_t n) {
  return wait_for(forgotten_, n);
}
void FakePipeline::wait_for_destroyed(size_t n) {
  wait_for(destroyed_, n);
}

size_t FakePipeline::n_started() {
  std::lock_guard lock(mutex_);
  return started_.size();
}
size_t FakePipeline::n_warmed() {
  std::lock_guard lock(mutex_);
  return warmed_.size();
}

void FakePipeline::finish(size_t n, lsp::CompletionOutcome outcome) {
  std::function<void(lsp::CompletionOutcome)> done;
  {
    std::lock_guard lock(mutex_);
    done = std::exchange(started_.at(n - 1).done, nullptr);
  }
  if (done) done(std::move(outcome));
}

void FakePipeline::explain_text(size_t n, const std::string& text) {
  std::function<void(std::string_view)> on_text;
  {
    std::lock_guard lock(mutex_);
    on_text = explained_.at(n - 1).on_text;
  }
  on_text(text);
}

void FakePipeline::explain_finish(size_t n, lsp::ExplainOutcome outcome) {
  std::function<void(lsp::ExplainOutcome)> done;
  {
    std::lock_guard lock(mutex_);
    done = std::exchange(explained_.at(n - 1).done, nullptr);
  }
  if (done) done(std::move(outcome));
}

std::optional<lsp::CompletionOutcome> FakePipeline::add(Started started) {
  std::lock_guard lock(mutex_);
  std::optional<lsp::CompletionOutcome> answer;
  if (script_) {
    answer = script_(started.request);
    answer->cancelled = started.request.cancel.cancelled();
    started.done = nullptr;
  }
  started_.push_back(std::move(started));
  changed_.notify_all();
  return answer;
}

void FakePipeline::add(Explained explained) {
  std::lock_guard lock(mutex_);
  explained_.push_back(std::move(explained));
  changed_.notify_all();
}

void FakePipeline::add(Warmed warmed) {
  std::lock_guard lock(mutex_);
  warmed_.push_back(std::move(warmed));
  changed_.notify_all();
}

void FakePipeline::add_forgotten(const std::string& uri) {
  std::lock_guard lock(mutex_);
  forgotten_.push_back(uri);
  changed_.notify_all();
}

void FakePipeline::cancel_everything() {
  std::vector<std::function<void(lsp::CompletionOutcome)>> completions;
  std::vector<std::function<void(lsp::ExplainOutcome)>> explanations;
  {
    std::lock_guard lock(mutex_);
    for (auto& started : started_) completions.push_back(std::exchange(started.done, nullptr));
    for (auto& explained : explained_)
      explanations.push_back(std::exchange(explained.done, nullptr));
    destroyed_.push_back(1);
    changed_.notify_all();
  }
  for (const auto& done : completions) {
    if (done) done(lsp::CompletionOutcome{{}, {}, "cancelled", true, {}, {}});
  }
  for (const auto& done : explanations) {
    lsp::ExplainOutcome outcome;
    outcome.cancelled = true;
    if (done) done(std::move(outcome));
  }
}

lsp::CompletionOutcome one_item(std::string text, size_t start, size_t end) {
  lsp::CompletionOutcome outcome;
  outcome.items.push_back({std::move(text), start, end});
  outcome.timings.finish = "stop token";
  return outcome;
}

}  // namespace incipit::test

namespace incipit::lsp {

using test::FakePipeline;

struct CompletionPipeline::Impl {
  ~Impl() {
    jobs.close();
    worker.join();
    FakePipeline::control().cancel_everything();
  }

  BoundedQueue<std::function<void()>> jobs{1 << 16};
  std::thread worker{[this] {
    while (auto job = jobs.pop()) (*job)();
  }};
};

CompletionPipeline::CompletionPipeline(std::shared_ptr<engine::Engine>, ContextChoice)
    : impl_(std::make_unique<Impl>()) {}
CompletionPipeline::~CompletionPipeline() = default;

void CompletionPipeline::start(CompletionRequest request,
                               std::function<void(CompletionOutcome)> done) {
  impl_->jobs.push([request = std::move(request), done = std::move(done)] {
    const auto answer = FakePipeline::control().add(FakePipeline::Started{request, done});
    if (answer) done(*answer);
  });
}

void CompletionPipeline::explain(ExplainRequest request,
                                 std::function<void(std::string_view)> on_text,
                                 std::function<void(ExplainOutcome)> done) {
  FakePipeline::control().add(
      FakePipeline::Explained{std::move(request), std::move(on_text), std::move(done)});
}

void CompletionPipeline::follow(DocumentSnapshot document, size_t offset, bool prefill,
                                OpenDocumentsPtr open) {
  if (!prefill) return;
  FakePipeline::control().add(FakePipeline::Warmed{std::move(document), offset, std::move(open)});
}

void CompletionPipeline::forget(const std::string& uri) {
  FakePipeline::control().add_forgotten(uri);
}

}  // namespace incipit::lsp
