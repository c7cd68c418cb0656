#include "lsp/completion/syntax_fit.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "lsp/completion/line_fit.h"
#include "lsp/completion/open_blocks.h"
#include "lsp/completion/spliced_errors.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Beginnings of the first line that are tried.
constexpr size_t kMaxBeginnings = 16;

bool is_any_language(const Language* language, std::initializer_list<string_view> names) {
  return language != nullptr &&
         std::find(names.begin(), names.end(), language->name) != names.end();
}

bool ends_statements_with_semicolon(const Language* language) {
  return is_any_language(language, {"c", "cpp", "cuda", "java", "rust"});
}

bool is_c(const Language* language) {
  return is_any_language(language, {"c", "cpp", "cuda"});
}

// What may follow a word, or stand alone, where the line's brackets are closed.
std::vector<string_view> usual_ends(const Language& language) {
  std::vector<string_view> ends = {"", ",", "(", " = x"};
  const auto add = [&](std::initializer_list<string_view> more) {
    for (const string_view end : more) ends.push_back(end);
  };
  if (ends_statements_with_semicolon(&language)) add({";", " = x;"});
  switch (language.blocks) {
    case BlockStyle::kBraces:
      add({" {", ": {", "() {", "[", " {}"});
      if (is_any_language(&language, {"javascript", "typescript", "tsx"})) add({" => {", " => "});
      break;
    case BlockStyle::kIndent:
      add({":", "["});
      break;
    case BlockStyle::kKeywords:
      add({" then", " do", " end", " = x end", "; then", "; do", " {", " \\", " ;;"});
      break;
  }
  return ends;
}

// Whole beginnings of lines whose rest stands below.
std::vector<string_view> usual_heads(const Language& language) {
  switch (language.blocks) {
    case BlockStyle::kIndent:
      return {"if x:", "def x():", "x in x:", "n x:"};
    case BlockStyle::kKeywords:
      if (is_any_language(&language, {"bash"})) {
        return {"if x; then", "x() {", "do", "do\nx\ndone", "then\nx\nfi", "x)", "; }"};
      }
      return {"if x then", "function x()", "function() ", " in x do",
              "x in x do", "n x do",       "(x)",         "do"};
    case BlockStyle::kBraces:
      break;
  }
  if (is_c(&language)) {
    return {"(x)", "if (x) {", "x x() {", "x;x;x) {", " x : x) {", "{", "#endif", "#if x", "x \\"};
  }
  if (is_any_language(&language, {"java"})) {
    return {"(x)", "if (x) {", "x x() {", "x;x;x) {", " x : x) {", "{"};
  }
  if (is_any_language(&language, {"go"})) {
    return {"if x {", "x := range x {", "func() {", "func x() {", "{"};
  }
  if (is_any_language(&language, {"rust"}))
    return {"if x {", "fn x() {", " in x {", "n x {", "r x {", "{", "|x| {"};
  return {"if (x) {",     "x() {",   "x;x;x) {",     " x of x) {", "x of x) {",
          "st x of x) {", "() => {", "function() {", "{"};
}

std::string joined(std::initializer_list<string_view> parts) {
  std::string text;
  for (const string_view part : parts) text += part;
  return text;
}

// Texts that stand for what the user has in mind: the document with the one that fits best says how
// many errors are none of the suggestion's.
std::vector<std::string> stand_ins(const Language* language, const std::string& closers) {
  std::vector<std::string> result;
  if (language == nullptr) return result;
  for (const string_view end : usual_ends(*language)) {
    result.push_back(joined({"x", closers, end}));
    if (!closers.empty()) {
      result.push_back(joined({closers, end}));
      result.push_back(joined({"x", end}));
    }
  }
  result.emplace_back("= x");
  if (ends_statements_with_semicolon(language)) result.emplace_back("= x;");
  for (const string_view head : usual_heads(*language)) {
    result.emplace_back(head);
    if (!closers.empty()) result.push_back(joined({head, closers}));
  }
  return result;
}

// Counts the errors of versions of a suggestion at one place.
class Scale {
 public:
  Scale(const Tree& tree, const CursorSite& site, const BracketInput& brackets)
      : errors_(tree, site, kSyntaxFitTime, kSyntaxFitParses), site_(site), brackets_(brackets) {}

  bool usable() const { return errors_.usable(); }

