#include "lsp/completion/stop_checks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lsp/completion/open_blocks.h"
#include "lsp/completion/repetition.h"
#include "lsp/syntax/brackets.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {
namespace {

using std::string_view;
using Clock = std::chrono::steady_clock;

// A line of fewer characters than this says too little to be called a repetition.
constexpr size_t kTellingChars = 4;
// Lines before the cursor that a repetition may reach back into.
constexpr size_t kLinesBefore = 12;
// Lines in a row that are nothing but a comment.
constexpr int kMaxComments = 3;

size_t count_word_chars(string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), is_identifier));
}

// else, elif, catch, …: a line that goes on with the statement above it.
bool continues_statement(string_view line) {
  constexpr string_view kWords[] = {"else",    "elif",   "elsif", "except", "catch",
                                    "finally", "elseif", "while", "then",   "do"};
  const string_view text = trim(line);
  if (text.empty()) return false;
  if (is_closer(text.front())) return true;
  return std::any_of(std::begin(kWords), std::end(kWords), [&](string_view word) {
    return text.starts_with(word) &&
           (text.size() == word.size() || !is_identifier(text[word.size()]));
  });
}

bool is_block_end_word(string_view line) {
  const string_view text = trim(line);
  return text == "end" || text == "fi" || text == "done" || text == "esac" || text == "end)";
}

// But for blanks and what separates it from the next one.
bool is_nearly_same(string_view a, string_view b) {
  const auto essence = [](string_view line) {
    std::string text;
    std::copy_if(line.begin(), line.end(), std::back_inserter(text),
                 [](char c) { return c != ' ' && c != '\t'; });
    while (!text.empty() && (text.back() == ',' || text.back() == ';')) text.pop_back();
    return text;
  };
  return trim(a) == trim(b) || essence(a) == essence(b);
}

