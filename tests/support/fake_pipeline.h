// FakePipeline: stands in for lsp/completion/completion_pipeline.cpp at link time, so that tests of
// the server decide what a completion gives and when. A test binary links either this or
// lsp_completion. One control for the process; reset() between tests. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lsp/completion/completion_pipeline.h"

namespace incipit::test {

class FakePipeline {
 public:
  using Script = std::function<lsp::CompletionOutcome(const lsp::CompletionRequest&)>;
  struct Started {
    lsp::CompletionRequest request;
    std::function<void(lsp::CompletionOutcome)> done;  // empty once called
  };
  struct Explained {
    lsp::ExplainRequest request;
    std::function<void(std::string_view)> on_text;
    std::function<void(lsp::ExplainOutcome)> done;
  };
  struct Warmed {
    lsp::DocumentSnapshot document;
    size_t offset = 0;
    lsp::OpenDocumentsPtr open;
  };

  static FakePipeline& control();
  void reset();

  // From now on every start is answered at once, on a thread of the pipeline. Without a script the
  // test answers with finish().
  void answer_with(Script script);
  void answer_with_insert(const std::string& text);  // at the cursor

  // Each waits until there are n; then a copy of the n-th (from 1).
  lsp::CompletionRequest wait_for_start(size_t n);
  lsp::ExplainRequest wait_for_explain(size_t n);
  Warmed wait_for_warmed(size_t n);
  std::string wait_for_forgotten(size_t n);
  void wait_for_destroyed(size_t n);
  size_t n_started();
  size_t n_warmed();

  void finish(size_t n, lsp::CompletionOutcome outcome);  // of the n-th start
  void explain_text(size_t n, const std::string& text);
  void explain_finish(size_t n, lsp::ExplainOutcome outcome);

  // For the implementation of CompletionPipeline.
  std::optional<lsp::CompletionOutcome> add(Started started);
  void add(Explained explained);
  void add(Warmed warmed);
  void add_forgotten(const std::string& uri);
  void cancel_everything();

 private:
  template <class T>
  T wait_for(const std::vector<T>& list, size_t n);

  std::mutex mutex_;
  std::condition_variable changed_;
  Script script_;
  std::vector<Started> started_;
  std::vector<Explained> explained_;
  std::vector<Warmed> warmed_;
  std::vector<std::string> forgotten_;
  std::vector<int> destroyed_;
};

lsp::CompletionOutcome one_item(std::string text, size_t start, size_t end);

}  // namespace incipit::test
