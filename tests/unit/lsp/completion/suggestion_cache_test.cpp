#include "lsp/completion/suggestion_cache.h"

#include <gmock/gmock.h>

#include "tests/support/marked_text.h"

namespace incipit::lsp {
namespace {

SuggestionPlace place(std::string_view marked_text, std::string_view uri = "file:///a",
                      const CompletionOptions& options = {}) {
  const test::MarkedText marked = test::parse_marked(marked_text);
  return suggestion_place(uri, look_at(marked.text, marked.cursor, nullptr), options);
}

std::string found(SuggestionCache& cache, const SuggestionPlace& at) {
  const auto hit = cache.find(at);
  return hit ? hit->candidate : "(nothing)";
}

TEST(SuggestionCache, GivesTheRestOfWhatIsBeingTyped) {
  SuggestionCache cache;
  cache.remember(place("x = $0\ny\n"), {"compute(z)"});
  EXPECT_EQ(found(cache, place("x = $0\ny\n")), "compute(z)");
  EXPECT_EQ(found(cache, place("x = com$0\ny\n")), "pute(z)");
  EXPECT_EQ(found(cache, place("x = con$0\ny\n")), "(nothing)");
  EXPECT_EQ(found(cache, place("x = compute(z)$0\ny\n")), "(nothing)");
}

TEST(SuggestionCache, SeesThroughABracketThatTheEditorClosed) {
  SuggestionCache cache;
  cache.remember(place("x = $0\ny\n"), {"compute(z)"});
  EXPECT_EQ(found(cache, place("x = compute($0)\ny\n")), "z)");
}

TEST(SuggestionCache, SeesThroughTheLineEndsOfTheDocument) {
  SuggestionCache cache;
  cache.remember(place("if x:$0\r\ny\r\n"), {"\n    compute(z)"});
  EXPECT_EQ(found(cache, place("if x:\r\n    co$0\r\ny\r\n")), "mpute(z)");
}

TEST(SuggestionCache, IsNotFooledByAnotherPlaceOrDocument) {
  SuggestionCache cache;
  cache.remember(place("x = $0\ny\n"), {"compute(z)"});
  EXPECT_EQ(found(cache, place("z = com$0\ny\n")), "(nothing)");
  EXPECT_EQ(found(cache, place("x = com$0\nyy\n")), "(nothing)");
  EXPECT_EQ(found(cache, place("x = com$0\ny\n", "file:///b")), "(nothing)");
  EXPECT_EQ(found(cache, place("x =$0\ny\n")), "(nothing)");
}

TEST(SuggestionCache, OtherSettingsAreAnotherSuggestion) {
  SuggestionCache cache;
  const CompletionOptions one_line{64, 1, 0};
  cache.remember(place("x = $0\ny\n", "file:///a", one_line), {"compute(z)"});
  EXPECT_EQ(found(cache, place("x = com$0\ny\n", "file:///a", one_line)), "pute(z)");
  EXPECT_EQ(found(cache, place("x = com$0\ny\n", "file:///a", {64, 12, 0})), "(nothing)");
  EXPECT_EQ(found(cache, place("x = com$0\ny\n", "file:///a", {128, 1, 0})), "(nothing)");
}

std::vector<std::string> all_found(const SuggestionCache& cache, const SuggestionPlace& at) {
  std::vector<std::string> texts;
  for (const Suggestion& one : cache.find_all(at)) texts.push_back(one.candidate);
  return texts;
}

TEST(SuggestionCache, KeepsOthersBehindTheFirst) {
  SuggestionCache cache;
  cache.remember(place("y = $0\ny\n"), {"elsewhere"});
  cache.remember(place("x = $0\ny\n"), {"compute(z)"});
  cache.remember(place("x = $0\ny\n"), {"comb(z)"}, {1, 1});
  cache.remember(place("x = $0\ny\n"), {"compute(z)"}, {1, 2});
  cache.remember(place("x = c$0\ny\n"), {"all(z)"}, {2, 1});
  using Texts = std::vector<std::string>;
  EXPECT_EQ(all_found(cache, place("x = $0\ny\n")), (Texts{"compute(z)", "comb(z)"}));
  EXPECT_EQ(all_found(cache, place("x = c$0\ny\n")), (Texts{"ompute(z)", "omb(z)", "all(z)"}));
  EXPECT_EQ(found(cache, place("x = c$0\ny\n")), "ompute(z)");
  EXPECT_EQ(found(cache, place("x = comb$0\ny\n")), "(z)");
  EXPECT_EQ(all_found(cache, place("z = $0\ny\n")), Texts());
}

TEST(SuggestionCache, KeepsTheOrderOfAnAnswerWhicheverOfItsDrawsEndedFirst) {
  SuggestionCache cache;
  const SuggestionPlace at = place("x = $0\ny\n");
  cache.remember(at, {"third"}, {1, 3});
  cache.remember(at, {"second"}, {1, 4});
  cache.remember(at, {"first"}, {1, 0});
  cache.remember(at, {"second"}, {1, 2});
  cache.remember(at, {"first"}, {1, 1});
  cache.remember(at, {"of another answer"}, {2, 1});
  EXPECT_EQ(all_found(cache, at),
            (std::vector<std::string>{"first", "second", "third", "of another answer"}));
}

TEST(SuggestionCache, KeepsItsOrderWhenALongerOneIsTypedThrough) {
  SuggestionCache cache;
  cache.remember(place("x = $0\ny\n"), {"get()"});
  cache.remember(place("x = $0\ny\n"), {"get().name"}, {1, 1});
  EXPECT_EQ(found(cache, place("x = get()$0\ny\n")), ".name");
  EXPECT_EQ(all_found(cache, place("x = $0\ny\n")),
            (std::vector<std::string>{"get()", "get().name"}));
}

TEST(SuggestionCache, KeepsUnsureOnesForThoseWhoWantThem) {
  SuggestionCache cache;
  cache.remember(place("x = $0\ny\n"), {"sure", CompletionUnit::kBlock, 0.8});
  cache.remember(place("x = $0\ny\n"), {"unsure", CompletionUnit::kBlock, 0.3});
  EXPECT_EQ(cache.find(place("x = $0\ny\n"), 0.5).value().candidate, "sure");
  EXPECT_EQ(cache.find(place("x = u$0\ny\n"), 0.5), std::nullopt);
  EXPECT_EQ(found(cache, place("x = u$0\ny\n")), "nsure");
}

TEST(SuggestionCache, ForgetsADocumentAndTheOldest) {
  SuggestionCache cache(2);
  cache.remember(place("a$0\n"), {"one"});
  cache.remember(place("b$0\n"), {"two"});
  cache.remember(place("c$0\n", "file:///b"), {"three"});
  EXPECT_EQ(found(cache, place("a$0\n")), "(nothing)");
  EXPECT_EQ(found(cache, place("b$0\n")), "two");
  cache.forget("file:///a");
  EXPECT_EQ(found(cache, place("b$0\n")), "(nothing)");
  EXPECT_EQ(found(cache, place("c$0\n", "file:///b")), "three");
}

}  // namespace
}  // namespace incipit::lsp
