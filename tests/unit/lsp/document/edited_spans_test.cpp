#include "lsp/document/edited_spans.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <string>

namespace incipit::lsp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kFar = EditedSpans::kNearBytes + 1;

TEST(EditedSpans, TypingIsOneSpan) {
  EditedSpans spans;
  for (size_t i = 0; i < 5; ++i) spans.replaced(10 + i, 0, 1, i + 1);
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{10, 15, 5}));
  spans.replaced(14, 1, 0, 6);  // backspace
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{10, 14, 6}));
}

TEST(EditedSpans, EditsNearEachOtherAreOneAndFarOnesAreNot) {
  EditedSpans spans;
  spans.replaced(1000, 0, 5, 1);
  spans.replaced(1100, 0, 5, 2);
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{1000, 1105, 2}));
  spans.replaced(1105 + kFar, 0, 3, 3);
  EXPECT_THAT(spans.newest_first(),
              ElementsAre(EditedSpan{1105 + kFar, 1108 + kFar, 3}, EditedSpan{1000, 1105, 2}));
}

TEST(EditedSpans, MoveWithWhatIsTypedBeforeThem) {
  EditedSpans spans;
  spans.replaced(1000, 0, 5, 1);
  spans.replaced(10, 2, 12, 2);
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{10, 22, 2}, EditedSpan{1010, 1015, 1}));
}

TEST(EditedSpans, AnEditOverTwoJoinsThem) {
  EditedSpans spans;
  spans.replaced(100, 0, 10, 1);
  spans.replaced(1000, 0, 10, 2);
  spans.replaced(105, 900, 4, 3);
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{100, 114, 3}));
}

TEST(EditedSpans, AreFewAndTheOldestGo) {
  EditedSpans spans;
  for (size_t i = 0; i < 100; ++i) spans.replaced(i * 1000, 0, 1, i + 1);
  ASSERT_EQ(spans.newest_first().size(), EditedSpans::kMaxSpans);
  EXPECT_EQ(spans.newest_first().front().when, 100u);
  EXPECT_EQ(spans.newest_first().back().when, 100u - EditedSpans::kMaxSpans + 1);
}

TEST(EditedSpans, AFileReadAgainIsNoEdit) {
  EditedSpans spans;
  spans.replaced(100, 0, 10, 1);
  spans.replaced(0, 50, EditedSpans::kMaxEditBytes + 1, 2);
  EXPECT_THAT(spans.newest_first(), ElementsAre(EditedSpan{EditedSpans::kMaxEditBytes + 51,
                                                           EditedSpans::kMaxEditBytes + 61, 1}));
  spans.replaced(0, EditedSpans::kMaxEditBytes + 200, EditedSpans::kMaxEditBytes, 3);
  EXPECT_THAT(spans.newest_first(), IsEmpty());
}

// Against a text in which every edited byte is marked.
TEST(EditedSpans, CoverWhatWasEditedInRandomOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::string marks(5000, '.');
    EditedSpans spans;
    for (uint64_t when = 1; when <= 6; ++when) {
      const size_t start = random() % (marks.size() - 40);
      const size_t n_removed = random() % 40;
      const size_t n_added = random() % 40;
      marks.replace(start, n_removed, std::string(n_added, 'x'));
      spans.replaced(start, n_removed, n_added, when);
      for (size_t at = marks.find('x'); at < marks.size(); at = marks.find('x', at + 1)) {
        const auto& all = spans.newest_first();
        ASSERT_TRUE(std::any_of(all.begin(), all.end(),
                                [&](const auto& one) { return one.start <= at && at < one.end; }))
            << "round " << round << ", edit " << when << ", byte " << at;
      }
      for (const EditedSpan& span : spans.newest_first()) ASSERT_LE(span.end, marks.size());
    }
  }
}

}  // namespace
}  // namespace incipit::lsp
