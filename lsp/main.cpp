// incipit: the one program. Everything it can do is a command in lsp/cli.
#include <cstdio>
#include <exception>

#include "lsp/cli/commands.h"

int main(int argc, char** argv) {
  try {
    return incipit::lsp::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "incipit: internal error: %s\n", error.what());
    return static_cast<int>(incipit::lsp::cli::ExitCode::kFailure);
  }
}
