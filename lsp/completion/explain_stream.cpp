#include "lsp/completion/explain_stream.h"

#include <algorithm>

namespace incipit::lsp {
namespace {

// Shorter repetitions ("ha ha ha", "---") may be meant; longer ones are looked for up to here.
constexpr size_t kShortest = 12;
constexpr size_t kLongest = 400;

}  // namespace

size_t repeated_tail(std::string_view text) {
  for (size_t n = kShortest; n <= std::min(kLongest, text.size() / 3); ++n) {
    const std::string_view last = text.substr(text.size() - n);
    if (text.substr(text.size() - 2 * n, n) == last &&
        text.substr(text.size() - 3 * n, n) == last) {
      return n;
    }
  }
  return 0;
}

std::string ExplainStream::take(std::string piece) {
  // An answer does not begin with blanks.
  if (kind_ == Kind::kProse && text_.empty())
    piece.erase(0, std::min(piece.find_first_not_of(" \t\r\n"), piece.size()));
  text_ += piece;
  return piece;
}

std::string ExplainStream::push(engine::TokenId token) {
  if (done_) return "";
  std::string piece = take(decoder_.push(token));
  done_ = kind_ == Kind::kProse && repeated_tail(text_) > 0;
  return piece;
}

std::string ExplainStream::flush() {
  return done_ ? "" : take(decoder_.flush());
}

}  // namespace incipit::lsp
