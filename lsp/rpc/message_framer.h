// MessageFramer: cuts a byte stream into the bodies that `Content-Length` headers announce. Pure;
// used by the reader thread alone. Bad input never ends the stream: it yields a kError (which the
// server answers with ParseError), one for each header block that is none, and what can be a real
// header is found behind any garbage.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace incipit::lsp {

struct Frame {
  enum class Kind { kMessage, kError };
  Kind kind = Kind::kMessage;
  std::string text;  // the body, or what was wrong
};

class MessageFramer {
 public:
  // Documents of 100,000 lines are a few MB; a whole-file didChange may escape every byte.
  static constexpr size_t kDefaultMaxBody = size_t{128} << 20;

  explicit MessageFramer(size_t max_body_bytes = kDefaultMaxBody) : max_body_(max_body_bytes) {}

  void feed(std::string_view bytes);
  std::optional<Frame> next();  // nothing: more bytes are needed

 private:
  enum class State { kHeader, kBody };

  std::optional<Frame> next_header();
  std::optional<Frame> next_body();
  bool skip_overlong();  // false: a header may still be complete in what is pending
  std::optional<Frame> lose(std::string why);
  std::string_view pending() const { return std::string_view(buffer_).substr(start_); }
  void drop(size_t n_bytes);

  const size_t max_body_;
  std::string buffer_;
  size_t start_ = 0;  // bytes before it are consumed
  State state_ = State::kHeader;
  bool lost_ = false;  // something was wrong, and no good header has come since
  size_t body_bytes_ = 0;
  size_t scanned_ = 0;  // bytes of pending() already searched, so that no byte is searched twice
};

}  // namespace incipit::lsp
