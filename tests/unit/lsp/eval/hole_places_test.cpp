#include "lsp/eval/hole_places.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

#include "lsp/context/cursor_site.h"
#include "lsp/eval/hole_choice.h"

namespace incipit::lsp::eval {
namespace {

using testing::IsEmpty;

Tree python_tree(std::string text) {
  return DocumentParser(*find_language("python", ""))
      .parse(std::make_shared<const std::string>(std::move(text)),
             DocumentParser::Clock::now() + std::chrono::hours(1));
}

std::string many_functions(const std::string& name, int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "def " + name + std::to_string(i) +
            "(value):\n    result = value + 1\n    return result\n\n";
  }
  return text;
}

std::string cut_out(const SyntaxTree& tree, const Hole& hole) {
  return tree.text()->substr(hole.start, hole.end - hole.start);
}

TEST(EvalHoles, AreTheSameForTheSameTextAndSeedAndOthersForAnother) {
  const Tree tree = python_tree(many_functions("f", 20));
  for (const HoleKind kind : kHoleKinds) {
    EXPECT_EQ(draw_holes(*tree, kind, 1, 5), draw_holes(*tree, kind, 1, 5));
    EXPECT_NE(draw_holes(*tree, kind, 1, 5), draw_holes(*tree, kind, 2, 5));
  }
}

TEST(EvalHoles, KeepTheirPlacesWhenMoreAreAskedFor) {
  const Tree tree = python_tree(many_functions("f", 20));
  const std::vector<Hole> few = draw_holes(*tree, HoleKind::kLine, 1, 3);
  const std::vector<Hole> more = draw_holes(*tree, HoleKind::kLine, 1, 9);
  EXPECT_EQ(few, std::vector<Hole>(more.begin(), more.begin() + 3));
}

TEST(EvalHoles, EndWithTheirLineAndShareNone) {
  const Tree tree = python_tree(many_functions("f", 20));
  for (const HoleKind kind : kHoleKinds) {
    const std::vector<Hole> holes = draw_holes(*tree, kind, 7, 100);
    ASSERT_GT(holes.size(), 10u);
    std::set<size_t> ends;
    for (const Hole& hole : holes) {
      EXPECT_EQ((*tree->text())[hole.end], '\n');
      EXPECT_FALSE(is_blank(cut_out(*tree, hole)));
      EXPECT_TRUE(ends.insert(hole.end).second);
    }
  }
}

TEST(EvalHoles, OfABlockAreSeveralWholeLines) {
  const Tree tree = python_tree(many_functions("f", 1));
  const std::vector<Hole> holes = draw_holes(*tree, HoleKind::kBlock, 1, 10);
  ASSERT_EQ(holes.size(), 1u);
  EXPECT_EQ(cut_out(*tree, holes[0]), "result = value + 1\n    return result");
}

TEST(EvalHoles, OfATokenBeginInsideAName) {
  const Tree tree = python_tree(many_functions("function", 20));
  for (const Hole& hole : draw_holes(*tree, HoleKind::kToken, 1, 100)) {
    EXPECT_TRUE(is_identifier((*tree->text())[hole.start - 1]));
    EXPECT_TRUE(is_identifier((*tree->text())[hole.start]));
  }
}

TEST(EvalHoles, OfALineBeginNowAndThenInsideAToken) {
  const Tree tree = python_tree(many_functions("function", 100));
  int n = 0, inside = 0;
  for (const Hole& hole : draw_holes(*tree, HoleKind::kLine, 1, 1000)) {
    ++n;
    const std::string_view around = std::string_view(*tree->text()).substr(hole.start);
    const bool follows = hole.start > 0 && is_identifier((*tree->text())[hole.start - 1]);
    inside += follows && is_identifier(around.front()) ? 1 : 0;
  }
  ASSERT_GT(n, 200);
  EXPECT_GT(inside, n / 20);  // a quarter is tried, and not every token has an inside
  EXPECT_LT(inside, n / 3);
}

TEST(EvalHoles, NeverCutACharacter) {
  const Tree tree = python_tree("größe = 'äöüäöüäöü' + 'ßßßßßßß'\n");
  for (uint64_t seed = 0; seed < 200; ++seed) {
    for (const Hole& hole : draw_holes(*tree, HoleKind::kLine, seed, 1)) {
      EXPECT_NE(static_cast<unsigned char>((*tree->text())[hole.start]) & 0xC0, 0x80);
    }
  }
}

TEST(EvalHoles, AreMoreThanPunctuation) {
  const Tree tree = python_tree("f([\n    1,\n])\n");
  for (const HoleKind kind : kHoleKinds) {
    for (const Hole& hole : draw_holes(*tree, kind, 1, 9)) {
      EXPECT_NE(hole.start, tree->text()->find("])"));
      EXPECT_NE(hole.start, tree->text()->find("([") + 1);
    }
  }
}

TEST(EvalHoles, AreNotInComments) {
  const Tree tree = python_tree("# a comment with many words in it\n# and another one\n");
  for (const HoleKind kind : kHoleKinds) EXPECT_THAT(draw_holes(*tree, kind, 1, 9), IsEmpty());
}

FilePlaces places_in(const std::string& name, int n_functions) {
  const Tree tree = python_tree(many_functions(name, n_functions));
  FilePlaces places{tree->text(), {}};
  for (const HoleKind kind : kHoleKinds) {
    places.holes[static_cast<size_t>(kind)] = draw_holes(*tree, kind, 1, 50);
  }
  return places;
}

TEST(EvalHoleChoice, SpreadsOverFilesAndKinds) {
  const std::vector<FilePlaces> files = {places_in("a", 10), places_in("b", 10),
                                         places_in("c", 10)};
  const auto chosen = choose_holes(files, kHoleKinds, 10);
  std::array<int, 3> by_kind{};
  for (const std::vector<Hole>& holes : chosen) {
    EXPECT_GE(holes.size(), 3u);
    EXPECT_LE(holes.size(), 4u);
    for (size_t i = 0; i < holes.size(); ++i) {
      ++by_kind[static_cast<size_t>(holes[i].kind)];
      if (i > 0) {
        EXPECT_GT(holes[i].start, holes[i - 1].end);
      }
    }
  }
  EXPECT_THAT(by_kind, testing::ElementsAre(4, 3, 3));
}

TEST(EvalHoleChoice, TakesWhatThereIs) {
  const std::vector<FilePlaces> files = {places_in("a", 1)};
  const auto chosen = choose_holes(files, kHoleKinds, 100);
  EXPECT_GE(chosen[0].size(), 1u);
  EXPECT_LE(chosen[0].size(), 3u);  // three lines of code, none twice
  EXPECT_THAT(choose_holes({}, kHoleKinds, 5), IsEmpty());
  EXPECT_THAT(choose_holes(files, {}, 5)[0], IsEmpty());
}

TEST(EvalHoleChoice, TakesWantedKindsOnly) {
  const std::vector<FilePlaces> files = {places_in("a", 10)};
  const HoleKind kinds[] = {HoleKind::kBlock};
  const auto chosen = choose_holes(files, kinds, 5);
  EXPECT_EQ(chosen[0].size(), 5u);
  for (const Hole& hole : chosen[0]) EXPECT_EQ(hole.kind, HoleKind::kBlock);
}

}  // namespace
}  // namespace incipit::lsp::eval
