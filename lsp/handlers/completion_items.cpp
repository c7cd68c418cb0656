#include "lsp/handlers/completion_items.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace incipit::lsp {
namespace {

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '_' || byte >= 0x80;
}

std::string first_line(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
  return std::string(text.substr(begin, end - begin));
}

}  // namespace

InlineCompletionList inline_list(const std::vector<CompletionItem>& items, const Document* document,
                                 PositionEncoding encoding) {
  InlineCompletionList list;
  if (!document) return list;
  for (const CompletionItem& item : items) {
    list.items.push_back({item.insert_text, document->mapper(encoding).range_of(item.replace_start,
                                                                                item.replace_end)});
  }
  return list;
}

CompletionList completion_list(const std::vector<CompletionItem>& items, const Document* document,
                               size_t cursor, PositionEncoding encoding) {
  CompletionList list;
  if (!document) return list;
  const std::string_view text = document->text();
  for (const CompletionItem& item : items) {
    size_t start = std::min(item.replace_start, cursor);
    while (start > 0 && is_word_byte(text[start - 1])) --start;
    const std::string whole =
        std::string(text.substr(start, item.replace_start - start)) + item.insert_text;
    ListedCompletion listed;
    listed.label = first_line(whole);
    listed.filterText = listed.label;
    listed.documentation = whole;
    listed.textEdit = {document->mapper(encoding).range_of(start, item.replace_end), whole};
    list.items.push_back(std::move(listed));
  }
  return list;
}

}  // namespace incipit::lsp
