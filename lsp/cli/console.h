// The terminal side: results to stdout, everything for people to stderr. The only place outside
// the transport that writes stdout. Main thread, except that one other thread may stream text.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "lsp/cli/command_line.h"
#include "lsp/cli/exit_code.h"

namespace incipit::lsp::cli {

// Writes and flushes. False when stdout does not take it (a closed pipe, a full disk).
bool write_result(std::string_view text);

// One line on stderr.
void note(std::string_view line);

// "incipit: MESSAGE" on stderr; with Format::kJson also {"error":{..}} on stdout. Returns `exit`.
ExitCode fail(Format format, ExitCode exit, const Error& error);

// Progress of something that may take long (packing a model on first use). Says nothing in the
// first second; then redraws one line on a terminal, or writes a plain line a second.
class Progress {
 public:
  Progress();
  ~Progress();  // takes the line away

  void update(double fraction, const std::string& what);

 private:
  std::chrono::steady_clock::time_point quiet_until_;
  bool terminal_ = false;
  bool drawn_ = false;
};

}  // namespace incipit::lsp::cli
