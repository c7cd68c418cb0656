// The files that an editor might have open beside one: a stand-in for what its user would choose.
// Reads files. Main thread.
#pragma once

#include <cstdint>
#include <vector>

#include "lsp/document/snapshot.h"
#include "lsp/eval/source_files.h"

namespace incipit::lsp::eval {

// Files of a related language that are fit for prompts, at most eight: from the file's own folder
// and those below it, then from the folder above with all below that, …, up to the folder that was
// named for the evaluation. Of each folder in an order that the seed makes: what stands in them,
// and the holes, play no part.
std::vector<DocumentSnapshot> files_beside(const EvalFile& file, uint64_t seed);

}  // namespace incipit::lsp::eval
