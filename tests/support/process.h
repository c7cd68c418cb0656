// Process: a child with its stdin and stdout on pipes of ours, for tests of real binaries. stderr
// goes to a file. Killed when it outlives the object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lsp/rpc/stdio_transport.h"

namespace incipit::test {

class Process {
 public:
  struct Exit {
    int code = -1;   // when it exited
    int signal = 0;  // when a signal ended it
  };

  Process(const std::vector<std::string>& command, const std::map<std::string, std::string>& env,
          const std::filesystem::path& stderr_file);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // False when the child no longer reads, or does not for as long as the deadline allows.
  bool write(const std::string& bytes, std::chrono::steady_clock::time_point deadline);
  // What came; nothing at the end of the output or after the deadline.
  std::optional<std::string> read(std::chrono::steady_clock::time_point deadline);
  void close_input() { input_.reset(); }
  void close_output() { output_.reset(); }
  // Waits; nothing when it still runs at the deadline.
  std::optional<Exit> wait(std::chrono::steady_clock::time_point deadline);

 private:
  pid_t pid_ = -1;
  lsp::UniqueFd input_;   // the child's stdin
  lsp::UniqueFd output_;  // the child's stdout
  lsp::UniqueFd pidfd_;
};

}  // namespace incipit::test
