#include "lsp/completion/doc_comment.h"

#include <algorithm>
#include <vector>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

constexpr size_t kColumns = 80;
constexpr size_t kFewestColumns = 30;  // of prose, however deep the indentation is

// How a comment that documents what follows is written: around the whole, or before each line.
struct CommentForm {
  std::string_view language;
  std::string_view line;  // "///"; empty: the block form /** … */
};
constexpr CommentForm kCommentForms[] = {
    {"bash", "#"},      {"c", "///"},  {"cpp", "///"},  {"csharp", "///"}, {"cuda", "///"},
    {"go", "//"},       {"java", ""},  {"kotlin", ""},  {"lua", "---"},    {"php", ""},
    {"javascript", ""}, {"ruby", "#"}, {"rust", "///"}, {"tsx", ""},       {"typescript", ""},
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::vector<std::string> wrapped(std::string_view prose, size_t columns) {
  std::vector<std::string> lines;
  std::string line;
  size_t at = 0;
  while (at < prose.size()) {
    const size_t word_start = prose.find_first_not_of(" \t\r\n", at);
    if (word_start == prose.npos) break;
    const size_t word_end = std::min(prose.find_first_of(" \t\r\n", word_start), prose.size());
    const std::string_view word = prose.substr(word_start, word_end - word_start);
    if (!line.empty() && line.size() + 1 + word.size() > columns) {
      lines.push_back(std::move(line));
      line.clear();
    }
    line.append(line.empty() ? "" : " ").append(word);
    at = word_end;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

size_t line_start_of(std::string_view text, size_t at) {
  const size_t end = at == 0 ? text.npos : text.rfind('\n', at - 1);
  return end == text.npos ? 0 : end + 1;
}

size_t columns_beside(std::string_view indent, size_t marks) {
  const auto used = static_cast<size_t>(indent_columns(indent)) + marks;
  return std::max(kFewestColumns, kColumns - std::min(kColumns, used));
}

Error documented(const Definition& definition) {
  return Error{ErrorCode::kInvalidArgument, definition.name + " is documented already"};
}

Result<TextChange> docstring(std::string_view text, const Definition& definition,
                             std::string prose) {
  const std::string eol(look_at(text, definition.span.start, nullptr).eol);
  const size_t signature_end = definition.signature.end;
  const size_t line_end = text.find('\n', signature_end);
  const std::string_view rest =
      trim(text.substr(signature_end, std::min(line_end, text.size()) - signature_end));
  if (line_end == text.npos || (!rest.empty() && !rest.starts_with('#'))) {
    return Error{ErrorCode::kInvalidArgument,
                 "the body of " + definition.name +
                     " stands on the line of its head; there is no place for a docstring"};
  }
  const size_t body = text.find_first_not_of(" \t\r\n", line_end);
  const bool has_body = body != text.npos && body < definition.span.end;
  const std::string_view first = has_body ? text.substr(body) : std::string_view();
  const size_t quote = first.find_first_not_of("rRbBuU");
  if (quote != first.npos && quote < 3 && (first[quote] == '"' || first[quote] == '\'')) {
    return documented(definition);
  }
  const size_t head = text.find_first_not_of(" \t", line_start_of(text, definition.span.start));
  const size_t head_start = line_start_of(text, definition.span.start);
  std::string indent(has_body ? indent_of(text.substr(line_start_of(text, body)))
                              : text.substr(head_start, head - head_start));
  if (!has_body) indent += "    ";
  replace_all(prose, "\\", "\\\\");
  replace_all(prose, "\"\"\"", "'''");
  std::vector<std::string> lines = wrapped(prose, columns_beside(indent, 6));
  if (lines.back().ends_with('"')) lines.back() += ' ';
  std::string comment = indent + "\"\"\"" + lines.front();
  for (size_t i = 1; i < lines.size(); ++i) comment.append(eol).append(indent).append(lines[i]);
  comment += lines.size() > 1 ? eol + indent + "\"\"\"" : std::string("\"\"\"");
  return TextChange{line_end + 1, line_end + 1, comment + eol};
}

// Comments that are for a tool and stay right above what they speak of.
bool is_directive(std::string_view line) {
  constexpr std::string_view kBegin[] = {"@ts-",   "biome-ignore", "clang-format", "eslint-",
                                         "go:",    "istanbul",     "noinspection", "NOLINT",
                                         "nolint", "prettier-",    "rubocop:",     "shellcheck"};
  if (!line.starts_with("//") && !line.starts_with('#')) return false;
  const std::string_view text = trim(line.substr(line.find_first_not_of("/#")));
  return std::any_of(std::begin(kBegin), std::end(kBegin),
                     [&](std::string_view begin) { return text.starts_with(begin); });
}

// Comments that speak of the whole file: "#!/bin/sh", "# frozen_string_literal: true".
bool speaks_of_file(std::string_view line) {
  constexpr std::string_view kBegin[] = {
      "-*-", "coding:", "encoding:", "frozen_string_literal:", "typed:", "vim:"};
  if (line.starts_with("#!")) return true;
  if (!line.starts_with('#')) return false;
  const std::string_view text = trim(line.substr(1));
  return std::any_of(std::begin(kBegin), std::end(kBegin),
                     [&](std::string_view begin) { return text.starts_with(begin); });
}

std::string_view line_above(std::string_view text, size_t start) {
  if (start == 0) return {};
  const size_t above = line_start_of(text, start - 1);
  return trim(text.substr(above, start - above));
}

std::string block_comment(std::string prose, std::string_view indent, std::string_view eol) {
  replace_all(prose, "*/", "* /");
  replace_all(prose, "/*", "/ *");  // Kotlin's nest
  std::string comment = std::string(indent).append("/**").append(eol);
  for (const std::string& line : wrapped(prose, columns_beside(indent, 3)))
    comment.append(indent).append(" * ").append(line).append(eol);
  return comment.append(indent).append(" */").append(eol);
}

std::string line_comment(std::string_view mark, std::string_view prose, std::string_view indent,
                         std::string_view eol) {
  std::string comment;
  for (std::string line : wrapped(prose, columns_beside(indent, mark.size() + 1))) {
    while (line.ends_with('\\')) line.pop_back();  // would join the next line to the comment
    comment.append(indent).append(mark).append(" ").append(line).append(eol);
  }
  return comment;
}

Result<TextChange> comment_in_front(std::string_view text, const CommentForm& form,
                                    const Definition& definition, std::string prose) {
  const std::string eol(look_at(text, definition.span.start, nullptr).eol);
  size_t start = line_start_of(text, definition.span.start);
  const std::string indent(indent_of(text.substr(start)));
  if (text.substr(start, definition.span.start - start).find("<?") != text.npos) {
    return Error{
        ErrorCode::kInvalidArgument,
        definition.name + " stands on the line of \"<?\"; there is no place in front of it"};
  }
  while (is_directive(line_above(text, start))) start = line_start_of(text, start - 1);
  const std::string_view above = line_above(text, start);
  const bool is_comment = above.ends_with("*/") || above.starts_with("//") ||
                          (!form.line.empty() && above.starts_with(form.line));
  if (is_comment && !speaks_of_file(above)) return documented(definition);
  return TextChange{start, start,
                    form.line.empty() ? block_comment(std::move(prose), indent, eol)
                                      : line_comment(form.line, prose, indent, eol)};
}

}  // namespace

Result<TextChange> doc_comment(std::string_view text, const Language& language,
                               const Definition& definition, std::string_view prose) {
  if (is_blank(prose)) {
    return Error{ErrorCode::kInvalidArgument,
                 "the model has nothing to say about " + definition.name};
  }
  if (language.name == "python") return docstring(text, definition, std::string(trim(prose)));
  const auto* form = std::find_if(
      std::begin(kCommentForms), std::end(kCommentForms),
      [&](const CommentForm& candidate) { return candidate.language == language.name; });
  if (form == std::end(kCommentForms)) {
    return Error{ErrorCode::kUnsupported, "for " + std::string(language.display) +
                                              " no form of documentation is known here"};
  }
  return comment_in_front(text, *form, definition, std::string(trim(prose)));
}

}  // namespace incipit::lsp
