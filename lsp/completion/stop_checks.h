// StopChecks: where a generation should end, decided line by line from what syntax and the text
// around the cursor say. The verdict on a line depends on that line and the ones before it only, so
// the cut is the same whether or not the engine was stopped in time. One per generation, on the
// pipeline's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/bracket_walk.h"
#include "lsp/completion/runaway_line.h"
#include "lsp/context/cursor_site.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

enum class CompletionUnit {
  kRestOfLine,  // there is code after the cursor on its line
  kStatement,   // the cursor's line has begun something
  kBlock,       // the cursor's line is blank: go on with the block around it
};

// Everything the checks need, as values, so that it can outlive the request's views.
struct StopSite {
  CompletionUnit unit = CompletionUnit::kBlock;
  const Language* language = nullptr;
  Tree tree;  // of `text`; null: decide by text alone
  Text text;  // the document
  size_t offset = 0;
  size_t line_start = 0;
  std::string before;                     // the cursor's line up to the cursor
  std::string tail;                       // closers after the cursor on its line
  std::string next_line;                  // the next line that is not blank
  std::vector<std::string> lines_before;  // not blank, last first
  std::string unclosed;                   // closers the document lacks, innermost first
  std::vector<std::string> unclosed_tags;
  char open_quote = 0;
  bool in_hole = false;       // see BracketInput
  bool quote_closed = false;  // see BracketInput
  int32_t max_lines = 12;
};

StopSite stop_site_of(const CursorSite& site, const Language* language, Tree tree, Text text,
                      int32_t max_lines);

struct Cut {
  size_t at = 0;       // bytes of the generated text to keep
  std::string reason;  // for logs and status: "end of the statement"
};

class StopChecks {
 public:
  // Larger documents are decided about by text alone, so that a check never costs more than a step.
  static constexpr size_t kMaxParsedBytes = size_t{512} << 10;
  // All parses of one generation together: a safety net that ordinary code never comes near.
  static constexpr std::chrono::seconds kParseBudget{1};

  explicit StopChecks(StopSite site);

  // `generated` is all text so far, with "\n" line ends; every call repeats the text of the one
  // before. A cut, once found, stays.
  const std::optional<Cut>& look(std::string_view generated);

  // The generation is over. `complete`: it ended by itself; otherwise its last line may be half a
  // line.
  Cut finish(std::string_view generated, bool complete);

 private:
  struct Line {
    size_t start;
    size_t end;  // without '\n'
    size_t index;
  };
  std::optional<Cut> check_runaway(std::string_view generated, size_t end);
  std::optional<Cut> check(std::string_view generated, const Line& line);
  std::optional<Cut> check_brackets(std::string_view upto, const Line& line);
  BracketWalk walk(std::string_view candidate) const;
  std::optional<Cut> check_indent(std::string_view generated, const Line& line);
  std::optional<Cut> check_statement(std::string_view generated, const Line& line);
  bool repeats_next_line(std::string_view line_text, const Line& line) const;
  bool runs_on_in_comments(std::string_view line_text, const Line& line);
  bool repeats_line_above(std::string_view line_text, const Line& line) const;
  bool ends_keyword_block(std::string_view generated, const Line& line);
  Tree parse_with(std::string_view candidate);
  int errors_with(std::string_view candidate);
  std::optional<Cut> check_block_below(std::string_view generated, const Line& line);
  std::optional<Cut> check_errors(std::string_view generated, const Line& line);

  StopSite site_;
  std::chrono::steady_clock::duration parse_time_left_ = kParseBudget;
  std::optional<Cut> cut_;
  RunawayLine runaway_;
  size_t n_watched_ = 0;   // bytes of the generated text that runaway_ has seen
  size_t next_start_ = 0;  // of the first line not looked at
  size_t next_index_ = 0;
  int unit_indent_ = 0;
  bool indent_known_ = false;
  int n_comments_ = 0;  // lines before this one that are comments, without others between them
  bool has_content_ = false;        // a line before this one is not blank
  int depth_ = 0;                   // brackets that the lines so far left open
  std::optional<int> good_errors_;  // of the hole alone
  std::optional<size_t> bad_from_;  // where lines with more errors begin
};

}  // namespace incipit::lsp
