// AnswerCache: explanations that were made, by the text that they are about: as long as that is the
// same, so is the answer. Bounded; the one used longest ago goes first. Context thread only.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <utility>

namespace incipit::lsp {

class AnswerCache {
 public:
  static constexpr size_t kMaxAnswers = 64;
  static constexpr size_t kMaxKeyBytes = size_t{64} << 10;  // longer texts are asked about anew

  std::optional<std::string> find(const std::string& about);
  void remember(std::string about, std::string answer);

 private:
  std::list<std::pair<std::string, std::string>> answers_;  // newest first
};

}  // namespace incipit::lsp
