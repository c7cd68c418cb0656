// The exit codes of `incipit`, one table for the code, `--help` and the README.
#pragma once

#include <cstdint>

#include "engine/base/result.h"

namespace incipit::lsp::cli {

enum class ExitCode : int {
  kOk = 0,            // done; also when there is nothing to suggest
  kFailure = 1,       // it was asked well and did not work; `doctor`: a problem was found
  kUsage = 2,         // the command line is wrong, or a position lies outside the file
  kInput = 3,         // FILE cannot be used: missing, a device, binary, not UTF-8, too large
  kModel = 4,         // the model is unknown, damaged or does not fit in memory
  kInterrupted = 130  // Ctrl-C
};

inline constexpr const char* kExitCodeHelp =
    "Exit codes:\n"
    "  0    done (also when there is nothing to suggest)\n"
    "  1    it did not work; doctor: a problem was found\n"
    "  2    wrong command line, or a position outside the file\n"
    "  3    FILE cannot be used: missing, a directory, a device, a pipe without a writer, binary,\n"
    "       not UTF-8, too large\n"
    "  4    the model is unknown, damaged or does not fit in memory\n"
    "  130  interrupted (Ctrl-C)\n";

// A failure on its way to the user: what to say and how to leave.
struct Failure {
  ExitCode exit = ExitCode::kFailure;
  Error error;
};

}  // namespace incipit::lsp::cli
