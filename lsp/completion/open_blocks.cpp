#include "lsp/completion/open_blocks.h"

#include <algorithm>

namespace incipit::lsp {
namespace {

using std::string_view;

struct BlockWord {
  string_view opener;
  string_view closer;
};
constexpr BlockWord kLuaBlocks[] = {
    {"function", "end"}, {"do", "end"}, {"if", "end"}, {"repeat", "until"}};
constexpr BlockWord kShellBlocks[] = {{"if", "fi"}, {"do", "done"}, {"case", "esac"}};

bool is_shell(const Language& language) {
  return language.name == "bash";
}

// The words of a program text, without those of strings and comments. In the shell only where a
// command may begin: `echo if` opens nothing.
class Words {
 public:
  Words(const Language& language, string_view text) : language_(language), text_(text) {}

  // Empty at the end.
  string_view next() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        skip_string(c);
      } else if (begins_comment()) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (is_identifier(c)) {
        const size_t start = at_;
        while (at_ < text_.size() && is_identifier(text_[at_])) ++at_;
        const bool counts = !is_shell(language_) || command_begins_;
        const string_view word = text_.substr(start, at_ - start);
        command_begins_ = word == "then" || word == "else" || word == "do";
        if (counts) return word;
      } else {
        if (c == '\n' || c == ';' || c == '|' || c == '&' || c == '(') command_begins_ = true;
        if (c != ' ' && c != '\t' && string_view("\n;|&(").find(c) == string_view::npos) {
          command_begins_ = false;
        }
        ++at_;
      }
    }
    return {};
  }

 private:
  bool begins_comment() const {
    const bool in_word = is_shell(language_) && at_ > 0 && !is_blank(text_.substr(at_ - 1, 1));
    return text_.substr(at_).starts_with(language_.line_comment) && !in_word;
  }

  void skip_string(char quote) {
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    at_ = std::min(at_ + 1, text_.size());
    command_begins_ = false;
  }

  const Language& language_;
  string_view text_;
  size_t at_ = 0;
  bool command_begins_ = true;
};

// The indentation of the line that holds `at` of a text at the cursor.
std::string indent_at(const CursorSite& site, string_view text, size_t at) {
  const size_t line = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // npos + 1 == 0
  if (line > 0) return std::string(indent_of(text.substr(line)));
  const std::string whole = std::string(site.before) + std::string(text.substr(0, at));
  return std::string(indent_of(whole));
}

size_t n_of(string_view text, string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

// The three quotes that the cursor's line or the text opens and the text does not close; empty:
// there are none.
string_view open_docstring(const CursorSite& site, const BracketInput& brackets, string_view text) {
  if (brackets.language == nullptr || brackets.language->name != "python") return {};
  for (const string_view quotes : {"\"\"\"", "'''"}) {
    const bool begun = n_of(site.before, quotes) % 2 == 1;
    if (!begun && brackets.open_quote != 0) continue;
    if ((n_of(text, quotes) % 2 == 1) != begun) return quotes;
  }
  return {};
}

// One or two of the three are already there.
std::string with_docstring_closed(string_view text, string_view quotes) {
  string_view written = trim_right(text);
  if (!written.ends_with(quotes)) {
    while (written.ends_with(quotes.front())) written.remove_suffix(1);
  }
  return std::string(written).append(quotes);
}

struct OpenBlock {
  size_t at = 0;
  std::string closer;
  bool own_line = false;  // the closer stands on a line of its own
};

// Innermost last.
std::vector<OpenBlock> open_blocks(const BracketWalk& walk, const Language* language,
                                   string_view text) {
  std::vector<OpenBlock> result;
  for (size_t i = 0; i < walk.open.size(); ++i) {
    const size_t at = walk.open_at[i];
    const size_t line_end = text.find('\n', at);
    const bool own_line =
        line_end != string_view::npos && is_blank(text.substr(at + 1, line_end - at - 1));
    result.push_back({at, std::string(1, walk.open[i]), own_line});
  }
  for (const KeywordBlock& block : open_keyword_blocks(language, text)) {
    result.push_back({block.at, std::string(block.closer), true});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const OpenBlock& a, const OpenBlock& b) { return a.at < b.at; });
  return result;
}

}  // namespace

