#include "engine/tokenizer/split_pattern.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <span>

#include "engine/tokenizer/unicode_classes.h"

namespace incipit::engine {
namespace {

using Ranges = std::span<const CodePointRange>;

enum class Sense { kMembers, kOthers };

// One escape that stands for a class of ours.
struct ClassEscape {
  Ranges ranges;
  Sense sense;
  size_t length;  // bytes of the pattern
};

std::optional<Ranges> ranges_of_property(std::string_view name) {
  if (name == "L" || name == "Letter") return Ranges(kLetterRanges);
  if (name == "N" || name == "Number") return Ranges(kNumberRanges);
  return std::nullopt;
}

// `text` begins with a backslash.
std::optional<ClassEscape> class_escape(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const char letter = text[1];
  if (letter == 's') return ClassEscape{kSpaceRanges, Sense::kMembers, 2};
  if (letter == 'S') return ClassEscape{kSpaceRanges, Sense::kOthers, 2};
  if (letter != 'p' && letter != 'P') return std::nullopt;
  Sense sense = letter == 'p' ? Sense::kMembers : Sense::kOthers;
  std::string_view name = text.substr(2, 1);
  size_t length = 3;
  if (name == "{") {
    const size_t close = text.find('}');
    if (close == std::string_view::npos) return std::nullopt;
    name = text.substr(3, close - 3);
    length = close + 1;
    if (name.starts_with('^')) {
      name.remove_prefix(1);
      sense = sense == Sense::kMembers ? Sense::kOthers : Sense::kMembers;
    }
  }
  const auto ranges = ranges_of_property(name);
  if (!ranges) return std::nullopt;
  return ClassEscape{*ranges, sense, length};
}

void append_range(std::string& out, char32_t first, char32_t last) {
  if (first > last) return;
  fmt::format_to(std::back_inserter(out), "\\x{{{:x}}}", static_cast<uint32_t>(first));
  if (last != first) {
    fmt::format_to(std::back_inserter(out), "-\\x{{{:x}}}", static_cast<uint32_t>(last));
  }
}

// PCRE2 refuses surrogates in a pattern, and valid UTF-8 has none.
void append_gap(std::string& out, char32_t first, char32_t last) {
  if (first < 0xd800 && last > 0xdfff) {
    append_range(out, first, 0xd7ff);
    append_range(out, 0xe000, last);
  } else {
    append_range(out, first, last);
  }
}

// What stands between the brackets of a class.
void append_members(std::string& out, const ClassEscape& escape) {
  if (escape.sense == Sense::kMembers) {
    for (const CodePointRange& range : escape.ranges) append_range(out, range.first, range.last);
    return;
  }
  char32_t next = 0;
  for (const CodePointRange& range : escape.ranges) {
    if (range.first > next) append_gap(out, next, range.first - 1);
    next = range.last + 1;
  }
  append_gap(out, next, 0x10ffff);
}

}  // namespace

std::string with_explicit_classes(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t at = 0; at < pattern.size();) {
    const char unit = pattern[at];
    if (unit == '\\') {
      const auto escape = class_escape(pattern.substr(at));
      if (!escape) {
        out += pattern.substr(at, 2);
        at += 2;
        continue;
      }
      if (!in_class) out += escape->sense == Sense::kMembers ? "[" : "[^";
      append_members(
          out, in_class ? *escape : ClassEscape{escape->ranges, Sense::kMembers, escape->length});
      if (!in_class) out += "]";
      at += escape->length;
      continue;
    }
    // A ']' that comes first in a class is a member of it; [:name:] is one member.
    size_t length = 1;
    if (unit == '[' && !in_class) {
      in_class = true;
      if (pattern.substr(at + length, 1) == "^") ++length;
      if (pattern.substr(at + length, 1) == "]") ++length;
    } else if (pattern.substr(at, 2) == "[:") {
      const size_t close = pattern.find(":]", at);
      if (close != std::string_view::npos) length = close + 2 - at;
    } else if (unit == ']') {
      in_class = false;
    }
    out += pattern.substr(at, length);
    at += length;
  }
  return out;
}

}  // namespace incipit::engine
