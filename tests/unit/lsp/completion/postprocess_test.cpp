#include "lsp/completion/postprocess.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "lsp/completion/trigger_policy.h"
#include "lsp/syntax/scope.h"
#include "tests/support/golden.h"
#include "tests/support/marked_text.h"
#include "tests/support/test_scale.h"

namespace incipit::lsp {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/golden/postprocess";

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Data files cannot show every character: "\r", "\t", "\0" are written so in sections that say
// "escapes".
std::string section(const test::GoldenCase& one, std::string_view name) {
  std::string text = one.get(name);
  if (one.has("eol")) text = replace_all(text, "\n", one.get("eol") == "crlf" ? "\r\n" : "\r");
  text = replace_all(text, "\\t", "\t");
  text = replace_all(text, "\\0", std::string_view("\0", 1));
  return replace_all(text, "\\s", " ");
}

std::string visible(std::string text) {
  text = replace_all(text, "\r\n", "<CRLF>\n");
  text = replace_all(text, "\r", "<CR>\n");
  return replace_all(text, "\t", "<TAB>");
}

// The document with what is inserted between « and », and what that replaces after it between ‹ and
// ›.
std::string show(const test::MarkedText& marked, const Postprocessed& result) {
  if (result.text.empty()) return "nothing: " + result.why_empty;
  const std::string replaced = marked.text.substr(marked.cursor, result.tail_used);
  return visible(marked.text.substr(0, marked.cursor) + "«" + result.text + "»" +
                 (replaced.empty() ? "" : "‹" + replaced + "›") +
                 marked.text.substr(marked.cursor + result.tail_used));
}

struct Read {
  test::MarkedText marked;
  const Language* language = nullptr;
  Text text;
  Tree tree;
  CursorSite site;
  StopSite stop;
};

Read read(const test::GoldenCase& one) {
  Read r;
  r.marked = test::parse_marked(section(one, "input"));
  r.language = find_language(one.get("language", "none"), "");
  r.text = std::make_shared<const std::string>(r.marked.text);
  if (r.language != nullptr) {
    r.tree = DocumentParser(*r.language)
                 .parse(r.text, DocumentParser::Clock::now() + std::chrono::hours(1));
  }
  r.site = look_at(*r.text, r.marked.cursor, r.language);
  r.stop = stop_site_of(r.site, r.language, r.tree, r.text, 12);
  return r;
}

Postprocessed finish(const test::GoldenCase& one, const Read& r, std::string_view candidate) {
  PostprocessInput input;
  input.site = r.site;
  input.language = r.language;
  input.tree = r.tree;
  input.unit = r.stop.unit;
  input.candidate = candidate;
  input.unclosed = r.stop.unclosed;
  input.invoked = one.has("invoked");
  input.keep_tail = one.has("keep tail");
  return postprocess(input);
}

std::string apply_rules(const test::GoldenCase& one) {
  const Read r = read(one);
  return show(r.marked, finish(one, r, section(one, "generated")));
}

std::string apply_stops(const test::GoldenCase& one) {
  const Read r = read(one);
  const std::string generated = with_lf(section(one, "generated"));
  const bool complete = one.get("ended") == "complete";
  const Cut cut = StopChecks(r.stop).finish(generated, complete);

  // The verdict must not depend on how the text arrived.
  StopChecks piecewise(r.stop);
  for (size_t i = 0; i <= generated.size(); ++i) {
    piecewise.look(std::string_view(generated).substr(0, i));
  }
  const Cut again = piecewise.finish(generated, complete);
  if (again.at != cut.at || again.reason != cut.reason) return "the cut depends on the batches";
  return (cut.reason.empty() ? "whole" : cut.reason) + "\n" +
         show(r.marked, finish(one, r, std::string_view(generated).substr(0, cut.at)));
}

TEST(Postprocess, EveryRuleDoesWhatItsCasesSay) {
  EXPECT_THAT(test::check_golden(kFolder / "rules.txt", apply_rules), testing::IsEmpty());
}

TEST(Postprocess, ASuggestionInTheMiddleOfALineFitsIn) {
  EXPECT_THAT(test::check_golden(kFolder / "mid_line.txt", apply_stops), testing::IsEmpty());
}

TEST(StopChecks, EndASuggestionWhereTheCasesSay) {
  EXPECT_THAT(test::check_golden(kFolder / "stops.txt", apply_stops), testing::IsEmpty());
}

TEST(Postprocess, ASuggestionLeavesNoSyntaxErrorBehind) {
  EXPECT_THAT(test::check_golden(kFolder / "syntax.txt", apply_stops), testing::IsEmpty());
}

TEST(Postprocess, AnyTextGivesAnItemOnTheCursorsLineOrAReason) {
  const std::string pieces[] = {"(", ")",  "{", "}",    "\"",  "'", "\n", "  ", "x", "return ",
                                ";", "\t", "é", "\r\n", "// ", "[", "]",  "`",  "$", "\\"};
  unsigned state = 12345;
  const auto next = [&](size_t n) { return (state = state * 1664525 + 1013904223) / 65536 % n; };
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    std::string generated;
    for (size_t i = next(12); i > 0; --i) text += pieces[next(std::size(pieces))];
    for (size_t i = next(12); i > 0; --i) generated += pieces[next(std::size(pieces))];
    const Language* language = &all_languages()[next(all_languages().size())];
    const Text shared = std::make_shared<const std::string>(text);
    const CursorSite site = look_at(*shared, next(text.size() + 1), language);
    const StopSite stop = stop_site_of(site, language, nullptr, shared, 12);
    const Cut cut = StopChecks(stop).finish(with_lf(generated), round % 2 == 0);
    PostprocessInput input;
    input.site = site;
    input.language = language;
    input.unit = stop.unit;
    input.unclosed = stop.unclosed;
    const std::string lf = with_lf(generated);
    input.candidate = std::string_view(lf).substr(0, cut.at);
    const Postprocessed result = postprocess(input);
    ASSERT_EQ(result.text.empty(), !result.why_empty.empty()) << text << "|" << generated;
    ASSERT_LE(result.tail_used, site.after.size());
  }
}

