// FakeEngine: an Engine for tests of what lies above it. Answers come from a script (a function of
// the prompt); every request is recorded. Three ways to run, none of which sleeps:
//   Mode::kImmediate  submit() answers before it returns, on the caller's thread;
//   Mode::kManual     nothing happens until the test calls step() or run(), on the test's thread;
//   Mode::kThread     a thread of its own answers at once, as the real engine does.
// Like the real one it honours cancel tokens between two tokens, max_new_tokens, stop tokens and
// strings, line limits and forced beginnings, and calls on_finish exactly once, also when it is
// destroyed.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace incipit::test {

class FakeEngine final : public engine::Engine {
 public:
  enum class Mode { kImmediate, kManual, kThread };
  using Script = std::function<std::vector<engine::TokenId>(const std::vector<engine::TokenId>&)>;

  struct Options {
    Mode mode = Mode::kImmediate;
    // For tokenizer(), for reply_with_text() and for stop strings and line limits; may be null.
    std::shared_ptr<const engine::Tokenizer> tokenizer;
    engine::ModelInfo info;
  };
  FakeEngine() : FakeEngine(Options{}) {}
  explicit FakeEngine(Options options);
  ~FakeEngine() override;

  // What the next submitted requests get. The default script answers with nothing (kTokenLimit).
  void set_script(Script script);
  using RequestScript = std::function<std::vector<engine::TokenId>(const engine::GenerateRequest&)>;
  void set_request_script(RequestScript script);
  void reply_with(std::vector<engine::TokenId> tokens);
  void reply_with_text(const std::string& text);  // needs a tokenizer
  void be_sure(double probability);  // of every token from now on; before, it does not tell
  void fail_with(Error error);       // every later request finishes with kError

  // What the test may ask for afterwards: copies of the requests in the order of their arrival. The
  // callbacks in the copies are empty; the cancel token is the request's own.
  std::vector<engine::GenerateRequest> requests() const;
  size_t n_requests() const;
  size_t n_unfinished() const;
  void wait_for_requests(size_t n) const;  // until n were submitted; for other threads' requests

  // kManual: one token (or the end) for every unfinished request, in order. False: nothing to do.
  bool step();
  void run();  // step() until all are finished

  // The device fails: device() says so from now on, and who watches it is told, on this thread.
  void fail_device(engine::DeviceStatus status);

  engine::SequenceId submit(engine::GenerateRequest request) override;
  engine::EngineStats stats() const override;
  const engine::ModelInfo& info() const override { return options_.info; }
  std::shared_ptr<const engine::Tokenizer> tokenizer() const override { return options_.tokenizer; }
  engine::DeviceStatus device() const override;
  void watch_device(std::function<void(const engine::DeviceStatus&)> on_fault) override;

 private:
  struct Run;
  void begin_with(const std::string& forced, std::vector<engine::TokenId>& reply) const;
  void advance(Run& run);
  void emit(Run& run);
  void finish(Run& run, engine::FinishReason reason);
  std::vector<std::shared_ptr<Run>> unfinished() const;
  void serve();

  Options options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  RequestScript script_;
  std::optional<Error> failure_;
  std::optional<double> probability_;
  std::vector<engine::GenerateRequest> requests_;
  std::deque<std::shared_ptr<Run>> runs_;  // unfinished
  engine::EngineStats stats_;
  std::optional<engine::DeviceStatus> device_;  // once it has failed
  std::function<void(const engine::DeviceStatus&)> on_fault_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace incipit::test
