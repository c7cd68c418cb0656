#include "lsp/handlers/model_host.h"

#include <fmt/core.h>

#include <exception>
#include <memory>
#include <utility>

#include "engine/base/log.h"

namespace incipit::lsp {
namespace {

CancelToken cancelled_token() {
  CancelToken token;
  token.cancel();
  return token;
}

// What makes another engine of the same model.
bool loads_the_same(const engine::EngineOptions& a, const engine::EngineOptions& b) {
  return a.model == b.model && a.n_threads == b.n_threads && a.device == b.device &&
         a.gpu_memory == b.gpu_memory && a.kv_type == b.kv_type && a.kv_disk == b.kv_disk &&
         a.prompt_layout == b.prompt_layout && a.context_tokens == b.context_tokens;
}

}  // namespace

ModelHost::ModelHost(EngineFactory make_engine, ContextChoice context, Post post,
                     std::function<void()> on_change, OnFault on_fault)
    : make_engine_(std::move(make_engine)),
      context_(std::move(context)),
      post_(std::move(post)),
      on_change_(std::move(on_change)),
      on_fault_(std::move(on_fault)),
      loader_([this] { run_jobs(); }) {}

ModelHost::~ModelHost() {
  cancel_.cancel();
  jobs_.close();
  loader_.join();
}

void ModelHost::load(const engine::EngineOptions& options) {
  if (state_ != State::kIdle && loads_the_same(options, options_)) return;
  cancel_.cancel();
  cancel_ = CancelToken();
  options_ = options;
  state_ = State::kLoading;
  loading_ = {0, "starting"};
  failure_.clear();
  jobs_.push(Job{options, ++generation_, cancel_, std::exchange(loaded_, {})});
  on_change_();
}

void ModelHost::run_jobs() {
  while (auto job = jobs_.pop()) run(std::move(*job));
}

void ModelHost::run(Job job) {
  // First the old one goes, so that its memory is free. The pipeline holds the engine too.
  job.retired.pipeline.reset();
  job.retired.engine.reset();
  if (job.cancel.cancelled()) return;

  const int64_t generation = job.generation;
  const auto progress = [this, generation](double fraction, const std::string& what) {
    post_([this, generation, loading = Loading{fraction, what}] { report(generation, loading); });
  };
  // In a box, because what is posted is copied and the engine has one owner at a time.
  auto result = std::make_shared<Result<Loaded>>(Loaded());
  try {
    auto engine = make_engine_(job.options, progress, job.cancel);
    if (engine) {
      Loaded loaded;
      loaded.engine = std::move(*engine);
      watch_device(generation, *loaded.engine);
      loaded.pipeline = std::make_shared<CompletionPipeline>(loaded.engine, context_);
      *result = std::move(loaded);
    } else {
      *result = engine.error();
    }
  } catch (const std::exception& failure) {  // out of memory, above all
    *result = Error{ErrorCode::kInternal, fmt::format("loading: {}", failure.what())};
  }
  post_([this, generation, result] { finish(generation, std::move(*result)); });
}

// The engine tells on its own thread.
void ModelHost::watch_device(int64_t generation, engine::Engine& engine) {
  engine.watch_device([this, generation](const engine::DeviceStatus& device) {
    post_([this, generation, device] {
      if (generation == generation_) on_fault_(device);
    });
  });
}

void ModelHost::report(int64_t generation, Loading loading) {
  if (generation != generation_ || state_ != State::kLoading) return;
  loading_ = std::move(loading);
  on_change_();
}

void ModelHost::finish(int64_t generation, Result<Loaded> result) {
  if (generation != generation_) {  // given up while it was loading: the loader takes it down
    if (result) jobs_.push(Job{{}, generation, cancelled_token(), std::move(*result)});
    return;
  }
  if (result) {
    loaded_ = std::move(*result);
    state_ = State::kReady;
    log::info("model: {} is ready on {}", loaded_.engine->info().name,
              loaded_.engine->info().device);
  } else {
    state_ = State::kFailed;
    const std::string& name = options_.model;
    failure_ = fmt::format(
        "the {} could not be loaded: {}. `incipit doctor` says what is missing; the setting "
        "incipit.model or --model names another model.",
        name.empty() ? "default model" : fmt::format("model \"{}\"", name), result.error().message);
    log::error("{}", failure_);
  }
  on_change_();
}

}  // namespace incipit::lsp
