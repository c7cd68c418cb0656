#include "lsp/cli/model_session.h"

#include <utility>

#include "lsp/cli/console.h"

namespace incipit::lsp::cli {

engine::EngineOptions engine_options(const ModelChoice& choice) {
  engine::EngineOptions options;
  options.model = choice.model;
  options.n_threads = choice.n_threads;
  options.device = choice.device;
  options.gpu_memory = choice.gpu_memory;
  options.kv_type = choice.kv_type;
  options.kv_disk = choice.kv_disk;
  options.prompt_layout = choice.prompt_layout;
  options.context_tokens = choice.context_tokens;
  options.draft_tokens = choice.draft_tokens;
  return options;
}

Result<ModelSession> open_model(const ModelChoice& choice, const CancelToken& cancel,
                                ContextChoice context) {
  Progress progress;
  Result<std::unique_ptr<engine::Engine>> engine = engine::Engine::create(
      engine_options(choice),
      [&progress](double fraction, const std::string& what) { progress.update(fraction, what); },
      cancel);
  if (!engine) return engine.error();
  ModelSession session;
  session.engine = std::move(engine).value();
  session.pipeline = std::make_unique<CompletionPipeline>(session.engine, std::move(context));
  return session;
}

}  // namespace incipit::lsp::cli
