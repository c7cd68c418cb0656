// Where a model goes round in circles, line by line (within a line: runaway_line.h). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace incipit::lsp {

// How much of `generated`, "\n" line ends, to keep where its last line repeats what stands before
// it: the same lines again, or the same but for their numbers. `before` is the cursor's line up to
// the cursor, `lines_before` the document's lines above it: trimmed, none blank, last first.
std::optional<size_t> end_before_repetition(std::string_view generated, std::string_view before,
                                            std::span<const std::string> lines_before);

}  // namespace incipit::lsp
