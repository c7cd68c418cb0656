#include "lsp/rpc/message_framer.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace incipit::lsp {
namespace {

constexpr std::string_view kLengthName = "content-length";
// Real headers are two short lines; what is longer is not a header.
constexpr size_t kMaxHeaderBytes = 16384;
constexpr size_t kMaxLengthLine = 128;
constexpr size_t kMaxShown = 40;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return lower(a) == b; });
}

size_t find_ignoring_case(std::string_view text, std::string_view lower_case, size_t from) {
  if (from >= text.size()) return std::string_view::npos;
  const auto found =
      std::search(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), lower_case.begin(),
                  lower_case.end(), [](char a, char b) { return lower(a) == b; });
  return found == text.end() ? std::string_view::npos : static_cast<size_t>(found - text.begin());
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::optional<uint64_t> parse_length(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Control characters and bytes that are no text would only garble a log.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMaxShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > kMaxShown ? out + "…" : out;
}

// "Name: value" with a token name (RFC 9110, 5.6.2), which is what other headers look like too.
bool is_header_line(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto name = trim(line.substr(0, colon));
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

struct Header {
  std::optional<uint64_t> length;
  std::string problem;  // of this header; empty: none
};

Header parse_header(std::string_view block) {
  Header header;
  bool seen = false;
  while (!block.empty()) {
    const size_t end = std::min(block.find('\n'), block.size());
    const auto line = trim(block.substr(0, end));
    block.remove_prefix(std::min(end + 1, block.size()));
    if (line.empty()) continue;
    if (!is_header_line(line)) {
      header.problem = fmt::format("framing: want a header line, found \"{}\"", shown(line));
      continue;
    }
    const size_t colon = line.find(':');
    if (!equals_ignoring_case(trim(line.substr(0, colon)), kLengthName)) continue;
    const auto value = trim(line.substr(colon + 1));
    const auto length = parse_length(value);
    if (!length) {
      header.problem = fmt::format("framing: Content-Length: want a number of bytes, found \"{}\"",
                                   shown(value));
    } else if (seen && header.length != length) {
      header.problem = "framing: want one Content-Length, found two that differ";
    }
    seen = true;
    // Of several that differ the last counts: earlier ones belong to a message that was cut short.
    if (length) header.length = length;
  }
  if (!seen && header.problem.empty()) header.problem = "framing: want Content-Length, found none";
  return header;
}

// Where the header block at the front of `text` ends (past its blank line).
size_t header_end(std::string_view text) {
  for (size_t newline = text.find('\n'); newline != std::string_view::npos;
       newline = text.find('\n', newline + 1)) {
    const auto rest = text.substr(newline + 1);
    if (rest.starts_with("\n")) return newline + 2;
    if (rest.starts_with("\r\n")) return newline + 3;
  }
  return std::string_view::npos;
}

enum class Match { kYes, kNo, kNeedMore };

// Does a `Content-Length: N` line start here?
Match length_line(std::string_view text) {
  // Whether a line is too long must not depend on how many bytes came at once.
  const size_t end = text.substr(0, kMaxLengthLine).find('\n');
  if (end == std::string_view::npos) {
    return text.size() < kMaxLengthLine ? Match::kNeedMore : Match::kNo;
  }
  const auto line = text.substr(0, end);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || trim(line.substr(0, colon)).size() != kLengthName.size()) {
    return Match::kNo;
  }
  return parse_length(trim(line.substr(colon + 1))) ? Match::kYes : Match::kNo;
}

// The start of a whole header block whose blank line ends at `end` of `body`: a raw CR LF CR LF
// cannot stand inside a JSON string, so such a block means that the body's length was a lie.
size_t embedded_header(std::string_view body, size_t end) {
  const size_t from = end > 512 ? end - 512 : 0;
  const auto window = body.substr(from, end - from);
  size_t last = std::string_view::npos;
  for (size_t at = find_ignoring_case(window, kLengthName, 0); at != std::string_view::npos;
       at = find_ignoring_case(window, kLengthName, at + 1)) {
    if (length_line(window.substr(at)) == Match::kYes &&
        header_end(window.substr(at)) == window.size() - at) {
      last = at;
      break;
    }
  }
  return last == std::string_view::npos ? last : from + last;
}

