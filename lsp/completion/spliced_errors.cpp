#include "lsp/completion/spliced_errors.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "lsp/syntax/errors.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

SplicedErrors::SplicedErrors(Tree tree, const CursorSite& site, std::chrono::milliseconds time,
                             int max_parses)
    : tree_(std::move(tree)),
      site_(site),
      n_left_(max_parses),
      deadline_(DocumentParser::Clock::now() + time) {
  if (tree_ == nullptr) return;
  if (site.text.size() > kMaxParsedBytes || *tree_->text() != site.text) tree_ = nullptr;
}

int SplicedErrors::now() const {
  return tree_ == nullptr
             ? 0
             : count_errors(*tree_, {0, site_.text.size()}, std::numeric_limits<int>::max());
}

// Null: beyond the limits.
Tree SplicedErrors::tree_with(std::string_view text, size_t n_replaced) {
  if (tree_ == nullptr || n_left_ <= 0) return nullptr;
  --n_left_;
  std::string changed(site_.text.substr(0, site_.offset));
  for (const char c : text) {
    if (c == '\n') {
      changed += site_.eol;
    } else {
      changed += c;
    }
  }
  changed += site_.text.substr(site_.offset + n_replaced);
  return reparse(*tree_, std::make_shared<const std::string>(std::move(changed)), deadline_);
}

std::optional<int> SplicedErrors::with(std::string_view text, size_t n_replaced) {
  const Tree tree = tree_with(text, n_replaced);
  if (tree == nullptr) return std::nullopt;
  return count_errors(*tree, {0, tree->text()->size()}, std::numeric_limits<int>::max());
}

std::optional<ErrorPlaces> SplicedErrors::places_with(std::string_view text) {
  const Tree tree = tree_with(text, 0);
  if (tree == nullptr) return std::nullopt;
  const auto size = static_cast<int64_t>(tree->text()->size());
  const auto place = [&](size_t at) {
    return at <= site_.offset ? static_cast<int64_t>(at) : static_cast<int64_t>(at) - size - 1;
  };
  ErrorPlaces places;
  for (const Span& error : error_spans(*tree)) {
    places.emplace_back(place(error.start), place(error.end));
  }
  return places;
}

}  // namespace incipit::lsp
