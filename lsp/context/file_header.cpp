#include "lsp/context/file_header.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace incipit::lsp {
namespace {

using std::string_view;

// Imports stand at the beginning of a file; signatures are looked for this far before the window.
constexpr size_t kImportReach = size_t{64} << 10;
constexpr size_t kSignatureReach = size_t{64} << 10;
constexpr size_t kMaxSignatures = 12;

bool mentions(string_view text, string_view name) {
  if (name.empty()) return false;
  for (size_t at = 0; (at = text.find(name, at)) != string_view::npos; at += name.size()) {
    const size_t end = at + name.size();
    const bool starts = at == 0 || !is_identifier(text[at - 1]);
    const bool ends = end == text.size() || !is_identifier(text[end]);
    if (starts && ends) return true;
  }
  return false;
}

// "add" of "Shop::add" and of "M.add".
string_view last_part(string_view name) {
  const size_t at = name.find_last_of(":.");
  return at == string_view::npos ? name : name.substr(at + 1);
}

size_t line_start_at(string_view text, size_t offset) {
  return offset == 0 ? 0 : text.rfind('\n', offset - 1) + 1;
}

class HeaderText {
 public:
  explicit HeaderText(size_t max_bytes) : max_bytes_(max_bytes) {}

  bool add(const std::string& lines) {
    if (text_.size() + lines.size() > max_bytes_) return false;
    text_ += lines;
    return true;
  }
  std::string take() { return std::move(text_); }
  size_t size() const { return text_.size(); }

 private:
  size_t max_bytes_;
  std::string text_;
};

}  // namespace

std::string file_header(const SyntaxTree& tree, size_t window_start, string_view kept,
                        size_t max_bytes) {
  if (window_start == 0) return "";
  const string_view text = *tree.text();
  const Language& language = tree.language();
  const auto slice = [&](Span span) {
    return std::string(text.substr(span.start, span.end - span.start));
  };

  // The heads around the window come last but are reserved first: without them the indentation of
  // the window means nothing.
  std::string heads;
  for (const Definition& d : enclosing_definitions(tree, window_start)) {
    std::string head = slice({line_start_at(text, d.signature.start), d.signature.end});
    if (language.blocks == BlockStyle::kBraces || language.name == "bash") head += " {";
    if (heads.size() + head.size() + 1 <= max_bytes) heads += head + "\n";
  }

  HeaderText header(max_bytes - std::min(max_bytes, heads.size() + 2));
  for (const Span& span : imports_in(tree, {0, std::min(window_start, kImportReach)})) {
    if (span.end <= window_start && !header.add(slice(span) + "\n")) break;
  }
  if (!language.stub_end.empty()) {
    const size_t from = window_start - std::min(window_start, kSignatureReach);
    std::vector<Definition> used;
    for (Definition& d : definitions_in(tree, {from, window_start})) {
      const bool outside = d.span.end <= window_start && d.kind == DefinitionKind::kFunction;
      if (outside && mentions(kept, last_part(d.name))) used.push_back(std::move(d));
    }
    // The nearest ones, in file order.
    const size_t skip = used.size() - std::min(used.size(), kMaxSignatures);
    if (header.size() > 0 && skip < used.size()) header.add("\n");
    for (size_t i = skip; i < used.size(); ++i) {
      const size_t start = line_start_at(text, used[i].signature.start);
      header.add(slice({start, used[i].signature.end}) + std::string(language.stub_end) + "\n");
    }
  }
  std::string result = header.take();
  if (!result.empty()) result += "\n";
  return with_lf(result + heads);
}

}  // namespace incipit::lsp