  // Errors beyond those that the document has here anyway. Nothing: no time left, or too many trees
  // already. The first text is the whole suggestion.
  std::optional<int> surplus(const std::string& text) {
    const std::optional<int> found = errors_with(text);
    if (!found || *found == 0) return found;
    if (!least_) measure(text, *found);
    if (*found <= *least_) return *found - *least_;
    // Outer blocks that the document has not closed yet: with them closed the numbers are quieter.
    const std::optional<int> closed =
        outer_.empty() ? std::nullopt : errors_with(text + outer_after(text));
    return std::min(*found - *least_, closed ? std::max(*closed - least_closed_, 0) : *found);
  }

 private:
  std::optional<int> errors_with(const std::string& text) {
    if (const auto known = known_.find(text); known != known_.end()) return known->second;
    const std::optional<ErrorPlaces> places = errors_.places_with(text);
    if (!places) return std::nullopt;
    if (own_) {
      std::erase_if(*own_, [&](const auto& own) {
        // The same one may reach further or less far than with another text.
        return std::none_of(places->begin(), places->end(), [&](const auto& place) {
          return place.first == own.first || place.second == own.second;
        });
      });
    } else {
      own_ = places;
    }
    return known_[text] = static_cast<int>(places->size());
  }

  void measure(const std::string& whole, int most) {
    const size_t n_line = n_of_statement(site_, brackets_);
    outer_ = brackets_.unclosed.substr(n_line);
    least_ = std::min(most, errors_.now());
    const std::string closers(brackets_.unclosed.substr(0, n_line));
    std::vector<std::string> texts = stand_ins(brackets_.language, closers);
    texts.push_back(with_closers(site_, brackets_, whole));
    for (size_t end = whole.find('\n'); end != std::string::npos; end = whole.find('\n', end + 1)) {
      texts.emplace_back(trim_right(string_view(whole).substr(0, end)));
    }
    for (const std::string& text : texts) {
      if (*least_ == 0) break;
      least_ = std::min(*least_, errors_with(text).value_or(*least_));
    }
    least_closed_ = *least_;
    if (outer_.empty()) {
      // An error that goes away with some text here is none of the document's own; but in a
      // document that is not finished errors move about, and only their number says something.
      const bool finished = open_keyword_blocks(brackets_.language, site_.text).empty();
      if (finished) least_ = std::min(*least_, static_cast<int>(own_->size()));
      return;
    }
    for (const string_view word : {"", "x", "x;"}) {
      std::string text(word.substr(0, 1));
      if (!text.empty()) text += closers;
      text += word.substr(text.empty() ? 0 : 1);
      text += outer_after(text);
      least_closed_ = std::min(least_closed_, errors_with(text).value_or(most));
    }
  }

  std::string outer_after(const std::string& text) const {
    BracketInput input = brackets_;
    input.candidate = text;
    const size_t n_used =
        std::max(walk_brackets(input).unclosed_used, brackets_.unclosed.size() - outer_.size());
    std::string result;
    for (const char closer : brackets_.unclosed.substr(n_used)) {
      result += '\n';
      result += closer;
    }
    return result;
  }

  SplicedErrors errors_;
  const CursorSite& site_;
  const BracketInput& brackets_;
  std::map<std::string, int> known_;
  std::optional<ErrorPlaces> own_;  // errors that stand there whatever the text
  string_view outer_;               // closers of `unclosed` that do not belong to the cursor's line
  std::optional<int> least_;        // errors that the document has here anyway
  int least_closed_ = 0;            // … with the outer closers behind the cursor
};

class Fitter {
 public:
  Fitter(const Tree& tree, const CursorSite& site, const BracketInput& brackets)
      : scale_(tree, site, brackets), site_(site), brackets_(brackets) {}

  SyntaxFitted fit(const std::string& text) {
    const SyntaxFitted whole{text, SyntaxFit::kWhole};
    // The grammars know no lone "\r".
    if (!scale_.usable() || site_.eol == "\r") return whole;
    const std::optional<int> surplus = scale_.surplus(text);
    if (!surplus) return whole;
    if (*surplus == 0) return closed_at_the_end(text);
    if (const auto ended = with_block_end(text); ended && allowed(*ended)) {
      return {*ended, SyntaxFit::kClosed};
    }
    std::optional<SyntaxFitted> found = line_cut(text);
    if (!found) found = beginning(text.substr(0, text.find('\n')));
    if (!found) return {"", SyntaxFit::kNothing};
    const SyntaxFitted closed = closed_at_the_end(found->text);
    return closed.fit == SyntaxFit::kWhole ? *found : closed;
  }

