// Where a fill-in-the-middle hole begins and ends in a source text: what a person who types would
// leave out. Offsets are bytes and never inside a UTF-8 character.
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace pocket {

// splitmix64 (Steele, Lea, Flood 2014)
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }
  bool chance(double p) { return unit() < p; }
  double between(double a, double b) { return a + (b - a) * unit(); }
  size_t below(size_t n) { return static_cast<size_t>(bits() % n); }  // n > 0
  size_t in(size_t a, size_t b) { return a + below(b - a + 1); }      // both included

 private:
  uint64_t state_;
};

struct Span {
  size_t begin, end;
};

inline bool is_word(unsigned char c) {
  return isalnum(c) || c == '_' || c >= 0x80;
}
inline bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
inline bool starts_char(unsigned char c) {
  return (c & 0xC0) != 0x80;
}
inline bool is_closer(char c) {
  return std::strchr(")]}>;,\"'`: \t", c) != nullptr && c != 0;
}

class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    starts_.push_back(0);
    for (size_t i = text.find('\n'); i != text.npos; i = text.find('\n', i + 1))
      starts_.push_back(i + 1);
  }
  size_t count() const { return starts_.size(); }
  size_t start(size_t i) const { return starts_[i]; }
  size_t end(size_t i) const {
    return i + 1 < starts_.size() ? starts_[i + 1] - 1 : text_.size();
  }  // without newline
  std::string_view line(size_t i) const { return text_.substr(start(i), end(i) - start(i)); }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  std::vector<size_t> starts_;
};

inline size_t indent_of(std::string_view line) {
  size_t i = 0;
  while (i < line.size() && is_blank(line[i])) ++i;
  return i;
}
inline size_t trimmed_size(std::string_view line) {
  size_t n = line.size();
  while (n && (is_blank(line[n - 1]) || line[n - 1] == '\n')) --n;
  return n;
}

// A cursor after the first visible character: half of the time anywhere, else at the edge of a
// token.
inline std::optional<size_t> cursor_in(Random& rng, std::string_view line) {
  const size_t s = indent_of(line), n = trimmed_size(line);
  if (n < s + 2) return std::nullopt;
  const bool anywhere = rng.chance(.5);
  for (int tries = 0; tries < 12; ++tries) {
    const size_t i = rng.in(s, n - 1);
    if (!starts_char(line[i])) continue;
    if (anywhere || i == 0) return i;
    const unsigned char a = line[i - 1], b = line[i];
    if (!is_blank(b) && (is_word(a) != is_word(b) || (!is_word(a) && !is_word(b)))) return i;
  }
  return std::nullopt;
}

inline std::optional<Span> rest_of_line(Random& rng, const Lines& lines) {
  for (int tries = 0; tries < 8; ++tries) {
    const size_t i = rng.below(lines.count());
    const std::string_view line = lines.line(i);
    if (line.size() > 240) continue;
    if (const auto c = cursor_in(rng, line)) return Span{lines.start(i) + *c, lines.end(i)};
  }
  return std::nullopt;
}

// The inside, or the rest of the inside, of a pair of brackets or quotes on one line.
inline std::optional<Span> in_brackets(Random& rng, const Lines& lines) {
  for (int tries = 0; tries < 10; ++tries) {
    const size_t i = rng.below(lines.count());
    const std::string_view line = lines.line(i);
    if (line.size() > 240) continue;
    std::vector<Span> found;
    for (size_t a = 0; a < line.size(); ++a) {
      const char* pair = std::strchr("()[]{}\"\"", line[a]);
      if (!pair || line[a] == ')' || line[a] == ']' || line[a] == '}') continue;
      const size_t b = line.find(pair[1], a + 1);
      if (b != line.npos && b > a + 2) found.push_back({a + 1, b});
    }
    if (found.empty()) continue;
    Span s = found[rng.below(found.size())];
    if (rng.chance(.5)) s.begin = rng.in(s.begin, s.end - 1);
    if (starts_char(line[s.begin])) return Span{lines.start(i) + s.begin, lines.start(i) + s.end};
  }
  return std::nullopt;
}

