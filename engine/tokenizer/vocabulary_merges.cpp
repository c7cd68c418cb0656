#include "engine/tokenizer/vocabulary_merges.h"

#include <string_view>

#include "engine/tokenizer/utf8.h"

namespace incipit::engine {

std::vector<Merge> merges_of_vocabulary(const std::vector<std::string>& tokens,
                                        const Vocabulary& vocabulary, SymbolUnit unit,
                                        const std::function<uint32_t(TokenId)>& rank_of) {
  std::vector<Merge> merges;
  for (size_t idx = 0; idx < tokens.size(); ++idx) {
    const std::string_view token = tokens[idx];
    const auto id = static_cast<TokenId>(idx);
    if (token.size() < 2 || vocabulary.find(token) != id) continue;
    const auto step = [&](size_t at) {
      return unit == SymbolUnit::kByte ? 1 : utf8_step(token.substr(at)).length;
    };
    for (size_t cut = step(0); cut < token.size(); cut += step(cut)) {
      const auto left = vocabulary.find(token.substr(0, cut));
      const auto right = left ? vocabulary.find(token.substr(cut)) : std::nullopt;
      if (right) merges.push_back({*left, *right, id, rank_of(id)});
    }
  }
  return merges;
}

}  // namespace incipit::engine