// What a text that was cut in a loop may not end with: something that wants more.
string_view without_loose_end(string_view text) {
  while (!text.empty() &&
         string_view("([{,=+-*/%&|<>?:.! \t\n").find(text.back()) != string_view::npos) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

StopSite stop_site_of(const CursorSite& site, const Language* language, Tree tree, Text text,
                      int32_t max_lines) {
  StopSite result;
  result.unit = site.tail == LineTail::kCode ? CompletionUnit::kRestOfLine
                : site.blank_before()        ? CompletionUnit::kBlock
                                             : CompletionUnit::kStatement;
  result.language = language;
  result.offset = site.offset;
  result.line_start = site.line_start;
  result.before = std::string(site.before);
  if (site.tail == LineTail::kClosers) result.tail = std::string(site.after);
  result.next_line = std::string(trim_right(site.next_line));
  for (const string_view line : lines_before(site, kLinesBefore)) {
    result.lines_before.emplace_back(trim(line));
  }
  result.unclosed = unclosed_brackets(tree.get(), language, site.text, site.offset);
  result.unclosed_tags = unclosed_tags(language, site.text, site.offset);
  const BracketInput brackets = brackets_at(site, language);
  result.open_quote = brackets.open_quote;
  result.in_hole = brackets.in_hole;
  result.quote_closed = brackets.quote_closed;
  result.max_lines = max_lines;
  if (text->size() <= StopChecks::kMaxParsedBytes) result.tree = std::move(tree);
  result.text = std::move(text);
  return result;
}

StopChecks::StopChecks(StopSite site) : site_(std::move(site)) {
  unit_indent_ = indent_columns(site_.before);
  // At column 0 of a blank line the first generated line says where the block is.
  indent_known_ = !site_.before.empty();
}

const std::optional<Cut>& StopChecks::look(string_view generated) {
  while (!cut_) {
    const size_t end = generated.find('\n', next_start_);
    cut_ = check_runaway(generated, std::min(end, generated.size()));
    if (cut_ || end == string_view::npos) break;
    const Line line{next_start_, end, next_index_};
    next_start_ = end + 1;
    ++next_index_;
    cut_ = check(generated, line);
  }
  return cut_;
}

// Up to `end`, the end of the line or of what there is of it.
std::optional<Cut> StopChecks::check_runaway(string_view generated, size_t end) {
  if (n_watched_ <= next_start_) {
    runaway_.start_line();
    n_watched_ = next_start_;
  }
  while (n_watched_ < end) {
    if (const auto n_kept = runaway_.push(generated[n_watched_++])) {
      return Cut{next_start_ + *n_kept, "repetition"};
    }
  }
  return std::nullopt;
}

Cut StopChecks::finish(string_view generated, bool complete) {
  look(generated);
  if (!cut_ && next_start_ <= generated.size()) {
    // The last line has no '\n'. Half a line is only shown when there is nothing else.
    if (complete || !has_content_ || is_blank(generated.substr(next_start_))) {
      cut_ = check(generated, {next_start_, generated.size(), next_index_});
    } else {
      cut_ = Cut{next_start_ - 1, "token limit"};
    }
  }
  Cut cut = cut_.value_or(Cut{generated.size(), ""});
  if (cut.reason == "repetition") cut.at = without_loose_end(generated.substr(0, cut.at)).size();
  return cut;
}

std::optional<Cut> StopChecks::check(string_view generated, const Line& line) {
  const string_view text = generated.substr(line.start, line.end - line.start);
  const size_t before_line = line.start == 0 ? 0 : line.start - 1;
  if (site_.unit == CompletionUnit::kRestOfLine) return Cut{line.end, "end of the line"};
  if (line.index >= static_cast<size_t>(std::max(site_.max_lines, 1))) {
    return Cut{before_line, "line limit"};
  }
  if (repeats_next_line(text, line)) return Cut{before_line, "the next line of the document"};
  if (repeats_line_above(text, line)) return Cut{before_line, "the line above"};
  if (const auto end =
          end_before_repetition(generated.substr(0, line.end), site_.before, site_.lines_before)) {
    return Cut{*end, "repetition"};
  }
  if (runs_on_in_comments(text, line)) return Cut{before_line, "comment run-on"};
  const bool blank = is_blank(text);
  if (blank && has_content_ && depth_ == 0) return Cut{before_line, "blank line"};
  if (auto cut = check_indent(generated, line)) return cut;
  if (auto cut = check_brackets(generated.substr(0, line.end), line)) return cut;
  has_content_ = has_content_ || !blank;
  if (blank && line.index == 0 && site_.unit == CompletionUnit::kStatement) {
    // Nothing was added to the cursor's line: what follows is a block of its own.
    site_.unit = CompletionUnit::kBlock;
    indent_known_ = false;
  }
  if (auto cut = check_block_below(generated, line)) return cut;
  if (auto cut = check_statement(generated, line)) return cut;
  return check_errors(generated, line);
}

bool StopChecks::repeats_next_line(string_view line_text, const Line& line) const {
  const string_view next = site_.next_line;
  if (trim(next).empty() || is_blank(line_text)) return false;
  const std::string whole =
      line.index == 0 ? site_.before + std::string(line_text) : std::string(line_text);
  if (!is_nearly_same(whole, next)) return false;
  // "}" and "end" say nothing: brackets and indentation decide about them.
  if (is_closers_only(next) || is_block_end_word(next)) return false;
  return count_word_chars(next) >= kTellingChars || indent_columns(whole) == indent_columns(next);
}

// Comment after comment where code was wanted.
bool StopChecks::runs_on_in_comments(string_view line_text, const Line& line) {
  const string_view mark = site_.language == nullptr ? "" : site_.language->line_comment;
  const std::string whole =
      line.index == 0 ? site_.before + std::string(line_text) : std::string(line_text);
  const bool comment = !mark.empty() && trim(whole).starts_with(mark);
  n_comments_ = comment ? n_comments_ + 1 : 0;
  return n_comments_ > kMaxComments;
}

// What a small model does when it has no idea. Such a line is wanted in a few places of a thousand;
// a repetition further down is judged by end_before_repetition().
bool StopChecks::repeats_line_above(string_view line_text, const Line& line) const {
  if (line.index > 0 || site_.lines_before.empty() || is_blank(line_text)) return false;
  const std::string whole = site_.before + std::string(line_text);
  const std::string_view above = site_.lines_before.front();
  return count_word_chars(above) >= kTellingChars && !is_block_end_word(above) &&
         is_nearly_same(whole, above);
}

std::optional<Cut> StopChecks::check_indent(string_view generated, const Line& line) {
  const string_view text = generated.substr(line.start, line.end - line.start);
  if (is_blank(text)) return std::nullopt;
  const bool closer = is_closer(trim(text).front());  // check_brackets decides about those
  const int indent =
      indent_columns(line.index == 0 ? site_.before + std::string(text) : std::string(text));
  const Cut before{line.start == 0 ? 0 : line.start - 1, "end of the block"};
  if (!indent_known_) {
    if (indent < unit_indent_ && !closer) return before;  // leaves the block of the cursor's line
    unit_indent_ = indent;
    indent_known_ = true;
  }
  if (line.index == 0 || depth_ > 0 || closer) return std::nullopt;
  if (is_block_end_word(text) && indent <= unit_indent_) {
    if (ends_keyword_block(generated, line)) return Cut{line.end, "end of the block"};
    return before;
  }
  if (indent < unit_indent_) return before;
  const bool next_statement = site_.unit == CompletionUnit::kStatement && indent == unit_indent_ &&
                              !continues_statement(text);
  if (next_statement) return Cut{line.start - 1, "end of the statement"};
  return std::nullopt;
}

bool StopChecks::ends_keyword_block(string_view generated, const Line& line) {
  if (site_.tree == nullptr) return false;
  return errors_with(generated.substr(0, line.end)) <
         errors_with(generated.substr(0, line.start - 1));
}

BracketWalk StopChecks::walk(string_view candidate) const {
  return walk_brackets({candidate, site_.tail, site_.unclosed, site_.open_quote, site_.in_hole,
                        site_.quote_closed, site_.unclosed_tags, site_.language});
}

std::optional<Cut> StopChecks::check_brackets(string_view upto, const Line& line) {
  const BracketWalk seen = walk(upto);
  depth_ = seen.depth;
  const string_view text = upto.substr(line.start);
  if (seen.surplus) {
    // A line that begins with it goes as a whole.
    const bool at_line_start = is_blank(upto.substr(line.start, *seen.surplus - line.start));
    return Cut{at_line_start && line.start > 0 ? line.start - 1 : *seen.surplus,
               "end of the block"};
  }
  // A line that begins with the closer of what held the cursor ends it; `} else {` goes on.
  const bool begins_with_closer =
      line.index > 0 && !is_blank(text) && is_closer(trim(text).front()) && seen.depth == 0;
  const bool closed_outer = seen.closed_outer && *seen.closed_outer > line.start;
  const size_t tail_size = trim_right(site_.tail).size();
  const bool closed_tail = tail_size > 0 && seen.tail_used == tail_size;
  if (begins_with_closer && (closed_outer || closed_tail)) {
    return Cut{line.end, "end of the block"};
  }
  return std::nullopt;
}

std::optional<Cut> StopChecks::check_statement(string_view generated, const Line& line) {
  if (site_.unit != CompletionUnit::kStatement || site_.tree == nullptr || depth_ != 0) {
    return std::nullopt;
  }
  // Grammars take a head without its body for a whole statement.
  const string_view text = generated.substr(line.start, line.end - line.start);
  if (opens_block(text, site_.language)) return std::nullopt;
  const Tree tree = parse_with(generated.substr(0, line.end));
  if (tree == nullptr) return std::nullopt;
  const size_t statement_start = site_.line_start + indent_of(site_.before).size();
  const size_t candidate_end = site_.offset + line.end;
  if (in_comment(*tree, statement_start + 1)) {
    return line.index == 0 ? std::optional<Cut>(Cut{line.end, "end of the comment"}) : std::nullopt;
  }
  const Span statement = statement_at(*tree, statement_start);
  const bool ends_here = statement.end > statement.start && statement.end <= candidate_end;
  if (ends_here && count_errors(*tree, {statement_start, candidate_end}) == 0) {
    return Cut{line.end, "end of the statement"};
  }
  return std::nullopt;
}

Tree StopChecks::parse_with(string_view candidate) {
  if (site_.tree == nullptr || parse_time_left_ <= Clock::duration::zero()) return nullptr;
  const Clock::time_point start = Clock::now();
  const string_view text = *site_.text;
  std::string changed;
  changed.reserve(text.size() + candidate.size());
  changed.append(text.substr(0, site_.offset));
  changed.append(candidate);
  // Closers of the tail that the candidate brings itself are replaced by it.
  const size_t replaced = walk(candidate).tail_used;
  changed.append(text.substr(std::min(site_.offset + replaced, text.size())));
  Tree tree = reparse(*site_.tree, std::make_shared<const std::string>(std::move(changed)),
                      start + parse_time_left_);
  parse_time_left_ -= Clock::now() - start;
  return tree;
}

int StopChecks::errors_with(string_view candidate) {
  const Tree tree = parse_with(candidate);
  // Errors that a candidate causes may show up after it.
  constexpr size_t kBehind = 2000;
  return tree == nullptr
             ? 0
             : count_errors(*tree, {site_.line_start, site_.offset + candidate.size() + kBehind});
}

// A line opens a block or an argument list whose content stands below already: in a language of
// indentation it is indented deeper, elsewhere its closer has no other opener, so that the tree is
// better off with this one.
std::optional<Cut> StopChecks::check_block_below(string_view generated, const Line& line) {
  const string_view text = generated.substr(line.start, line.end - line.start);
  if (!opens_block(text, site_.language) || trim(site_.next_line).empty()) return std::nullopt;
  const std::string whole = line.index == 0 ? site_.before + std::string(text) : std::string(text);
  if (indent_columns(site_.next_line) <= indent_columns(whole)) return std::nullopt;
  const bool by_indentation = site_.language != nullptr &&
                              site_.language->blocks == BlockStyle::kIndent &&
                              trim_right(text).ends_with(':');
  const bool below =
      by_indentation || (site_.tree != nullptr && errors_with(generated.substr(0, line.end)) <
                                                      errors_with(generated.substr(0, line.start)));
  return below ? std::optional<Cut>(Cut{line.end, "the block is below"}) : std::nullopt;
}

// Two lines in a row with more errors than before them, outside of brackets: decoding has lost its
// way. One may be the first half of something ("}" before a "catch").
std::optional<Cut> StopChecks::check_errors(string_view generated, const Line& line) {
  if (site_.tree == nullptr || depth_ != 0) return std::nullopt;
  const string_view text = generated.substr(0, line.end);
  if (is_blank(text.substr(line.start)) || opens_block(text, site_.language) ||
      !open_keyword_blocks(site_.language, text).empty()) {
    return std::nullopt;
  }
  if (!good_errors_) good_errors_ = errors_with("");
  const int n_errors = errors_with(text);
  if (n_errors <= *good_errors_) {
    bad_from_.reset();
    return std::nullopt;
  }
  if (bad_from_ && *bad_from_ > 0) return Cut{*bad_from_, "syntax errors"};
  if (!bad_from_) bad_from_ = line.start == 0 ? 0 : line.start - 1;
  return std::nullopt;
}

}  // namespace incipit::lsp
