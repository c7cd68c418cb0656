// incipit: the one program. Everything it can do is a command in lsp/cli.
#include <csignal>
#include <cstdio>
#include <exception>

#include "lsp/cli/commands.h"
#include "lsp/cli/console.h"

int main(int argc, char** argv) {
  incipit::lsp::cli::hold_standard_streams();
  // A file over the user's limit (ulimit -f) is an error of write(), not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return incipit::lsp::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "incipit: internal error: %s\n", error.what());
    return static_cast<int>(incipit::lsp::cli::ExitCode::kFailure);
  }
}
