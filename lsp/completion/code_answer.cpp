#include "lsp/completion/code_answer.h"

#include <algorithm>
#include <optional>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

template <class OnLine>
void for_each_line(std::string_view text, OnLine on_line) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    on_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// The indentation that all lines share, blank ones left out.
std::string_view shared_indent(std::string_view text) {
  std::optional<std::string_view> shared;
  for_each_line(text, [&](std::string_view line) {
    if (is_blank(line)) return;
    const std::string_view indent = indent_of(line);
    if (!shared) shared = indent;
    const auto differs =
        std::mismatch(shared->begin(), shared->end(), indent.begin(), indent.end()).first;
    shared = shared->substr(0, static_cast<size_t>(differs - shared->begin()));
  });
  return shared.value_or(std::string_view());
}

}  // namespace

std::string code_of(std::string_view answer) {
  std::string text = with_lf(answer);
  std::string_view code = text;
  const size_t content = code.find_first_not_of(" \t\n");
  if (content == code.npos) return {};
  if (code.substr(content).starts_with("```")) {
    const size_t line_end = code.find('\n', content);
    if (line_end == code.npos) return {};
    code.remove_prefix(line_end + 1);
    code = code.substr(0, code.find("\n```"));
  }
  size_t start = 0;  // of the first line that is not blank
  for (size_t end = code.find('\n'); end != code.npos && is_blank(code.substr(start, end - start));
       end = code.find('\n', start)) {
    start = end + 1;
  }
  return std::string(trim_right(code.substr(start)));
}

std::string fitted(std::string_view answer, std::string_view block) {
  const std::string code = code_of(answer);
  if (code.empty()) return {};
  const std::string_view wanted = shared_indent(block);
  const std::string_view given = shared_indent(code);
  const std::string missing(wanted.starts_with(given) ? wanted.substr(given.size())
                                                      : std::string_view());
  const std::string_view eol = look_at(block, 0, nullptr).eol;
  std::string text;
  for_each_line(code, [&](std::string_view line) {
    if (!text.empty()) text += eol;
    if (!is_blank(line)) text.append(missing).append(line);
  });
  if (block.ends_with('\n')) text += eol;
  return text;
}

}  // namespace incipit::lsp
