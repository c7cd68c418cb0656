// Language: what we know about a programming language: its grammar, its scope query, how it writes
// blocks and comments. A fixed table, immutable, any thread. Documents in a language that is not
// here are completed from text alone.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

struct TSLanguage;
struct TSQuery;

namespace incipit::lsp {

enum class BlockStyle { kBraces, kIndent, kKeywords };  // C · Python · Lua, shell

struct Language {
  std::string_view name;     // "python": queries/<name>.scm, golden files, doctor
  std::string_view display;  // "Python": for people
  std::string_view fence;    // name in a Markdown code fence
  const TSLanguage* (*grammar)();
  BlockStyle blocks = BlockStyle::kBraces;
  std::string_view line_comment;  // "//", "#", "--"
  // How a signature without its body is written so that it still looks like a file of this
  // language; empty: signatures are left out.
  std::string_view stub_end;
  // Grammar nodes that merely hold a list of statements and start where the first of them starts.
  std::span<const std::string_view> statement_lists;

  // Compiled once from queries/<name>.scm; the same pointer for every caller.
  const TSQuery* query() const;
};

// By the client's languageId ("cpp", "c++", "shellscript", …; case is ignored); when that is not
// known, by the file's extension or name. Null: no grammar.
const Language* find_language(std::string_view language_id, std::string_view path);

std::span<const Language> all_languages();

// Whether files of the two use each other's definitions: C and C++, JavaScript and TypeScript, …
bool are_related(const Language& a, const Language& b);

// Whether grammar and query of this language load; the text says what is wrong, empty when all is
// well (`incipit doctor`).
std::string_view check_language(const Language& language);

}  // namespace incipit::lsp
