// One completion, waited for: what commands of the terminal ask the pipeline by. Any thread but the
// pipeline's and the engine's.
#pragma once

#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp {

CompletionOutcome complete_now(CompletionPipeline& pipeline, CompletionRequest request);

}  // namespace incipit::lsp
