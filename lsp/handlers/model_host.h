// ModelHost: the engine and its pipeline, from "not there yet" to "being replaced". Owns the loader
// thread, which makes engines, one after the other, and takes the old ones down; io never waits for
// either. Everything here is called on the io thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/bounded_queue.h"
#include "engine/base/cancel_token.h"
#include "lsp/completion/completion_pipeline.h"
#include "lsp/server.h"

namespace incipit::lsp {

using Post = std::function<void(std::function<void()>)>;

class ModelHost {
 public:
  enum class State { kIdle, kLoading, kReady, kFailed };
  struct Loading {
    double fraction = 0;  // 0..1
    std::string what;
  };

  using OnFault = std::function<void(const engine::DeviceStatus&)>;

  // `on_change` runs after every change of state and every step of loading, `on_fault` when the
  // device of the model in use has failed.
  // `context`: what prompts are told of other files.
  ModelHost(EngineFactory make_engine, ContextChoice context, Post post,
            std::function<void()> on_change, OnFault on_fault);
  ~ModelHost();  // cancels loading, answers what the pipeline still has, joins

  // Loads this model; one that is loaded or loading is given up. The same options again: nothing.
  void load(const engine::EngineOptions& options);
  void stop_loading() const { cancel_.cancel(); }

  State state() const { return state_; }
  const Loading& loading() const { return loading_; }
  const std::string& failure() const { return failure_; }  // what went wrong and what to do
  CompletionPipeline* pipeline() const { return loaded_.pipeline.get(); }  // when kReady
  const engine::Engine* engine() const { return loaded_.engine.get(); }

 private:
  struct Loaded {
    std::shared_ptr<engine::Engine> engine;
    std::shared_ptr<CompletionPipeline> pipeline;  // shared only to travel in a std::function
  };
  struct Job {
    engine::EngineOptions options;
    int64_t generation = 0;
    CancelToken cancel;
    Loaded retired;
  };

  void run_jobs();
  void run(Job job);
  void report(int64_t generation, Loading loading);
  void finish(int64_t generation, Result<Loaded> result);
  void watch_device(int64_t generation, engine::Engine& engine);

  const EngineFactory make_engine_;
  const ContextChoice context_;
  const Post post_;
  const std::function<void()> on_change_;
  const OnFault on_fault_;

  State state_ = State::kIdle;
  engine::EngineOptions options_;
  int64_t generation_ = 0;  // of the newest load(); reports of older ones are ignored
  CancelToken cancel_;
  Loading loading_;
  std::string failure_;
  Loaded loaded_;

  BoundedQueue<Job> jobs_{64};
  std::thread loader_;
};

}  // namespace incipit::lsp
