#include "lsp/handlers/completion_items.h"

#include <gtest/gtest.h>

#include <string>

namespace incipit::lsp {
namespace {

constexpr auto kUtf16 = PositionEncoding::kUtf16;

TEST(InlineList, CountsInTheClientsEncoding) {
  const Document document("file:///a", "python", 1, "\U0001F600 = pri)");
  const std::vector<CompletionItem> items = {{"print(x)", 7, 11}};
  EXPECT_EQ(inline_list(items, &document, kUtf16).items.at(0).range, (Range{{0, 5}, {0, 9}}));
  EXPECT_EQ(inline_list(items, &document, PositionEncoding::kUtf32).items.at(0).range,
            (Range{{0, 4}, {0, 8}}));
  EXPECT_TRUE(inline_list(items, nullptr, kUtf16).items.empty());
}

TEST(CompletionList, CoversTheWordBeforeTheCursor) {
  const Document document("file:///a", "python", 1, "x = pri");
  const auto list = completion_list({{"nt(1)\nprint(2)", 7, 7}}, &document, 7, kUtf16);
  ASSERT_EQ(list.items.size(), 1u);
  const ListedCompletion& item = list.items[0];
  EXPECT_EQ(item.label, "print(1)");
  EXPECT_EQ(item.filterText, "print(1)");
  EXPECT_EQ(item.textEdit.newText, "print(1)\nprint(2)");
  EXPECT_EQ(item.textEdit.range, (Range{{0, 4}, {0, 7}}));
  EXPECT_EQ(item.documentation, "print(1)\nprint(2)");
  EXPECT_TRUE(list.isIncomplete);
}

TEST(CompletionList, LabelsASuggestionThatStartsWithABreakByItsFirstText) {
  const Document document("file:///a", "python", 1, "if x:");
  const auto list = completion_list({{"\n    pass", 5, 5}}, &document, 5, kUtf16);
  EXPECT_EQ(list.items.at(0).label, "pass");
  EXPECT_EQ(list.items.at(0).textEdit.newText, "\n    pass");
}

}  // namespace
}  // namespace incipit::lsp
