// RunawayLine: notices, character by character, that a line being generated has fallen into a loop
// (`a[0] == 0 && a[1] == 0 && a[2] == 0 && …`), which a small model does where a line should have
// ended. Used by StopChecks; the answer depends on the characters alone, not on how they arrive.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace incipit::lsp {

class RunawayLine {
 public:
  // The next character of the line. Once its end is at least kMinCopies copies of one unit, numbers
  // aside, that fill kMinBytes: how many bytes of the line to keep, which is one copy.
  std::optional<size_t> push(char c);
  void start_line();

 private:
  static constexpr size_t kMaxUnit = 64;
  static constexpr size_t kMinCopies = 4;
  static constexpr size_t kMinBytes = 48;  // rows of zeros in a table are shorter, mostly

  bool says_something(size_t unit) const;

  std::string line_;  // digits as '0'
  std::array<size_t, kMaxUnit + 1>
      n_equal_{};  // [unit], characters at the end equal to those `unit` before
};

}  // namespace incipit::lsp
