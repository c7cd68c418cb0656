#include "lsp/completion/postprocess.h"

#include <algorithm>

#include "lsp/completion/bracket_walk.h"
#include "lsp/completion/clean_text.h"
#include "lsp/completion/line_fit.h"
#include "lsp/completion/open_blocks.h"
#include "lsp/completion/syntax_fit.h"
#include "lsp/syntax/brackets.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Fewer characters than this, closers and blanks not counted, are not worth a user's glance …
constexpr size_t kMinMeaningful = 2;
// … unless they asked for them.
constexpr size_t kMinMeaningfulInvoked = 1;
// An echo of the cursor's line shorter than this may be what the user wants.
constexpr size_t kMinEcho = 4;
// Lines of the document that a candidate may run into.
constexpr size_t kOverlapLines = 6;

constexpr const char* kBreaksSyntax = "the suggestion would have left a syntax error behind";
constexpr const char* kDoesNotFit = "the suggestion did not fit what stands right of the cursor";

// Models like to begin with the line that they were to finish.
void remove_echo(const CursorSite& site, std::string& text) {
  const string_view written = trim(site.before);
  if (written.size() < kMinEcho) return;
  const size_t lead = text.find_first_not_of(" \t");
  if (lead == std::string::npos || !string_view(text).substr(lead).starts_with(written)) return;
  size_t end = lead + written.size();
  // What was typed after the last word ("return ") is there already.
  const size_t n_blanks = site.before.size() - trim_right(site.before).size();
  for (size_t i = 0; i < n_blanks && end < text.size() && text[end] == ' '; ++i) ++end;
  text.erase(0, end);
}

std::string indent_text(int columns, const IndentStyle& style) {
  if (!style.tabs) return std::string(static_cast<size_t>(std::max(columns, 0)), ' ');
  return std::string(static_cast<size_t>(std::max(columns, 0) / style.unit), '\t') +
         std::string(static_cast<size_t>(std::max(columns, 0) % style.unit), ' ');
}

// On a blank line the block begins where the cursor is, not on a line below it.
void remove_leading_lines(const CursorSite& site, std::string& text) {
  if (!site.blank_before() || text.empty() || text.front() != '\n') return;
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return;
  const size_t start = text.rfind('\n', first) + 1;
  const int cursor = indent_columns(site.before);
  if (indent_columns(string_view(text).substr(start)) == cursor) text.erase(0, first);
}

// The cursor stands in the indentation: the first line must end up where the block is, and the
// lines after it keep their distance to it.
void fix_first_indent(const CursorSite& site, const Language* language, const IndentStyle& style,
                      std::string& text) {
  if (!site.blank_before() || text.empty() || text.front() == '\n') return;
  const int lead = indent_columns(indent_of(text));
  if (lead == 0) return;
  const int cursor = indent_columns(site.before);
  int wanted = indent_columns(site.previous_line);
  if (opens_block(site.previous_line, language) || opens_element(language, site.previous_line)) {
    wanted += style.unit;
  }
  // From column 0 the model may choose up to where the block is; elsewhere the cursor says where
  // that is, unless the model's own blanks end exactly at the level that the line above opened.
  const int surplus = cursor == 0 ? std::max(0, lead - wanted) : cursor + lead == wanted ? 0 : lead;
  if (surplus == 0) return;
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const string_view line = string_view(text).substr(at, end - at);
    const int columns = indent_columns(line);
    // Later lines were indented for the place where the model thought the first one to be.
    const bool shifted = at == 0 || columns >= cursor + lead;
    if (shifted && !is_blank(line)) {
      result += indent_text(columns - surplus, style);
      result += line.substr(indent_of(line).size());
    } else {
      result += line;
    }
    if (end < text.size()) result += '\n';
    at = end + 1;
  }
  text = std::move(result);
}

