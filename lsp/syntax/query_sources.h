// The text of queries/<name>.scm, compiled into the program (see CMakeLists.txt). Used by
// language.cpp.
#pragma once

#include <string_view>

namespace incipit::lsp {

std::string_view query_source(std::string_view name);  // empty: there is none

}  // namespace incipit::lsp