// Random numbers that are the same everywhere.
class Random {
 public:
  explicit Random(unsigned seed) : state_(seed) {}
  size_t below(size_t n) {
    state_ = state_ * 1664525 + 1013904223;
    return n == 0 ? 0 : state_ / 65536 % n;
  }

 private:
  unsigned state_;
};

struct CorpusFile {
  std::string name;
  const Language* language;
  Text text;
};

std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Source files of every language that other tests are about.
std::vector<CorpusFile> corpus() {
  std::vector<CorpusFile> files;
  const std::filesystem::path golden = std::filesystem::path(INCIPIT_SOURCE_DIR) / "tests/golden";
  for (const auto& entry : std::filesystem::directory_iterator(golden / "tokenizer/corpus")) {
    const Language* language = find_language("", entry.path().string());
    if (language == nullptr) continue;
    files.push_back({entry.path().filename(), language,
                     std::make_shared<const std::string>(contents_of(entry.path()))});
  }
  for (const auto& entry : std::filesystem::directory_iterator(golden / "syntax")) {
    for (const test::GoldenCase& one : test::read_golden(entry.path())) {
      const std::string text = replace_all(one.get("input"), "$0", "");
      const Language* language = find_language(one.get("language"), "");
      if (language == nullptr || text.empty()) continue;
      files.push_back(
          {entry.path().filename(), language, std::make_shared<const std::string>(text + "\n")});
    }
  }
  std::sort(files.begin(), files.end(), [](const CorpusFile& a, const CorpusFile& b) {
    return std::tie(a.name, *a.text) < std::tie(b.name, *b.text);
  });
  return files;
}

// What a model might write at a place: the text that stands there, with mistakes and scraps of code
// in it; sometimes that of another place.
std::string plausible_output(Random& random, const std::string& text, size_t cursor) {
  constexpr std::string_view kScraps[] = {
      "(",      ")",     "[",   "]",    "{",    "}",   "\"",    "'",     "`",
      "x",      "name",  " ",   ", ",   ";",    "\n",  " = ",   " + ",   "==",
      ".",      ":",     "# a", "// a", "</a>", "<b>", "foo(",  "\n  ",  "return ",
      "if (a)", "f'{a}", "${",  "0",    "->",   "=>",  "value", "\"s\"", "!"};
  size_t from = cursor;
  if (random.below(4) == 0) from = random.below(text.size());
  std::string output = text.substr(from, 1 + random.below(random.below(2) == 0 ? 20 : 120));
  const size_t n_mistakes = random.below(3);
  for (size_t i = 0; i < n_mistakes; ++i) {
    const size_t at = random.below(output.size() + 1);
    if (random.below(3) == 0) {
      output.erase(at, 1 + random.below(6));
    } else {
      output.insert(at, kScraps[random.below(std::size(kScraps))]);
    }
  }
  return output;
}

int errors_of(const CorpusFile& file, const std::string& text) {
  const Tree tree = DocumentParser(*file.language)
                        .parse(std::make_shared<const std::string>(text),
                               DocumentParser::Clock::now() + std::chrono::hours(1));
  return count_errors(*tree, {0, text.size()});
}