// Tabs or spaces, as the file has them. The first line goes on from the cursor.
void use_indent_style(const IndentStyle& style, std::string& text) {
  std::string result;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const string_view line = string_view(text).substr(at, end - at);
    const string_view indent = indent_of(line);
    const bool foreign = style.tabs ? indent.find("  ") != string_view::npos
                                    : indent.find('\t') != string_view::npos;
    if (at > 0 && foreign && !is_blank(line)) {
      const int tab = style.tabs ? 4 : style.unit;
      result += indent_text(indent_columns(indent, tab), style);
      result += line.substr(indent.size());
    } else {
      result += line;
    }
    if (end < text.size()) result += '\n';
    at = end + 1;
  }
  text = std::move(result);
}

// "x = " and " y" make one blank, not two.
void join_blanks(const CursorSite& site, std::string& text) {
  if (site.blank_before() || site.open_quote != 0 ||
      !is_blank(site.before.substr(site.before.size() - 1)))
    return;
  text.erase(0, std::min(text.find_first_not_of(" \t"), text.size()));
}

bool cuts_a_word(string_view text, size_t at) {
  return at > 0 && at < text.size() && is_identifier(text[at - 1]) && is_identifier(text[at]);
}

// The rest of the cursor's line stays: what the candidate repeats of it goes.
void trim_line_overlap(const CursorSite& site, const BracketInput& brackets, std::string& text) {
  text.resize(std::min(text.find('\n'), text.size()));
  text.resize(end_before_rest(site, brackets, text));
  const string_view after = trim_right(site.after);
  const string_view written = trim(after);
  if (written.size() >= 3) {  // the model wrote the rest of the line, and perhaps more
    const size_t at = text.find(written);
    if (at != std::string::npos && !cuts_a_word(text, at)) text.resize(at);
  }
  for (size_t n = std::min(after.size(), text.size()); n > 0; --n) {
    const bool telling = n >= 3 || !is_identifier(after.front());
    if (telling && text.ends_with(after.substr(0, n)) && !cuts_a_word(text, text.size() - n)) {
      text.resize(text.size() - n);
      return;
    }
  }
}

// Whole lines at the end of the candidate that are the document's next lines.
void trim_lines_overlap(const CursorSite& site, std::string& text) {
  text = std::string(trim_right(text));  // a blank line more or less makes no difference
  const auto after = lines_after(site, kOverlapLines);
  std::vector<size_t> starts{0};
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) starts.push_back(++at);
  for (size_t n = std::min(after.size(), starts.size()); n > 0; --n) {
    const size_t first = starts.size() - n;
    bool same = true;
    bool telling = false;
    for (size_t i = 0; i < n && same; ++i) {
      const size_t start = starts[first + i];
      std::string line = text.substr(start, text.find('\n', start) - start);
      if (start == 0) line.insert(0, site.before);
      same = trim_right(line) == trim_right(after[i]) ||
             (trim(line) == trim(after[i]) && trim(line).size() >= 8);
      telling = telling || !is_closers_only(line);
    }
    if (same && telling) {
      text.resize(starts[first] == 0 ? 0 : starts[first] - 1);
      return;
    }
  }
}

size_t count_meaningful(string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return !is_blank({&c, 1}) && !is_closers_only({&c, 1});
  }));
}

std::string with_eol(string_view text, string_view eol) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += eol;
    } else {
      result += c;
    }
  }
  return result;
}

// What stands around the cursor, for walks over candidates.
struct Surroundings {
  const PostprocessInput& in;
  BracketInput brackets;  // without a candidate
  IndentStyle style;
};