std::vector<KeywordBlock> open_keyword_blocks(const Language* language, string_view text) {
  std::vector<KeywordBlock> open;
  if (language == nullptr || language->blocks != BlockStyle::kKeywords) return open;
  const auto find = [&](string_view word) -> string_view {
    const auto look_up = [&](const auto& words) -> string_view {
      for (const BlockWord& block : words) {
        if (block.opener == word) return block.closer;
      }
      return {};
    };
    return is_shell(*language) ? look_up(kShellBlocks) : look_up(kLuaBlocks);
  };
  Words words(*language, text);
  for (string_view word = words.next(); !word.empty(); word = words.next()) {
    if (!open.empty() && word == open.back().closer) {
      open.pop_back();
    } else if (const string_view closer = find(word); !closer.empty()) {
      open.push_back({static_cast<size_t>(word.data() - text.data()), closer});
    }
  }
  // `until` wants a condition, which only the model knows.
  const auto is_until = [](const KeywordBlock& block) { return block.closer == "until"; };
  if (std::any_of(open.begin(), open.end(), is_until)) open.clear();
  return open;
}

size_t n_of_statement(const CursorSite& site, const BracketInput& brackets) {
  BracketInput line;
  line.candidate = site.before;
  line.language = brackets.language;
  const size_t n = std::min(walk_brackets(line).open.size(), brackets.unclosed.size());
  const size_t n_lists = std::min(brackets.unclosed.find('}'), brackets.unclosed.size());
  return std::max(n, n_lists);
}

std::string with_comment_closed(const CursorSite& site, const BracketInput& brackets,
                                string_view text) {
  BracketInput input = brackets;
  input.candidate = text;
  const std::optional<size_t> begun = walk_brackets(input).open_comment;
  if (!begun) return std::string(text);
  const string_view below = site.text.substr(site.line_end);
  const size_t end = below.find("*/");
  if (end != string_view::npos && end < below.find("/*")) return std::string(text);
  const string_view written = trim_right(text);
  if (written.find_first_not_of("/* \t\n", *begun) == string_view::npos) {
    return std::string(trim_right(text.substr(0, *begun)));  // a comment that says nothing
  }
  const size_t last_line = written.rfind('\n') + 1;  // npos + 1 == 0
  if (last_line <= *begun) return std::string(written) + " */";
  // "*" under "*".
  std::string indent = indent_at(site, text, *begun) + ' ';
  if (trim(written.substr(last_line)).starts_with('*'))
    indent = indent_of(written.substr(last_line));
  return std::string(written) + '\n' + indent + "*/";
}

std::string with_closers(const CursorSite& site, const BracketInput& brackets, string_view text) {
  BracketInput input = brackets;
  input.candidate = text;
  const BracketWalk walk = walk_brackets(input);
  if (walk.surplus || walk.ends_in_comment) return std::string(text);
  std::string result(trim_right(text));
  if (const string_view quotes = open_docstring(site, brackets, text); !quotes.empty()) {
    return with_docstring_closed(text, quotes);
  }
  if (walk.in_string) {
    const char quote = walk.own_quote != 0 ? walk.own_quote : brackets.open_quote;
    if (quote == 0 || brackets.quote_closed || text.find('\n') != string_view::npos) {
      return std::string(text);
    }
    result = std::string(text) + quote;
  }
  const std::vector<OpenBlock> open = open_blocks(walk, brackets.language, text);
  for (size_t i = open.size(); i-- > 0;) {
    if (open[i].own_line) result += '\n' + indent_at(site, text, open[i].at);
    result += open[i].closer;
  }
  const size_t n_line = n_of_statement(site, brackets);
  if (walk.unclosed_used < n_line) {
    result += brackets.unclosed.substr(walk.unclosed_used, n_line - walk.unclosed_used);
  }
  return result;
}

}  // namespace incipit::lsp
