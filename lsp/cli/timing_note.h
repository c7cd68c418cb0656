// "first token 8.1 ms, 24 tokens in 61.0 ms (438/s), 310 of 342 prompt tokens from the cache": the
// line on stderr after a result. Pure.
#pragma once

#include <string>

#include "engine/engine.h"

namespace incipit::lsp::cli {

std::string timing_note(const engine::Timings& timings);

}  // namespace incipit::lsp::cli
