// The commands of `incipit`, one file each. Each prints its result and returns the exit code.
#pragma once

#include "lsp/cli/command_line.h"
#include "lsp/cli/exit_code.h"

namespace incipit::lsp::cli {

// Returns what the server returns: 0 after shutdown and exit, else 1.
int run_lsp(const LspArguments& arguments);
ExitCode run_complete(const CompleteArguments& arguments);
ExitCode run_explain(const ExplainArguments& arguments);
ExitCode run_bench(const BenchArguments& arguments);
ExitCode run_eval(const EvalArguments& arguments);
ExitCode run_doctor(const DoctorArguments& arguments);
ExitCode run_model(const ModelArguments& arguments);

// Parses, runs, returns the exit code of the process.
int run(int argc, const char* const* argv);

}  // namespace incipit::lsp::cli
