#include "lsp/index/file_symbols.h"

#include <algorithm>

namespace incipit::lsp {
namespace {

using std::string_view;

constexpr size_t kMaxNameBytes = 128;

// "add" of "Shop::add", "M.add", "*add" and "~Shop".
string_view bare_name(string_view name) {
  const size_t at = name.find_last_of(":.*&~ ");
  return at == string_view::npos ? name : name.substr(at + 1);
}

// Without the indentation that the place in the file gives to all lines but the first.
std::string unindented(string_view text, size_t columns) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    string_view line = text.substr(at, end - at);
    for (size_t i = 0; at > 0 && i < columns && !line.empty(); ++i) {
      if (line.front() != ' ' && line.front() != '\t') break;
      line.remove_prefix(1);
    }
    result += line;
    if (end < text.size()) result += '\n';
    at = end + 1;
  }
  return result;
}

void cut(std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return;
  while (max_bytes > 0 && (static_cast<unsigned char>(text[max_bytes]) & 0xC0) == 0x80) --max_bytes;
  text.resize(max_bytes);
}

}  // namespace

FileSymbols::FileSymbols(const SyntaxTree& tree) {
  const string_view text = *tree.text();
  uint32_t line = 0;
  size_t counted = 0;
  for (const Definition& d : declarations_in(tree, {0, text.size()})) {
    if (records_.size() == kMaxSymbols) break;
    const string_view name = bare_name(d.name);
    if (name.empty() || name.size() > kMaxNameBytes) continue;
    line += static_cast<uint32_t>(std::count(text.begin() + static_cast<ptrdiff_t>(counted),
                                             text.begin() + static_cast<ptrdiff_t>(d.span.start),
                                             '\n'));
    counted = d.span.start;
    const bool whole =
        d.kind == DefinitionKind::kType && d.span.end - d.span.start <= kMaxWholeTypeBytes;
    const Span shown = whole ? d.span : d.signature;
    const size_t line_start = d.span.start == 0 ? 0 : text.rfind('\n', d.span.start - 1) + 1;
    std::string signature =
        unindented(text.substr(shown.start, shown.end - shown.start), d.span.start - line_start);
    cut(signature, whole ? kMaxWholeTypeBytes : kMaxSignatureBytes);
    records_.push_back({static_cast<uint32_t>(text_.size()), line,
                        static_cast<uint16_t>(name.size()), static_cast<uint16_t>(signature.size()),
                        d.kind});
    text_ += name;
    text_ += signature;
  }
  text_.shrink_to_fit();
  records_.shrink_to_fit();
}

string_view FileSymbols::name(size_t i) const {
  return string_view(text_).substr(records_[i].name_start, records_[i].name_bytes);
}

string_view FileSymbols::signature(size_t i) const {
  const Record& record = records_[i];
  return string_view(text_).substr(record.name_start + record.name_bytes, record.signature_bytes);
}

}  // namespace incipit::lsp
