// DisplayDelay: how long a suggestion that nobody asked for by hand is held back
// (incipit.completion.longestDelay). Who takes most suggestions sees them at once; who types over
// them sees them after a pause in typing. Learned from what became of those shown, the last ones
// counting most. Io thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace incipit::lsp {

class DisplayDelay {
 public:
  // Counted from the request.
  std::chrono::milliseconds of(std::chrono::milliseconds longest) const {
    return std::chrono::milliseconds(
        static_cast<int64_t>(static_cast<double>(longest.count()) * (1 - taken_share_)));
  }

  // A suggestion has been sent; the document would be `if_taken` with it. One that was not taken
  // until then never was.
  void shown(const std::string& uri, std::string if_taken);
  void changed(const std::string& uri, std::string_view text);

 private:
  void learn(bool taken);

  double taken_share_ = 0.5;
  bool is_open_ = false;  // one is on display
  std::string uri_;
  std::string if_taken_;
};

}  // namespace incipit::lsp
