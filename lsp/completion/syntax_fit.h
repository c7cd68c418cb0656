// syntax_fit: how much of a suggestion at the end of a line is shown, so that the document parses
// with it as well as it can at this place. Used by postprocess. Pure but for its time limit.
#pragma once

#include <chrono>
#include <string>

#include "lsp/completion/bracket_walk.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// What was done about the syntax of a suggestion.
enum class SyntaxFit {
  kWhole,      // it parses as it is, or nobody could say
  kLinesOff,   // lines were taken off its end: the body below was there already, …
  kClosed,     // what it left open was closed, perhaps with lines taken off before
  kShortened,  // it is the beginning of its first line
  kNothing,    // no part of it parses
};

// "syntax: closed", for logs and figures.
const char* name_of(SyntaxFit fit);

struct SyntaxFitted {
  std::string text;
  SyntaxFit fit = SyntaxFit::kWhole;
};

// Trees and time for one suggestion. When they are used up before it is known whether all of it
// parses, it stays as it is; later, nothing is left of it.
constexpr int kSyntaxFitParses = 128;
constexpr std::chrono::milliseconds kSyntaxFitTime{250};

// The longest version of `text` with which the document has no more ERROR and MISSING nodes than it
// would have here anyway. How many those are nobody knows, as the place is being written: it is the
// least number found with nothing, a plain word, or a word with what often follows it there (`;`,
// the line's missing closers, the opener of a block that stands below).
// `tree` is that of the site's text (null: the text stays as it is); `brackets` holds everything
// but the candidate.
SyntaxFitted fit_syntax(const Tree& tree, const CursorSite& site, const BracketInput& brackets,
                        const std::string& text);

}  // namespace incipit::lsp
