// What the tests of the completion pipeline share: an engine that says what it is told, requests
// from marked text, and waiting for answers.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "lsp/completion/completion_pipeline.h"
#include "tests/support/fake_engine.h"
#include "tests/support/marked_text.h"
#include "tests/support/pocket_tokenizer.h"

namespace incipit::lsp {

inline std::shared_ptr<test::FakeEngine> make_engine(test::FakeEngine::Mode mode) {
  test::FakeEngine::Options options;
  options.mode = mode;
  options.tokenizer = test::pocket_tokenizer();
  options.info.name = "pocket";
  options.info.context_tokens = 2048;
  options.info.prompt = test::pocket_format();
  return std::make_shared<test::FakeEngine>(options);
}

// The cursor is where "$0" stands.
inline CompletionRequest request_at(std::string_view marked, std::string language = "python",
                                    std::string path = "src/a.py") {
  const test::MarkedText parsed = test::parse_marked(marked);
  CompletionRequest request;
  request.document.uri = "file:///" + path;
  request.document.path = std::move(path);
  request.document.language_id = std::move(language);
  request.document.text = std::make_shared<const std::string>(parsed.text);
  request.offset = parsed.cursor;
  return request;
}

// Starts and waits. The promise makes a second call of `done` throw.
inline std::future<CompletionOutcome> start(CompletionPipeline& pipeline,
                                            CompletionRequest request) {
  auto promise = std::make_shared<std::promise<CompletionOutcome>>();
  std::future<CompletionOutcome> future = promise->get_future();
  pipeline.start(std::move(request),
                 [promise](CompletionOutcome outcome) { promise->set_value(std::move(outcome)); });
  return future;
}

// The test plays a manual engine until there is an answer.
template <class T>
T play(test::FakeEngine& engine, std::future<T> answer) {
  while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    engine.step();
    std::this_thread::yield();
  }
  return answer.get();
}

}  // namespace incipit::lsp
