// Asks the pipeline for every hole of the files and judges the answers. Main thread.
#pragma once

#include <functional>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/engine.h"
#include "lsp/completion/completion_pipeline.h"
#include "lsp/eval/hole_row.h"
#include "lsp/eval/source_files.h"

namespace incipit::lsp::eval {

// Holes of a file are asked in the order of their places, one at a time, as one document whose text
// changes; then it is closed. `on_row` sees each row when it is there. Ends early, with the rows so
// far, when `cancel` is set. Nobody else may use `engine`, the pipeline's own, meanwhile: what a
// request cost is the difference of its counters.
std::vector<HoleRow> measure(CompletionPipeline& pipeline, const engine::Engine& engine,
                             const EvalFiles& files, const CompletionOptions& options,
                             const CancelToken& cancel,
                             const std::function<void(const HoleRow&)>& on_row);

}  // namespace incipit::lsp::eval
