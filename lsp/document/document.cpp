#include "lsp/document/document.h"

#include <algorithm>
#include <utility>

namespace incipit::lsp {
namespace {

// What an editor puts in for an opening bracket or quote; the cursor then stands between the two.
bool is_pair(std::string_view text) {
  return text == "()" || text == "[]" || text == "{}" || text == "\"\"" || text == "''" ||
         text == "``";
}

}  // namespace

Document::Document(std::string uri, std::string language_id, int64_t version, std::string text)
    : uri_(std::move(uri)),
      parsed_(Uri::parse(uri_)),
      language_id_(std::move(language_id)),
      version_(version),
      text_(std::move(text)),
      lines_(text_),
      edit_offset_(text_.size()) {}

void Document::set_version(int64_t version) {
  version_ = version;
}

void Document::replace(const Range& range, std::string_view text, PositionEncoding encoding,
                       uint64_t when) {
  const PositionMapper positions = mapper(encoding);
  const size_t one = positions.offset_of(range.start);
  const size_t other = positions.offset_of(range.end);
  const size_t start = std::min(one, other);
  const size_t n_removed = std::max(one, other) - start;
  text_.replace(start, n_removed, text);
  lines_.replaced(text_, start, n_removed, text.size());
  edit_offset_ = start + (is_pair(text) ? 1 : text.size());
  edits_.replaced(start, n_removed, text.size(), when);
  shared_text_.reset();
}

void Document::replace_all(std::string text, uint64_t when) {
  const size_t shorter = std::min(text.size(), text_.size());
  const auto differ =
      std::mismatch(text.rbegin(), text.rbegin() + std::ptrdiff_t(shorter), text_.rbegin());
  const auto n_same_after = static_cast<size_t>(differ.first - text.rbegin());
  edit_offset_ = text.size() - n_same_after;
  const auto before = std::ptrdiff_t(shorter - n_same_after);
  const auto first = std::mismatch(text.begin(), text.begin() + before, text_.begin()).first;
  const auto start = static_cast<size_t>(first - text.begin());
  const size_t n_changed = text.size() - n_same_after - start;
  if (text != text_) {
    edits_.replaced(start, text_.size() - n_same_after - start, n_changed, when);
  }
  text_ = std::move(text);
  lines_ = LineIndex(text_);
  shared_text_.reset();
}

DocumentSnapshot Document::snapshot(const std::string& path) const {
  if (!shared_text_) shared_text_ = std::make_shared<const std::string>(text_);
  return {uri_, path, language_id_, version_, shared_text_, edits_.newest_first()};
}

}  // namespace incipit::lsp
