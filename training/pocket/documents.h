// Turns one source file into one training document: token ids, with kTarget set on those whose
// prediction counts more.
//
// Path, text after the cursor, text before it and the middle are each encoded on their own, exactly
// as the editor's side does it; windows are whole lines.
#pragma once
#include <string>
#include <vector>

#include "bpe.h"
#include "cross_file.h"

namespace pocket {

enum Special : uint16_t {
  kBos = 16373,
  kEos,
  kStartHeader,
  kEndHeader,
  kEot,
  kPrefix,
  kSuffix,
  kMiddle,
  kPad,
  kRepo,
  kFileSep
};
constexpr uint16_t kTarget = 0x8000;  // the middle and its end, and the answers of conversations

enum class Kind : int { kFim = 0, kFimPrefixFirst = 1, kCrossFile = 2, kPlain = 3 };

using Tokens = std::vector<uint16_t>;

class DocumentMaker {
 public:
  DocumentMaker(Encoder& encoder, Random& rng) : enc_(encoder), rng_(rng) {}

  // At most `room` tokens; empty if the file does not give such a document.
  Tokens make(const Language& lang, size_t file, Kind kind, size_t room) {
    if (kind == Kind::kPlain) return plain(lang, file, room);
    if (kind == Kind::kCrossFile) return cross_file(lang, file, room);
    const Lines lines(lang.text(file));
    const Tokens head = header(lang.path(file), false);
    return fim(lines, pick_span(rng_, lines), head, {}, room, kind == Kind::kFimPrefixFirst);
  }

 private:
  static constexpr double kBytesPerToken = 3.5;  // sizes windows before they are encoded
  static constexpr size_t kMaxSuffix = 512;      // the editor's side shows no more

  static void append(Tokens& out, const Tokens& more) {
    out.insert(out.end(), more.begin(), more.end());
  }

  // <|file_sep|>path, mostly as a workspace shows it, sometimes only its end, sometimes nothing.
  Tokens header(std::string_view path, bool always) {
    const double r = rng_.unit();
    if (!always && r < .12) return {};
    size_t parts = r < .30 ? 1 : r < .50 ? rng_.in(2, 3) : 100;
    if (always) parts = 100;
    size_t at = path.size();
    while (parts && at != path.npos && at > 0) {
      at = path.rfind('/', at - 1);
      if (--parts == 0 && at != path.npos) path = path.substr(at + 1);
    }
    Tokens out{kFileSep};
    enc_.encode(std::string(path) + "\n", out);
    return out;
  }

  // The end of text in at most `room` tokens, from the beginning of a line.
  Tokens last_lines(std::string_view text, size_t room) {
    const size_t guess = static_cast<size_t>(static_cast<double>(room) * kBytesPerToken * 1.25);
    if (text.size() > guess) text = after_newline(text, text.size() - guess);
    for (int tries = 0; tries < 4; ++tries) {
      Tokens ids = enc_.encode(text);
      if (ids.size() <= room) return ids;
      size_t skip = ids.size() - room, bytes = 0;
      for (size_t i = 0; i < skip; ++i) bytes += enc_.tables().bytes[ids[i]];
      text = after_newline(text, bytes);
    }
    return {};
  }
  static std::string_view after_newline(std::string_view text, size_t from) {
    const size_t nl = text.find('\n', from == 0 ? 0 : from - 1);
    return nl == text.npos ? std::string_view{} : text.substr(nl + 1);
  }

  // The beginning of text in at most `room` tokens, up to the end of a line.
  Tokens first_lines(std::string_view text, size_t room) {
    const size_t guess = static_cast<size_t>(static_cast<double>(room) * kBytesPerToken * 1.25);
    if (text.size() > guess) text = up_to_newline(text, guess);
    for (int tries = 0; tries < 4 && !text.empty(); ++tries) {
      Tokens ids = enc_.encode(text);
      if (ids.size() <= room) return ids;
      size_t bytes = 0;
      for (size_t i = 0; i < room; ++i) bytes += enc_.tables().bytes[ids[i]];
      text = up_to_newline(text, bytes);
    }
    return {};
  }
  static std::string_view up_to_newline(std::string_view text, size_t size) {
    if (size == 0) return {};
    const size_t nl = text.rfind('\n', size - 1);
    return nl == text.npos ? std::string_view{} : text.substr(0, nl + 1);
  }

  size_t suffix_room(size_t room, size_t before) {
    const double r = rng_.unit();
    if (r < .08) return 0;
    size_t s = r < .14 ? std::min(room / 2, rng_.in(8, 64))
                       : static_cast<size_t>(static_cast<double>(room) * rng_.between(.14, .40));
    const size_t shown = static_cast<size_t>(static_cast<double>(before) / kBytesPerToken) + 8;
    if (shown < room - s && r >= .14) s = room - shown;  // a short prefix leaves room
    return std::min(s, rng_.chance(.9) ? kMaxSuffix : room);
  }

