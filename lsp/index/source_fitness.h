// Whether a file is one that people wrote and read: of usual size, not generated, nothing that is
// kept from models. For the symbol index and for `incipit eval`. Pure; any thread.
#pragma once

#include <cstddef>
#include <string_view>

#include "lsp/syntax/parser.h"

namespace incipit::lsp {

constexpr size_t kMaxFileBytes = size_t{256} << 10;

// The reason to leave the file out, a few words for people and for the report; empty when it is
// fit. `path` as far as it is known.
std::string_view unfit_by_name(std::string_view path);
std::string_view unfit_by_size(size_t n_bytes);
std::string_view unfit_by_text(std::string_view text);
std::string_view unfit_by_tree(const Tree& tree);

}  // namespace incipit::lsp
