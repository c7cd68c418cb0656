// The table that `incipit bench` prints: one line a figure, beside it what the machine allows. At
// most 100 columns. Pure.
#pragma once

#include <string>

#include "engine/tools/engine_bench.h"

namespace incipit::lsp::cli {

std::string bench_table(const engine::EngineBenchReport& report);

}  // namespace incipit::lsp::cli
