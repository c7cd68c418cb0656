// The definitions in other files of the names that are used near a cursor, the most useful first.
// Pure but for the index, which any thread may read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/index/symbol_index.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

struct RelatedDefinition {
  IndexedDefinition definition;
  double score = 0;  // only to compare within one answer
};

struct RelatedQuery {
  std::string_view text;
  size_t offset = 0;
  std::string path;  // of this file, as the index would name it: its own definitions do not count
  const Language* language = nullptr;
  const SyntaxTree* tree = nullptr;  // null: imports and own definitions are unknown
};

// At most `most`. Names near the cursor count more, and definitions in the same folder or in a file
// that the imports name; a name that is defined in many places counts less, or not at all.
std::vector<RelatedDefinition> related_definitions(const SymbolIndex& index,
                                                   const RelatedQuery& query, size_t most);

}  // namespace incipit::lsp
