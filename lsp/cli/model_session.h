// The engine and the pipeline for one command. The pipeline goes down before the engine's last
// owner does. Main thread.
#pragma once

#include <memory>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/engine.h"
#include "lsp/cli/command_line.h"
#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp::cli {

engine::EngineOptions engine_options(const ModelChoice& choice);

struct ModelSession {
  std::shared_ptr<engine::Engine> engine;
  std::unique_ptr<CompletionPipeline> pipeline;
};

// Blocks until the model is loaded; says so on stderr when that takes over a second.
Result<ModelSession> open_model(const ModelChoice& choice, const CancelToken& cancel,
                                ContextChoice context = {});

}  // namespace incipit::lsp::cli
