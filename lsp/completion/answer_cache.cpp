#include "lsp/completion/answer_cache.h"

#include <algorithm>

namespace incipit::lsp {

std::optional<std::string> AnswerCache::find(const std::string& about) {
  const auto found = std::find_if(answers_.begin(), answers_.end(),
                                  [&](const auto& entry) { return entry.first == about; });
  if (found == answers_.end()) return std::nullopt;
  answers_.splice(answers_.begin(), answers_, found);
  return found->second;
}

void AnswerCache::remember(std::string about, std::string answer) {
  if (about.size() > kMaxKeyBytes || find(about)) return;
  answers_.emplace_front(std::move(about), std::move(answer));
  if (answers_.size() > kMaxAnswers) answers_.pop_back();
}

}  // namespace incipit::lsp