// Closers: those of the tail that the text brings are replaced, surplus ones end the text, and a
// brace that stays behind a block gets its own line. Returns how much of the tail goes.
size_t settle_closers(const Surroundings& around, std::string& text) {
  const PostprocessInput& in = around.in;
  BracketInput brackets = around.brackets;
  brackets.candidate = text;
  BracketWalk walk = walk_brackets(brackets);
  if (walk.surplus) text.resize(*walk.surplus);
  if (in.keep_tail && walk.tail_used > 0) {
    // The closers are there already and must stay: the text ends where it brings the first.
    brackets.candidate = text;
    brackets.tail = "";
    brackets.unclosed = "";
    brackets.quote_closed = in.site.open_quote != 0;
    walk = walk_brackets(brackets);
    if (walk.surplus) text.resize(*walk.surplus);
    while (!text.empty() && is_closers_only(text.substr(text.size() - 1))) text.pop_back();
    return 0;
  }
  // Blanks at the end would be left standing there; before code on the same line they are wanted.
  if (in.unit != CompletionUnit::kRestOfLine) text = std::string(trim_right(text));
  const string_view left = trim(around.brackets.tail.substr(walk.tail_used));
  const bool multi_line = text.find('\n') != std::string::npos;
  if (multi_line && left.starts_with('}')) {
    text = std::string(trim_right(text));
    text += '\n' + indent_text(indent_columns(in.site.before), around.style);
  }
  return walk.tail_used;
}

// Nothing that a settled text opened may stay open before what is left of the line.
bool leaves_nothing_open(const Surroundings& around, string_view text, size_t tail_used) {
  BracketInput brackets = around.brackets;
  brackets.candidate = text;
  const BracketWalk walk = walk_brackets(brackets);
  const bool swallows_the_rest = (walk.ends_in_comment || walk.open_comment) &&
                                 !is_blank(around.in.site.after.substr(tail_used));
  return walk.open.empty() && walk.own_quote == 0 && !swallows_the_rest;
}

bool ends_before_rest(const Surroundings& around, const std::string& text) {
  std::string trimmed = text;
  trim_line_overlap(around.in.site, around.brackets, trimmed);
  return trimmed == text && end_before_word(around.in.site, text) == text.size();
}

// "try:" before a statement would make it a body, and grammars take "e:" before "error:" for a name
// with a type. Inside brackets it may be a slice.
bool ends_a_header(const Surroundings& around, string_view text) {
  const PostprocessInput& in = around.in;
  if (in.language == nullptr || in.language->blocks != BlockStyle::kIndent) return false;
  if (in.site.open_quote != 0 || !trim_right(text).ends_with(':')) return false;
  BracketInput line;
  line.language = in.language;
  line.candidate = in.site.before;
  return walk_brackets(line).depth == 0;
}

// Right of the cursor the line goes on: the longest beginning of the text that fits in there.
size_t fit_into_line(const Surroundings& around, std::string& text) {
  ParseCheck parses(around.in.tree, around.in.site);
  BalancedBeginnings beginnings(text, around.brackets);
  while (auto next = beginnings.next()) {
    const bool mid_line = around.in.unit == CompletionUnit::kRestOfLine;
    if (mid_line && (!ends_before_rest(around, *next) || ends_a_header(around, *next))) continue;
    const size_t tail_used = settle_closers(around, *next);
    if (is_blank(*next)) continue;
    if (leaves_nothing_open(around, *next, tail_used) && parses.allows(*next, tail_used)) {
      text = std::move(*next);
      return tail_used;
    }
  }
  text.clear();
  return 0;
}

// The text of one suggestion and what the rules did to it.
class Draft {
 public:
  explicit Draft(std::string begun) : text(std::move(begun)) {}

  template <class Rule>
  void apply(const char* name, Rule rule) {
    std::string before = text;
    rule(text);
    note(name, std::move(before));
  }
  void note(const char* name, std::string before) {
    if (before != text) steps_.push_back({name, std::move(before)});
  }

  Postprocessed nothing(const char* rule, const char* why) {
    if (!text.empty()) steps_.push_back({rule, std::move(text)});
    return {"", 0, why, std::move(steps_), false};
  }
  Postprocessed done(string_view eol, size_t tail_used, bool fitted) {
    return {with_eol(text, eol), tail_used, "", std::move(steps_), fitted};
  }

