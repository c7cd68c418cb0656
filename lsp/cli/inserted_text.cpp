#include "lsp/cli/inserted_text.h"

namespace incipit::lsp::cli {

std::optional<std::string> inserted_text(const CompletionItem& item, std::string_view text,
                                         size_t offset) {
  const std::string_view left = text.substr(item.replace_start, offset - item.replace_start);
  const std::string_view right = text.substr(offset, item.replace_end - offset);
  std::string_view rest = item.insert_text;
  if (!rest.starts_with(left)) return std::nullopt;
  rest.remove_prefix(left.size());
  if (!rest.ends_with(right)) return std::nullopt;
  rest.remove_suffix(right.size());
  return std::string(rest);
}

}  // namespace incipit::lsp::cli