// Openers less closers, of each kind, outside of anything that could be a string or a comment.
std::optional<std::array<int, 3>> net_brackets(std::string_view text) {
  if (text.find_first_of("\"'`#/-$<\\") != std::string_view::npos) return std::nullopt;
  std::array<int, 3> net{};
  for (const char c : text) {
    for (size_t kind = 0; kind < net.size(); ++kind) {
      net[kind] += c == "([{"[kind] ? 1 : c == ")]}"[kind] ? -1 : 0;
    }
  }
  return net;
}

struct Tally {
  int empty = 0;
  int cut = 0;
  int whole = 0;

  void print(const char* where) const {
    std::printf("%5d %s: %d empty, %d cut, %d whole\n", empty + cut + whole, where, empty, cut,
                whole);
  }
};
struct Tallies {
  Tally at_line_end;
  Tally mid_line;
  Tally by_hand_only;  // in the middle of a line, where nothing is asked by itself
};

void check_place(const CorpusFile& file, size_t cursor, const std::string& generated,
                 Tallies& tallies) {
  const std::string& text = *file.text;
  PostprocessInput input;
  input.language = file.language;
  input.site = look_at(text, cursor, file.language);
  input.tree = DocumentParser(*file.language)
                   .parse(file.text, DocumentParser::Clock::now() + std::chrono::hours(1));
  const StopSite stop = stop_site_of(input.site, file.language, input.tree, file.text, 12);
  input.unit = stop.unit;
  input.unclosed = stop.unclosed;
  input.invoked = true;
  const std::string lf = with_lf(generated);
  input.candidate =
      std::string_view(lf).substr(0, StopChecks(stop).finish(lf, generated.size() % 2 == 0).at);
  const Postprocessed result = postprocess(input);

  const std::string_view right = input.site.after;
  const bool asked = TriggerPolicy{}.refusal(input.site, file.name, false).empty();
  Tally& tally = is_blank(right) ? tallies.at_line_end
                 : asked         ? tallies.mid_line
                                 : tallies.by_hand_only;
  if (result.text.empty()) {
    ++tally.empty;
    return;
  }
  ++(with_lf(result.text).size() < trim_right(lf).size() ? tally.cut : tally.whole);
  PostprocessInput again = input;
  again.candidate = result.text;
  const Postprocessed second = postprocess(again);
  EXPECT_EQ(second.text, result.text) << "not idempotent";
  EXPECT_EQ(second.tail_used, result.tail_used);
  std::string accepted = text;
  accepted.replace(input.site.offset, result.tail_used, result.text);
  if (is_blank(right)) {
    // What a block that is not closed makes of the rest of the document is the parser's guess.
    if (stop.unclosed.empty()) {
      EXPECT_LE(errors_of(file, accepted), errors_of(file, text)) << accepted;
    }
    return;
  }
  EXPECT_LE(errors_of(file, accepted), errors_of(file, text)) << accepted;
  const auto brought = net_brackets(result.text);
  const auto replaced = net_brackets(right.substr(0, result.tail_used));
  const bool shell = file.language->name == "bash";  // has "a)" in its case
  if (brought && replaced && !shell && stop.unclosed.empty() && stop.open_quote == 0) {
    EXPECT_EQ(*brought, *replaced) << accepted;
  }
}

TEST(Postprocess, NoSuggestionBreaksAnything) {
  const std::vector<CorpusFile> files = corpus();
  ASSERT_GE(files.size(), 20U);
  Tallies tallies;
  const unsigned seed = 20261128;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const int n_rounds = test::n_cases(3000, 200);
  for (int round = 0; round < n_rounds && !testing::Test::HasFailure(); ++round) {
    CorpusFile file = files[random.below(files.size())];
    const size_t cursor = random.below(file.text->size());
    const std::string output = plausible_output(random, *file.text, cursor);
    if (random.below(4) != 0) {  // what stands there has not been written yet
      const size_t line_end = std::min(file.text->find('\n', cursor), file.text->size());
      const size_t next_mark = file.text->find_first_of(")]},;:\"'", cursor);
      const size_t end = random.below(2) == 0 ? cursor + random.below(25) : next_mark;
      std::string gap = *file.text;
      gap.erase(cursor, std::min(end, line_end) - cursor);
      file.text = std::make_shared<const std::string>(std::move(gap));
    }
    SCOPED_TRACE(file.name + ", round " + std::to_string(round) + ", line\n" +
                 std::string(look_at(*file.text, cursor, nullptr).before) + "|" +
                 std::string(look_at(*file.text, cursor, nullptr).after) + "\nmodel:\n" + output);
    check_place(file, cursor, output, tallies);
  }
  tallies.mid_line.print("places in the middle of a line");
  tallies.by_hand_only.print("places where nothing is asked by itself");
  tallies.at_line_end.print("places at the end of a line");
}

}  // namespace
}  // namespace incipit::lsp
