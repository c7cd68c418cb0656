#include "tests/support/marked_text.h"

#include <stdexcept>

namespace incipit::test {

MarkedText parse_marked(std::string_view text) {
  constexpr std::string_view kMark = "$0";
  const size_t at = text.find(kMark);
  if (at == std::string_view::npos || text.find(kMark, at + 1) != std::string_view::npos) {
    throw std::invalid_argument("want exactly one $0 in: " + std::string(text));
  }
  MarkedText result;
  result.text = std::string(text.substr(0, at)) + std::string(text.substr(at + kMark.size()));
  result.cursor = at;
  return result;
}

}  // namespace incipit::test