  std::string text;

 private:
  std::vector<RuleStep> steps_;
};

void settle_indentation(const PostprocessInput& in, const IndentStyle& style, std::string& text) {
  remove_leading_lines(in.site, text);
  fix_first_indent(in.site, in.language, style, text);
  use_indent_style(style, text);
  join_blanks(in.site, text);
}

void trim_overlap(const Surroundings& around, std::string& text) {
  const PostprocessInput& in = around.in;
  if (in.unit == CompletionUnit::kRestOfLine) {
    trim_line_overlap(in.site, around.brackets, text);
  } else {
    trim_lines_overlap(in.site, text);
  }
}

}  // namespace

Postprocessed postprocess(const PostprocessInput& in) {
  Draft draft(with_lf(in.candidate));
  draft.apply("control tokens", remove_special_spellings);
  draft.apply("control characters", end_at_control_character);
  draft.apply("Markdown fence", remove_fence);
  if (is_blank(draft.text)) return draft.nothing("empty", "the model had nothing to add here");
  draft.apply("echo", [&](std::string& text) { remove_echo(in.site, text); });

  const IndentStyle style = indent_style(in.site.text, in.site.offset, in.language);
  const std::vector<std::string> tags = unclosed_tags(in.language, in.site.text, in.site.offset);
  Surroundings around{in, brackets_at(in.site, in.language), style};
  if (in.site.tail == LineTail::kClosers) around.brackets.tail = in.site.after;
  around.brackets.unclosed = in.unclosed;
  around.brackets.unclosed_tags = tags;
  draft.apply("indentation", [&](std::string& text) { settle_indentation(in, style, text); });
  draft.apply("overlap", [&](std::string& text) { trim_overlap(around, text); });
  if (is_blank(draft.text)) {
    return draft.nothing("overlap", "the suggestion only repeated what is already there");
  }

  std::string whole = draft.text;
  if (in.unit == CompletionUnit::kRestOfLine) {
    draft.text.resize(end_before_word(in.site, draft.text));
  }
  const bool at_line_end = in.site.tail == LineTail::kNothing;
  const size_t tail_used =
      at_line_end ? settle_closers(around, draft.text) : fit_into_line(around, draft.text);
  draft.note(at_line_end ? "closers" : "middle of a line", whole);
  if (is_blank(draft.text)) {
    settle_closers(around, whole);
    const bool surplus = in.unit != CompletionUnit::kRestOfLine && is_blank(whole);
    return draft.nothing(
        "closers", surplus ? "the suggestion closed brackets that were never opened" : kDoesNotFit);
  }
  bool fitted = false;
  if (at_line_end && !in.typed_through) {
    const std::string left_open = draft.text;
    draft.apply("comment", [&](std::string& text) {
      text = with_comment_closed(in.site, around.brackets, text);
    });
    if (is_blank(draft.text)) {
      return draft.nothing("comment", "the suggestion began a comment that says nothing");
    }
    SyntaxFitted fit = fit_syntax(in.tree, in.site, around.brackets, draft.text);
    if (fit.fit == SyntaxFit::kNothing) return draft.nothing(name_of(fit.fit), kBreaksSyntax);
    fitted = fit.fit != SyntaxFit::kWhole || draft.text != left_open;
    draft.apply(name_of(fit.fit), [&](std::string& text) { text = std::move(fit.text); });
  }
  if (!in.typed_through) {
    const size_t wanted = in.invoked ? kMinMeaningfulInvoked : kMinMeaningful;
    const size_t meaningful = count_meaningful(draft.text);
    if (meaningful == 0) {
      return draft.nothing("length", "the suggestion was nothing but closing brackets");
    }
    if (meaningful < wanted) {
      return draft.nothing("length", "the suggestion was too short to be of use");
    }
  }
  return draft.done(in.site.eol, tail_used, fitted);
}

}  // namespace incipit::lsp
