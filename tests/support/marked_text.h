// Texts of tests with places marked in them: "$0" is the cursor.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace incipit::test {

struct MarkedText {
  std::string text;   // without the mark
  size_t cursor = 0;  // byte offset where "$0" stood
};

// Throws std::invalid_argument unless "$0" occurs exactly once.
MarkedText parse_marked(std::string_view text);

}  // namespace incipit::test
