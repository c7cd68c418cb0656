#include "lsp/handlers/type_through.h"

namespace incipit::lsp {

std::optional<CompletionItem> type_through(const CompletionItem& item, size_t cursor,
                                           std::string_view before, std::string_view now) {
  if (now.size() <= before.size()) return std::nullopt;
  const size_t n_typed = now.size() - before.size();
  if (now.substr(0, cursor) != before.substr(0, cursor) ||
      now.substr(cursor + n_typed) != before.substr(cursor)) {
    return std::nullopt;
  }
  // The suggestion starts with the text it replaces before the cursor, then what was typed.
  const auto typed = now.substr(cursor, n_typed);
  const auto there = now.substr(item.replace_start, cursor + n_typed - item.replace_start);
  const std::string_view wanted = item.insert_text;
  if (!wanted.starts_with(there)) return std::nullopt;
  // Nothing is left to do when what the suggestion leads to is there already.
  const size_t replace_end = item.replace_end + n_typed;
  if (now.substr(item.replace_start, replace_end - item.replace_start) == wanted) {
    return std::nullopt;
  }

  CompletionItem adapted = item;
  adapted.replace_end = replace_end;
  if (typed.find_first_of("\r\n") != std::string_view::npos) {  // a range stays on one line
    adapted.insert_text = wanted.substr(there.size());
    adapted.replace_start = cursor + n_typed;
  }
  return adapted;
}

}  // namespace incipit::lsp
