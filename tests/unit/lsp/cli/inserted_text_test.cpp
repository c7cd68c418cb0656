#include "lsp/cli/inserted_text.h"

#include <gtest/gtest.h>

namespace incipit::lsp::cli {
namespace {

constexpr std::string_view kText = "return sum()";
constexpr size_t kCursor = 11;  // inside the brackets

TEST(InsertedText, LeavesOutWhatStandsThere) {
  EXPECT_EQ(inserted_text({"p for p in prices)", 11, 12}, kText, kCursor), "p for p in prices");
  EXPECT_EQ(inserted_text({"p for p in prices", 11, 11}, kText, kCursor), "p for p in prices");
  EXPECT_EQ(inserted_text({"sum(x)", 7, 12}, kText, kCursor), "x");
  EXPECT_EQ(inserted_text({"f(x))", 11, 12}, kText, kCursor), "f(x)");
}

TEST(InsertedText, IsNoneWhereOtherTextIsReplaced) {
  EXPECT_FALSE(inserted_text({"x) + 1", 11, 12}, kText, kCursor));
  EXPECT_FALSE(inserted_text({"max(x", 7, 11}, kText, kCursor));
  // One bracket does not count as both the typed and the one that stands there.
  EXPECT_FALSE(inserted_text({")", 0, 2}, "))", 1));
}

}  // namespace
}  // namespace incipit::lsp::cli
