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

// Standard streams that the caller closed are held by /dev/null, so that no file of ours gets their
// numbers and then what was meant for people. First thing in main().
void hold_standard_streams();

// Writes and flushes. When stdout does not take it (closed, a full disk), says so on stderr and
// returns false.
bool write_result(std::string_view text);

// One line on stderr; lost without harm where stderr takes nothing.
void note(std::string_view line);

// "incipit: MESSAGE" on stderr; with Format::kJson also {"error":{..}} on stdout. Returns `exit`.
ExitCode fail(Format format, ExitCode exit, const Error& error);

// The same for `lsp`, whose stdout belongs to LSP: one line on stderr, text or JSON.
ExitCode fail_on_stderr(Format format, ExitCode exit, const Error& error);

// Progress of something that may take long (packing a model on first use). Says nothing in the
// first second; then redraws one line on a terminal, or writes a plain line a second.
class Progress {
 public:
  Progress();
  ~Progress();  // takes the line away

  void update(double fraction, const std::string& what);  // ends by itself at 1
  void show(const std::string& line);

 private:
  std::chrono::steady_clock::time_point quiet_until_;
  bool terminal_ = false;
  bool drawn_ = false;
};

}  // namespace incipit::lsp::cli