  // The editor's side takes off the token that the cursor may stand inside of and has it generated
  // anew (docs/decisions/001-prompt-layout.md): most of the time the middle begins there.
  Span healed(const Lines& lines, Span span) {
    if (span.begin == 0 || !rng_.chance(.65)) return span;
    constexpr size_t kContext = 64;  // bytes; no piece of a line depends on more
    size_t from = span.begin - std::min(span.begin, kContext);
    while (from < span.begin && !starts_char(lines.text()[from])) ++from;
    const std::string_view before = lines.text().substr(from, span.begin - from);
    const Tokens ids = enc_.encode(before);
    if (ids.empty()) return span;
    size_t n = std::min<size_t>(before.size(), enc_.tables().bytes[ids.back()]);
    while (n < before.size() && !starts_char(before[before.size() - n])) ++n;
    const std::string_view last = before.substr(before.size() - n);
    for (const char c : last)
      if (!is_blank(c) && c != '\n' && c != '\r') return {span.begin - n, span.end};
    return span;
  }

  // `opening`: what stands between <|begin_of_text|> and the header of the file itself.
  Tokens fim(const Lines& lines, Span span, const Tokens& head, const Tokens& opening, size_t room,
             bool prefix_first) {
    const std::string_view text = lines.text();
    span = healed(lines, span);
    const Tokens middle = enc_.encode(text.substr(span.begin, span.end - span.begin));
    const size_t fixed = opening.size() + head.size() + middle.size() + 5;
    if (middle.empty() || fixed + 24 > room || middle.size() > room / 2) return {};
    const size_t left = room - fixed;
    const Tokens suffix = first_lines(text.substr(span.end), suffix_room(left, span.begin));
    const Tokens prefix = last_lines(text.substr(0, span.begin), left - suffix.size());
    Tokens out{kBos};
    append(out, opening);
    append(out, head);
    const auto put = [&out](Special mark, const Tokens& text) {
      out.push_back(mark);
      append(out, text);
    };
    if (prefix_first) put(kPrefix, prefix);
    put(kSuffix, suffix);
    if (!prefix_first) put(kPrefix, prefix);
    out.push_back(kMiddle);
    for (uint16_t id : middle) out.push_back(id | kTarget);
    out.push_back(kEos | kTarget);
    return out;
  }

  Tokens cross_file(const Language& lang, size_t file, size_t room) {
    const Lines lines(lang.text(file));
    const Span span = pick_span(rng_, lines);
    const size_t from = span.begin - std::min<size_t>(span.begin, 900);
    Names names;
    names.add(lines.text().substr(from, span.end - from + 300));
    std::vector<size_t> others = related_files(rng_, lang, file, names, rng_.in(1, 4));
    if (others.empty()) return {};
    const size_t shown = static_cast<size_t>(static_cast<double>(room) * rng_.between(.25, .60));
    Tokens opening;
    if (rng_.chance(.9)) {
      opening.push_back(kRepo);
      enc_.encode(std::string(lang.repository(file)) + "\n", opening);
    }
    if (rng_.chance(.5)) std::reverse(others.begin(), others.end());
    for (size_t i = 0; i < others.size(); ++i) {
      const size_t share = (shown - std::min(shown, opening.size())) / (others.size() - i);
      const Tokens name = header(lang.path(others[i]), true);
      if (share < name.size() + 24) continue;
      const size_t budget = share - name.size();
      const auto bytes = static_cast<size_t>(static_cast<double>(budget) * 3.0);
      const Tokens body = first_lines(excerpt(rng_, lang.text(others[i]), names, bytes), budget);
      if (body.empty()) continue;
      append(opening, name);
      append(opening, body);
    }
    return fim(lines, span, header(lang.path(file), true), opening, room, false);
  }

  Tokens plain(const Language& lang, size_t file, size_t room) {
    std::string_view text = lang.text(file);
    Tokens out{kBos};
    append(out, header(lang.path(file), false));
    if (out.size() + 8 > room) return {};
    const size_t left = room - out.size() - 1;
    const auto window = static_cast<size_t>(static_cast<double>(left) * 2.5);
    if (text.size() > 4 * left && rng_.chance(.6))
      text = after_newline(text, rng_.in(1, text.size() - window));
    const bool cut = text.size() > left * 6;
    if (cut) text = up_to_newline(text, left * 6);
    Tokens ids = enc_.encode(text);
    const bool whole = !cut && ids.size() <= left;
    ids.resize(std::min(ids.size(), left));
    append(out, ids);
    if (whole) out.push_back(kEos);
    return out;
  }

  Encoder& enc_;
  Random& rng_;
};

}  // namespace pocket