 private:
  // What parses no worse with its own blocks closed was cut off in them, not begun above a body.
  SyntaxFitted closed_at_the_end(const std::string& text) {
    BracketInput input = brackets_;
    input.candidate = text;
    const bool open = !walk_brackets(input).open.empty() ||
                      !open_keyword_blocks(brackets_.language, text).empty();
    if (!open || text.find('\n') == std::string::npos) return {text, SyntaxFit::kWhole};
    const std::string closed = with_closers(site_, brackets_, text);
    return closed != text && allowed(closed) ? SyntaxFitted{closed, SyntaxFit::kClosed}
                                             : SyntaxFitted{text, SyntaxFit::kWhole};
  }

  // In a language of keywords: `text` and the end of the innermost block around the cursor that has
  // none in the document, as while a function is being written.
  std::optional<std::string> with_block_end(const std::string& text) const {
    if (!open_keyword_blocks(brackets_.language, text).empty()) return std::nullopt;
    const std::string whole =
        joined({site_.text.substr(0, site_.offset), text, site_.text.substr(site_.offset)});
    const std::vector<KeywordBlock> open = open_keyword_blocks(brackets_.language, whole);
    const auto around = std::find_if(open.rbegin(), open.rend(), [&](const KeywordBlock& block) {
      return block.at < site_.offset;
    });
    if (around == open.rend()) return std::nullopt;
    const size_t line = whole.rfind('\n', around->at) + 1;  // npos + 1 == 0
    return joined(
        {trim_right(text), "\n", indent_of(string_view(whole).substr(line)), around->closer});
  }

  bool allowed(const std::string& text) {
    const std::optional<int> surplus = scale_.surplus(text);
    out_of_time_ = !surplus;
    return surplus == 0;
  }

  // `text` with its closers, its semicolon, or both.
  std::optional<std::string> completed(const std::string& text) {
    const std::string closed = with_closers(site_, brackets_, text);
    if (closed != text && allowed(closed)) return closed;
    const bool may_end = ends_statements_with_semicolon(brackets_.language) && !closed.empty() &&
                         string_view(";{,:").find(closed.back()) == string_view::npos;
    if (may_end && !out_of_time_ && allowed(closed + ";")) return closed + ";";
    return std::nullopt;
  }

  // Whole lines, as many as possible.
  std::optional<SyntaxFitted> line_cut(const std::string& text) {
    size_t end = text.size();
    while (!out_of_time_) {
      const std::string lines(trim_right(text.substr(0, end)));
      if (is_blank(lines)) break;
      if (end < text.size() && allowed(lines)) return SyntaxFitted{lines, SyntaxFit::kLinesOff};
      if (const auto closed = completed(lines)) return SyntaxFitted{*closed, SyntaxFit::kClosed};
      end = text.rfind('\n', end - 1);
      if (end == std::string::npos || end == 0) break;
    }
    return std::nullopt;
  }

  std::optional<SyntaxFitted> beginning(const std::string& line) {
    BalancedBeginnings beginnings(line, brackets_);
    for (size_t n = 0; n < kMaxBeginnings && !out_of_time_; ++n) {
      const std::optional<std::string> next = beginnings.next();
      if (!next) break;
      if (*next == line) continue;
      if (allowed(*next)) return SyntaxFitted{*next, SyntaxFit::kShortened};
      if (const auto closed = completed(*next)) {
        return SyntaxFitted{*closed, SyntaxFit::kShortened};
      }
    }
    return std::nullopt;
  }

  Scale scale_;
  const CursorSite& site_;
  const BracketInput& brackets_;
  bool out_of_time_ = false;
};

}  // namespace

const char* name_of(SyntaxFit fit) {
  switch (fit) {
    case SyntaxFit::kWhole:
      return "syntax: whole";
    case SyntaxFit::kLinesOff:
      return "syntax: lines taken off";
    case SyntaxFit::kClosed:
      return "syntax: closed";
    case SyntaxFit::kShortened:
      return "syntax: shortened";
    case SyntaxFit::kNothing:
      break;
  }
  return "syntax: hidden";
}

SyntaxFitted fit_syntax(const Tree& tree, const CursorSite& site, const BracketInput& brackets,
                        const std::string& text) {
  return Fitter(tree, site, brackets).fit(text);
}

}  // namespace incipit::lsp