// Where the first line starts that can be a `Content-Length: N`, however much garbage stands on the
// same line before it; `maybe` also takes one that is not complete yet.
size_t find_length_line(std::string_view text, bool maybe) {
  size_t at = find_ignoring_case(text, kLengthName, 0);
  for (; at != std::string_view::npos; at = find_ignoring_case(text, kLengthName, at + 1)) {
    const Match match = length_line(text.substr(at));
    if (match == Match::kYes || (maybe && match == Match::kNeedMore)) return at;
  }
  return at;
}

}  // namespace

void MessageFramer::feed(std::string_view bytes) {
  if (start_ > 0 && start_ >= buffer_.size() / 2) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  buffer_.append(bytes);
}

void MessageFramer::drop(size_t n_bytes) {
  start_ += n_bytes;
  scanned_ = 0;
}

std::optional<Frame> MessageFramer::next() {
  if (state_ == State::kHeader) {
    if (auto error = next_header()) return error;
  }
  return state_ == State::kBody ? next_body() : std::nullopt;
}

std::optional<Frame> MessageFramer::lose(std::string why) {
  lost_ = true;
  return Frame{Frame::Kind::kError, std::move(why)};
}

std::optional<Frame> MessageFramer::next_header() {
  while (true) {
    // Blank lines between frames are harmless: some clients end a body with a newline.
    const size_t blank = std::min(pending().find_first_not_of(" \t\r\n"), pending().size());
    if (blank > 0) drop(blank);
    const size_t from = scanned_ > 3 ? scanned_ - 3 : 0;
    const size_t end = header_end(pending().substr(0, kMaxHeaderBytes).substr(from));
    if (end == std::string_view::npos) {
      if (!skip_overlong()) return std::nullopt;
      if (lost_) continue;
      return lose(fmt::format("framing: want a header of at most {} bytes", kMaxHeaderBytes));
    }
    const auto block = pending().substr(0, from + end);
    Header header = parse_header(block);
    if (!header.length) {
      // The garbage may be just the beginning of the block: a body without its header, then a
      // header. That body's missing header was reported already.
      const size_t hidden = find_length_line(block, false);
      drop(std::min(hidden, block.size()));
      if (hidden != std::string_view::npos && lost_) continue;
      return lose(std::move(header.problem));
    }
    drop(block.size());
    if (*header.length > max_body_) {
      return lose(fmt::format("framing: Content-Length: want at most {} bytes, found {}", max_body_,
                              *header.length));
    }
    body_bytes_ = static_cast<size_t>(*header.length);
    state_ = State::kBody;
    const bool was_lost = std::exchange(lost_, false);
    if (header.problem.empty() || was_lost) return std::nullopt;
    return Frame{Frame::Kind::kError, std::move(header.problem)};
  }
}

bool MessageFramer::skip_overlong() {
  if (pending().size() < kMaxHeaderBytes) {
    scanned_ = pending().size();
    return false;
  }
  // What starts here is no header. One may start further on, perhaps in the last, unfinished line.
  const auto window = pending().substr(1, kMaxHeaderBytes - 1);
  const size_t at = find_length_line(window, true);
  drop(1 + std::min(at, window.size() - (kLengthName.size() - 1)));
  return true;
}

std::optional<Frame> MessageFramer::next_body() {
  const auto available = pending().substr(0, std::min(body_bytes_, pending().size()));
  size_t blank = available.find("\r\n\r\n", scanned_ > 3 ? scanned_ - 3 : 0);
  for (; blank != std::string_view::npos; blank = available.find("\r\n\r\n", blank + 1)) {
    const size_t header = embedded_header(available, blank + 4);
    if (header == std::string_view::npos) continue;
    // The announced length reaches into the next message. What stands before it may still be a
    // whole message, only with a wrong length: let the parser decide.
    Frame frame{Frame::Kind::kMessage, std::string(available.substr(0, header))};
    drop(header);
    state_ = State::kHeader;
    return frame;
  }
  if (available.size() < body_bytes_) {
    scanned_ = available.size();
    return std::nullopt;
  }
  Frame frame{Frame::Kind::kMessage, std::string(available)};
  drop(body_bytes_);
  state_ = State::kHeader;
  return frame;
}

}  // namespace incipit::lsp
