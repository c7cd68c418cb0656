#include "engine/tokenizer/join_table.h"

namespace incipit::engine {

JoinTable::JoinTable(const std::vector<std::string>& tokens) {
  for (const std::string& token : tokens) {
    for (size_t at = 1; at < token.size(); ++at) joined_.set(index_of(token[at - 1], token[at]));
  }
}

}  // namespace incipit::engine
