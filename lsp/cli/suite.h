// `incipit bench --suite h100`.
#pragma once

#include "lsp/cli/command_line.h"
#include "lsp/cli/exit_code.h"

namespace incipit::lsp::cli {

ExitCode run_suite(const BenchArguments& arguments);

}  // namespace incipit::lsp::cli
