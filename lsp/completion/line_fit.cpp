#include "lsp/completion/line_fit.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lsp/syntax/brackets.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// So many tokens in a row that stand right of the cursor as well are no coincidence.
constexpr size_t kTellingTokens = 4;

bool is_operator(char c) {
  return string_view("=<>!+-*/%&|^~?.:@#").find(c) != string_view::npos;
}

// Words, runs of operator characters, runs of blanks, and everything else by itself.
size_t token_end(string_view text, size_t at) {
  const char first = text[at];
  const auto run = [&](auto&& belongs) {
    size_t end = at + 1;
    while (end < text.size() && belongs(text[end])) ++end;
    return end;
  };
  if (is_identifier(first)) return run(is_identifier);
  if (first == ' ' || first == '\t') return run([](char c) { return c == ' ' || c == '\t'; });
  // ":-1" are two tokens, "::" and ":=" are one.
  if (first == ':' &&
      (at + 1 == text.size() || string_view(":=").find(text[at + 1]) == string_view::npos)) {
    return at + 1;
  }
  return is_operator(first) ? run(is_operator) : at + 1;
}

std::vector<string_view> tokens_of(string_view text) {
  std::vector<string_view> tokens;
  for (size_t at = 0; at < text.size();) {
    const size_t end = token_end(text, at);
    if (!is_blank(text.substr(at, end - at))) tokens.push_back(text.substr(at, end - at));
    at = end;
  }
  return tokens;
}

// Whether `text` says what `rest` says: all of it, if only the beginning of its last token, or so
// much that it must be meant.
bool repeats(string_view text, const std::vector<string_view>& rest) {
  const std::vector<string_view> mine = tokens_of(text);
  size_t n = 0;
  while (n < mine.size() && n < rest.size() && mine[n] == rest[n]) ++n;
  if (n == mine.size() || n >= kTellingTokens) return true;
  return n > 0 && n + 1 == mine.size() && n < rest.size() && rest[n].starts_with(mine[n]);
}

bool ends_well(string_view text) {
  const string_view written = trim_right(text);
  if (written.empty()) return false;
  const char last = written.back();
  return is_identifier(last) || is_closer(last) ||
         string_view("\"'`;>").find(last) != string_view::npos;
}

}  // namespace

size_t end_before_rest(const CursorSite& site, const BracketInput& brackets, string_view text) {
  const std::vector<string_view> rest = tokens_of(site.after);
  for (size_t at = 0; at < text.size(); at = token_end(text, at)) {
    const size_t end = token_end(text, at);
    BracketInput upto = brackets;
    upto.candidate = text.substr(0, end);
    const BracketWalk after = walk_brackets(upto);
    if (after.surplus) return *after.surplus;
    if (after.comment) return *after.comment;
    upto.candidate = text.substr(0, at);
    const BracketWalk before = walk_brackets(upto);
    if (rest.empty() || before.depth > 0 || before.in_string) continue;
    const string_view token = text.substr(at, end - at);
    // "a, b" may well come before ", c", and "<b></b>" before "</div>": more has to agree.
    constexpr string_view kCommon[] = {",", "</", "\"", "'", "`"};
    const bool telling =
        std::find(std::begin(kCommon), std::end(kCommon), rest.front()) == std::end(kCommon);
    if (token == rest.front() && (telling || repeats(text.substr(at), rest))) return at;
  }
  return text.size();
}

size_t end_before_word(const CursorSite& site, string_view text) {
  if (site.after.empty() || !is_identifier(site.after.front())) return text.size();
  size_t end = text.size();
  while (end > 0 && is_identifier(text[end - 1])) --end;
  return end;
}

BalancedBeginnings::BalancedBeginnings(std::string text, const BracketInput& brackets)
    : text_(std::move(text)), brackets_(brackets) {
  for (size_t at = 0; at < text_.size();) {
    at = token_end(text_, at);
    ends_.push_back(at);
  }
}

std::optional<std::string> BalancedBeginnings::version(size_t end) const {
  const bool whole = end == text_.size();
  std::string text = text_.substr(0, end);
  if (!whole) text = std::string(trim_right(text));
  BracketInput input = brackets_;
  input.candidate = text;
  const BracketWalk walk = walk_brackets(input);
  if (walk.surplus && !whole) return std::nullopt;
  if (walk.open.empty() && walk.own_quote == 0) {
    return whole || ends_well(text) ? std::optional(text) : std::nullopt;
  }
  // An argument list may be closed after an argument, a string only where the model stopped in it.
  const bool one_line = text.find('\n') == std::string::npos;
  if (!one_line || walk.ends_in_comment) return std::nullopt;
  if (walk.own_quote == 0) {
    text = std::string(trim_right(text));
    if (!ends_well(text)) return std::nullopt;
  } else if (!whole) {
    return std::nullopt;
  } else {
    text += walk.own_quote;
  }
  text.append(walk.open.rbegin(), walk.open.rend());
  return text;
}

std::optional<std::string> BalancedBeginnings::next() {
  while (!ends_.empty()) {
    std::optional<std::string> found = version(ends_.back());
    ends_.pop_back();
    if (!found || *found == last_ || is_blank(*found)) continue;
    last_ = *found;
    return found;
  }
  return std::nullopt;
}

ParseCheck::ParseCheck(Tree tree, const CursorSite& site)
    : errors_(std::move(tree), site, kTime, kMaxParses) {
  n_errors_ = errors_.now();
  if (n_errors_ > 0) n_errors_ = std::min(n_errors_, errors_.with("x").value_or(n_errors_));
}

bool ParseCheck::allows(string_view text, size_t n_replaced) {
  if (!errors_.usable()) return true;
  const std::optional<int> n_errors = errors_.with(text, n_replaced);
  return n_errors && *n_errors <= n_errors_;
}

}  // namespace incipit::lsp