// From a cursor to the end of a line, none to seven lines later; the text is cut after its last
// visible character.
inline std::optional<Span> several_lines(Random& rng, const Lines& lines) {
  if (lines.count() < 3) return std::nullopt;
  for (int tries = 0; tries < 8; ++tries) {
    const size_t i = rng.below(lines.count() - 1);
    const double r = rng.unit();
    size_t c = lines.end(i);  // at the end of a line: the middle begins with the newline
    if (r < .45) {
      c = lines.start(i) + indent_of(lines.line(i));
    } else if (r > .90) {
      const auto k = cursor_in(rng, lines.line(i));
      if (!k) continue;
      c = lines.start(i) + *k;
    }
    size_t n = r < .45 ? 0 : 1;
    while (n < 8 && rng.chance(.58)) ++n;
    const size_t e = lines.end(std::min(i + n, lines.count() - 1));
    const size_t end = c + trimmed_size(lines.text().substr(c, e - c));
    if (end >= c + 2 && end - c <= 900) return Span{c, end};
  }
  return std::nullopt;
}

inline bool opens_block(std::string_view line) {
  const std::string_view s = line.substr(0, trimmed_size(line));
  for (std::string_view tail :
       {"{", ":", "(", "[", "=>", "->", "=", "then", "do", "else", "begin"}) {
    if (s.ends_with(tail)) return true;
  }
  return s.find("function") != s.npos && s.ends_with(")");
}

// The body that an opening line starts, found by indentation, whole or its first lines.
inline std::optional<Span> block(Random& rng, const Lines& lines) {
  if (lines.count() < 4) return std::nullopt;
  for (int tries = 0; tries < 14; ++tries) {
    const size_t i = rng.below(lines.count() - 2);
    const std::string_view line = lines.line(i);
    if (!trimmed_size(line) || !opens_block(line)) continue;
    const size_t indent = indent_of(line);
    size_t last = 0;
    for (size_t j = i + 1; j < lines.count() && j <= i + 24; ++j) {
      const std::string_view x = lines.line(j);
      if (!trimmed_size(x)) continue;
      if (indent_of(x) <= indent) break;
      last = j;
    }
    if (!last) continue;
    const size_t first = lines.start(i + 1);
    const size_t begin = rng.chance(.5) ? lines.end(i) : first + indent_of(lines.line(i + 1));
    const size_t end = begin + trimmed_size(lines.text().substr(begin, lines.end(last) - begin));
    if (end >= begin + 4 && end - begin <= 1200) return Span{begin, end};
  }
  return std::nullopt;
}

inline Span anything(Random& rng, std::string_view text) {
  const double wanted = std::exp2(rng.between(0, 8.8));
  const size_t n = std::max<size_t>(1, std::min(static_cast<size_t>(wanted), text.size() / 3));
  Span s{rng.in(0, text.size() - n), 0};
  s.end = s.begin + n;
  while (s.begin > 0 && !starts_char(text[s.begin])) --s.begin;
  while (s.end < text.size() && !starts_char(text[s.end])) ++s.end;
  return s;
}

// What the editor's side does before it asks (docs/decisions/001): closers between the hole and the
// end of its line are the model's to write, and the last blank before the cursor is left to the
// model. Both most of the time only.
inline Span as_asked(Random& rng, std::string_view text, Span s) {
  if (rng.chance(.85)) {
    size_t e = s.end;
    while (e < text.size() && text[e] != '\n' && is_closer(text[e])) ++e;
    if (e == text.size() || text[e] == '\n') s.end = e;
  }
  if (s.begin >= 1 && text[s.begin - 1] == ' ' && rng.chance(.7)) --s.begin;
  return s;
}

inline Span pick_span(Random& rng, const Lines& lines) {
  for (int tries = 0; tries < 4; ++tries) {
    const double r = rng.unit();
    std::optional<Span> s;
    if (r < .50) {
      s = rest_of_line(rng, lines);
    } else if (r < .58) {
      s = in_brackets(rng, lines);
    } else if (r < .78) {
      s = several_lines(rng, lines);
    } else if (r < .96) {
      s = block(rng, lines);
    } else {
      break;
    }
    if (s && s->end > s->begin) return as_asked(rng, lines.text(), *s);
  }
  return as_asked(rng, lines.text(), anything(rng, lines.text()));
}

}  // namespace pocket
