#include "lsp/completion/postprocess.h"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "tests/support/golden.h"
#include "tests/support/marked_text.h"

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

TEST(StopChecks, EndASuggestionWhereTheCasesSay) {
  EXPECT_THAT(test::check_golden(kFolder / "stops.txt", apply_stops), testing::IsEmpty());
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
    PostprocessInput input{site, language, stop.unit, {}, stop.unclosed, false, false, false};
    const std::string lf = with_lf(generated);
    input.candidate = std::string_view(lf).substr(0, cut.at);
    const Postprocessed result = postprocess(input);
    ASSERT_EQ(result.text.empty(), !result.why_empty.empty()) << text << "|" << generated;
    ASSERT_LE(result.tail_used, site.after.size());
  }
}

}  // namespace
}  // namespace incipit::lsp
