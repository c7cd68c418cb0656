#include "lsp/handlers/type_through.h"

#include <gtest/gtest.h>

#include <string>

namespace incipit::lsp {
namespace {

// "start-end:text", or "none".
std::string adapted(const CompletionItem& item, size_t cursor, const std::string& before,
                    const std::string& now) {
  const auto found = type_through(item, cursor, before, now);
  if (!found) return "none";
  return std::to_string(found->replace_start) + "-" + std::to_string(found->replace_end) + ":" +
         found->insert_text;
}

TEST(TypeThrough, KeepsASuggestionWhoseBeginningWasTyped) {
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "    \n", "    re\n"), "4-6:return x");
}

TEST(TypeThrough, DropsItWhenSomethingElseWasTyped) {
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "    \n", "    ru\n"), "none");
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "    \n", "   re\n"), "none");
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "    \n", "    re\n\n"), "none");
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "abcd", "abc"), "none");
  EXPECT_EQ(adapted({"return x", 4, 4}, 4, "abcd", "abdc"), "none");
}

TEST(TypeThrough, DropsItWhenAllOfItWasTyped) {
  EXPECT_EQ(adapted({"abc", 0, 0}, 0, "", "abc"), "none");
  EXPECT_EQ(adapted({"abc", 0, 0}, 0, "", "abcd"), "none");
}

TEST(TypeThrough, CountsTheTextThatTheRangeReplaces) {
  EXPECT_EQ(adapted({"print(x)", 0, 4}, 3, "pri)", "prin)"), "0-5:print(x)");
  EXPECT_EQ(adapted({"print(x)", 0, 3}, 3, "pre", "pren"), "none");
  // All before the cursor is there, what follows is still to be replaced.
  EXPECT_EQ(adapted({"(a)", 0, 1}, 0, ")", "(a)"), "none");
  EXPECT_EQ(adapted({"(a)", 0, 1}, 0, ")", "(a))"), "0-4:(a)");
}

TEST(TypeThrough, StaysOnOneLineWhenALineBreakWasTyped) {
  EXPECT_EQ(adapted({"a\n  b", 1, 1}, 1, "x", "xa\n "), "4-4: b");
}

}  // namespace
}  // namespace incipit::lsp
