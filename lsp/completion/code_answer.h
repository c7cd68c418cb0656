// From the code that a model answered with to what takes the place of the lines it was asked about.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace incipit::lsp {

// The code alone: without a fence that the model opened once more, and without blank lines around.
std::string code_of(std::string_view answer);

// `answer` in the place of `block` (whole lines): with its indentation where the model left that
// out, with its line ends, and with an end of line exactly where it has one.
std::string fitted(std::string_view answer, std::string_view block);

}  // namespace incipit::lsp
