// CursorSite: plain facts about the text around a cursor, line by line. Pure; views into the text
// that was given, which must outlive it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/syntax/language.h"

namespace incipit::lsp {

// What stands between the cursor and the end of its line.
enum class LineTail {
  kNothing,  // nothing but blanks
  kClosers,  // only what an editor closes by itself, and a ';' or ',' after it
  kCode,     // something that a suggestion must lead up to
};

struct CursorSite {
  std::string_view text;
  size_t offset = 0;
  size_t line_start = 0;
  size_t line_end = 0;      // without the end of line
  std::string_view before;  // of the cursor's line
  std::string_view after;   // of the cursor's line
  LineTail tail = LineTail::kNothing;
  std::string_view next_line;      // the next line that is not blank, without its end; may be empty
  std::string_view previous_line;  // the last line before the cursor's that is not blank
  std::string_view eol = "\n";     // what the document uses, by its first line
  char open_quote = 0;             // the quote of a string that `before` began and did not close

  bool blank_before() const;  // the cursor stands in the indentation
};

// `offset` beyond the end or inside a UTF-8 sequence is moved back to the nearest place.
CursorSite look_at(std::string_view text, size_t offset, const Language* language);

std::string_view trim(std::string_view text);  // blanks at both ends
std::string_view trim_right(std::string_view text);
std::string_view indent_of(std::string_view line);  // leading spaces and tabs
bool is_blank(std::string_view text);
bool is_identifier(char c);  // letters, digits, '_', '$' and every byte of a non-ASCII character
// ) ] } quotes ; , and blanks, and at least one that is not blank.
bool is_closers_only(std::string_view text);

// Whether a line ends with what begins a block or an argument list: "{", "(", Python's ":", "then".
bool opens_block(std::string_view line, const Language* language);

// Columns of leading whitespace, a tab reaching to the next multiple of `tab`.
int indent_columns(std::string_view line, int tab = 4);

// "\r\n" and lone "\r" become "\n".
std::string with_lf(std::string_view text);

// How the lines of a document are indented.
struct IndentStyle {
  bool tabs = false;
  int unit = 4;  // columns of one level; 8 with tabs only where the file says nothing else
};
// From the lines of `text` (at most 64 KiB around `offset` are read).
IndentStyle indent_style(std::string_view text, size_t offset, const Language* language);

// The lines after the cursor's line, without their ends, at most `n`, blank ones left out.
std::vector<std::string_view> lines_after(const CursorSite& site, size_t n);
// The lines before the cursor's line, last first, at most `n`, blank ones left out.
std::vector<std::string_view> lines_before(const CursorSite& site, size_t n);

}  // namespace incipit::lsp
