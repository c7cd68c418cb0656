// What prompts are told of other files, and that it stays the same while one types.
#include "lsp/completion/context_pieces.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "lsp/completion/prompt_builder.h"
#include "lsp/index/workspace_index.h"
#include "tests/support/pocket_tokenizer.h"
#include "tests/support/temp_dir.h"

namespace incipit::lsp {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A workspace on disk, indexed.
class Workspace : public testing::Test {
 protected:
  std::shared_ptr<WorkspaceIndex> index_ = std::make_shared<WorkspaceIndex>();
  test::TempDir folder_;

  void index() {
    index_->set_folders({folder_.path().string()});
    index_->wait_until_complete();
  }
  ContextChoice choice(FilesAs as = FilesAs::kFiles) const {
    return {std::shared_ptr<const SymbolIndex>(index_, &index_->symbols()), as};
  }
  std::vector<std::string> pieces_for(const std::string& text, const std::string& shown_path,
                                      size_t max_bytes = 2000) const {
    const std::string file = (folder_ / shown_path).string();
    const Language* language = find_language("", shown_path);
    const CursorSite site = look_at(text, text.size(), language);
    std::vector<std::string> shown;
    for (const ContextPiece& piece : definition_pieces(
             index_->symbols(), {&site, nullptr, language, file, shown_path}, max_bytes)) {
      shown.push_back(piece.path + "\n" + piece.text);
    }
    return shown;
  }
};

TEST_F(Workspace, TellsWhatOtherFilesDefineOfTheNamesNearTheCursor) {
  std::filesystem::create_directory(folder_ / "shop");
  test::write_file(folder_ / "shop/basket.py",
                   "class Basket:\n    def weigh(self):\n        return 1\n");
  test::write_file(folder_ / "other.py", "def unrelated(a):\n    return a\n");
  index();
  EXPECT_THAT(pieces_for("from shop.basket import Basket\n\nb = Basket()\nb.", "main.py"),
              ElementsAre(HasSubstr("shop/basket.py\nclass Basket")));
  EXPECT_THAT(pieces_for("x = 1\n", "main.py"), testing::IsEmpty());
  // Not of itself, and not of another language.
  EXPECT_THAT(pieces_for("b = Basket()\nb.", "shop/basket.py"), testing::IsEmpty());
  EXPECT_THAT(pieces_for("const b = new Basket();\nb.", "main.js"), testing::IsEmpty());
  EXPECT_THAT(pieces_for("b = Basket()\nb.", "main.py", 10), testing::IsEmpty());
}

TEST_F(Workspace, NeverShowsWhatLooksSecretOrIsExcluded) {
  const std::string key =
      "\"\"\"-----BEGIN PRIVATE KEY-----\n" + std::string(64, 'M') + "\n\"\"\"\n";
  test::write_file(folder_ / "keys.py", "def secret_token(a):\n    return a\n\n\nKEY = " + key);
  test::write_file(folder_ / ".env.py", "def secret_token(a):\n    return a\n");
  test::write_file(folder_ / "made_up.py", "def made_up(a):\n    return a\n");
  index_->set_folders({folder_.path().string()}, {"made_*.py"});
  index_->wait_until_complete();
  EXPECT_THAT(pieces_for("secret_token(made_up(", "main.py"), testing::IsEmpty());
  index();
  EXPECT_THAT(pieces_for("secret_token(made_up(", "main.py"),
              ElementsAre(HasSubstr("made_up.py\ndef made_up(a):")));
}

TEST_F(Workspace, BecomesFilesUnderTheirRepositoryOrComments) {
  test::write_file(folder_ / "area.py", "def area(w, h):\n    return w * h\n");
  index();
  const std::string text = "from area import area\n\nprint(area(";
  const std::string file = (folder_ / "main.py").string();
  const engine::PromptFormat format = test::pocket_format();
  const auto shown = [&](const engine::PromptFormat& asked, ContextChoice context) {
    PromptBuilder builder(*test::pocket_tokenizer(), asked);
    builder.use_context(std::move(context), file);
    const Text shared = std::make_shared<const std::string>(text);
    const CursorSite site = look_at(*shared, text.size(), find_language("python", ""));
    return builder.build(site, shared, nullptr, "main.py", 1000).value().tokens;
  };
  const auto tokens = shown(format, choice());
  ASSERT_GT(tokens.size(), 2u);
  EXPECT_EQ(tokens[0], format.bos);
  EXPECT_EQ(tokens[1], format.fim->repository);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), format.fim->file_separator), 2);
  const std::string name = folder_.path().filename().string();
  EXPECT_THAT(test::pocket_tokenizer()->decode(tokens),
              testing::AllOf(HasSubstr(name + "\n"), HasSubstr("area.py\ndef area(w, h):"),
                             Not(HasSubstr(folder_.path().string()))));
  engine::PromptFormat alone = format;
  alone.fim->repository = -1;
  EXPECT_EQ(shown(alone, choice())[1], format.fim->file_separator);
  EXPECT_THAT(test::pocket_tokenizer()->decode(shown(format, choice(FilesAs::kComments))),
              HasSubstr("# area.py\n# def area(w, h):"));
}

TEST_F(Workspace, StaysAsItIsWhileOneTypesAndTheFilesChange) {
  test::write_file(folder_ / "area.py", "def area(w, h):\n    return w * h\n");
  index();
  const engine::PromptFormat format = test::pocket_format();
  PromptBuilder builder(*test::pocket_tokenizer(), format);
  builder.use_context(choice(), (folder_ / "main.py").string());
  std::string text = "from area import area\n\n";
  std::vector<engine::TokenId> before;
  const std::string typed = "print(area(2, volume(3)))\nx = area(4, 5)\n";
  for (size_t i = 0; i < typed.size(); ++i) {
    if (i == 10) {
      test::write_file(folder_ / "volume.py", "def volume(a):\n    return a ** 3\n");
      index_->file_changed((folder_ / "volume.py").string());
      index_->wait_until_complete();
    }
    text += typed[i];
    const Text shared = std::make_shared<const std::string>(text);
    const CursorSite site = look_at(*shared, text.size(), find_language("python", ""));
    const auto after = builder.build(site, shared, nullptr, "main.py", 1000).value().tokens;
    const auto same = std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first;
    ASSERT_LE(before.end() - same, 6) << "at " << text;
    before = after;
  }
}

// A document that is typed in while others are open.
class BesideOthers : public testing::Test {
 protected:
  static DocumentSnapshot other(const std::string& path, const std::string& text) {
    return {
        "file:///work/" + path, path, "python", 1, std::make_shared<const std::string>(text), {}};
  }
  Prompt prompt(const std::string& text, int32_t budget = 1500) {
    const Text shared = std::make_shared<const std::string>(text);
    const CursorSite site = look_at(*shared, text.size(), find_language("python", ""));
    return builder_.build(site, shared, nullptr, "here.py", budget, PromptEnd::kBeforeToken, &open_)
        .value();
  }
  static std::string decode(const Prompt& prompt) {
    return test::pocket_tokenizer()->decode(prompt.tokens);
  }

  const std::string kText = "basket = make_basket(apples)\nbasket.weigh_all(";
  engine::PromptFormat format_ = test::pocket_format();
  PromptBuilder builder_{*test::pocket_tokenizer(), format_};
  OpenDocuments open_{{other("like.py", "basket = make_basket(pears)\nbasket.weigh_all(3)\n"),
                       other("edited.py", "def fresh(new):\n    pass\n")},
                      {},
                      1,
                      true,
                      true};
};

TEST_F(BesideOthers, SaysWhatIsSimilarAndWhatWasEditedAndTellsOfIt) {
  open_.others[1].edits = {{4, 9, 1}};
  const Prompt both = prompt(kText);
  EXPECT_THAT(decode(both), HasSubstr("like.py\nbasket = make_basket(pears)"));
  EXPECT_THAT(decode(both), HasSubstr("edited.py\ndef fresh(new):"));
  EXPECT_LT(decode(both).find("like.py"), decode(both).find("edited.py"));
  ASSERT_EQ(both.context.size(), 2u);
  EXPECT_EQ(both.context[0].source, ContextSource::kSimilar);
  EXPECT_EQ(both.context[0].path, "like.py");
  EXPECT_GT(both.context[0].n_tokens, 5);
  EXPECT_EQ(both.context[1].source, ContextSource::kEdited);
  // Other settings count at once.
  open_.similar = false;
  EXPECT_THAT(decode(prompt(kText)), AllOf(Not(HasSubstr("like.py")), HasSubstr("edited.py")));
  open_.edited = false;
  EXPECT_THAT(prompt(kText).context, testing::IsEmpty());
}

TEST_F(BesideOthers, IsSaidInCommentsToModelsThatKnowNoFiles) {
  format_.layout = engine::PromptLayout::kPlain;
  const Prompt plain = prompt(kText);
  EXPECT_THAT(decode(plain),
              HasSubstr("# like.py\n# basket = make_basket(pears)\n# basket.weigh_all(3)\nbasket"));
}

TEST_F(BesideOthers, TakesNoMoreThanItsShareOfTheBudget) {
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "basket = make_basket(apples).weigh_all(more)\n";
  open_.others = {other("a.py", lines), other("b.py", lines), other("c.py", lines)};
  for (auto& one : open_.others) one.edits = {{0, 40, 1}, {5000, 5040, 2}};
  std::string long_text;
  for (int i = 0; i < 400; ++i) long_text += "print(" + std::to_string(i) + ")\n";
  for (const int32_t budget : {100, 300, 1000, 3000}) {
    builder_ = PromptBuilder(*test::pocket_tokenizer(), format_);
    const Prompt made = prompt(long_text + kText, budget);
    EXPECT_LE(made.tokens.size(), static_cast<size_t>(budget));
    int32_t n_context = 0;
    for (const ShownPiece& piece : made.context) n_context += piece.n_tokens;
    EXPECT_LE(n_context, budget * 35 / 100);
    // What is left is the file's own, as much as a fresh window fills: 60 % of 65 % of 80 %.
    EXPECT_GT(made.tokens.size() - static_cast<size_t>(n_context),
              static_cast<size_t>(budget) * 30 / 100);
  }
}

// The prefix cache reuses exact prefixes only: what stands before the typed text must not move.
TEST_F(BesideOthers, TypingChangesNoEarlierToken) {
  open_.others[1].edits = {{4, 9, 1}};
  std::string text = kText;
  std::vector<engine::TokenId> before = prompt(text).tokens;
  for (const char c :
       std::string("apples, basket)\nother = fresh(make_basket(1))\nprint(other)\n")) {
    text += c;
    open_.own_edits = {{kText.size(), text.size(), open_.changed_at + 1}};
    const auto after = prompt(text).tokens;
    const auto same = std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first;
    ASSERT_LE(before.end() - same, 6) << "at " << text;
    before = after;
  }
}

TEST_F(BesideOthers, ChangesOfOthersShowLaterAndOnce) {
  const std::vector<engine::TokenId> first = prompt(kText).tokens;
  // While one types, what another document has become does not count at once.
  open_.others[0] = other("like.py", "basket = make_basket(plums)\nbasket.weigh_all(4)\n");
  open_.changed_at = 2;
  int n_renewed = 0;
  std::vector<engine::TokenId> last = first;
  for (int i = 0; i < 4 * ContextMaker::kPromptsBetween; ++i) {
    ++open_.changed_at;  // a document that changes all the time
    const auto tokens = prompt(kText).tokens;
    if (tokens != last) ++n_renewed;
    if (i + 1 < ContextMaker::kPromptsBetween) {
      EXPECT_EQ(tokens, first) << i;
    }
    last = tokens;
  }
  EXPECT_EQ(n_renewed, 1);  // what is said is the same from then on
  EXPECT_THAT(test::pocket_tokenizer()->decode(last), HasSubstr("make_basket(plums)"));
}

TEST_F(BesideOthers, OwnEditsCountOnlyFarAway) {
  open_.others.clear();
  std::string text = "def far_away(thing):\n    pass\n\n";
  open_.own_edits = {{4, 12, 1}};
  EXPECT_THAT(prompt(text).context, testing::IsEmpty());
  for (int i = 0; i < 2000; ++i) text += "print(" + std::to_string(i) + ")\n";
  const Prompt made = prompt(text);
  ASSERT_EQ(made.context.size(), 1u);
  EXPECT_EQ(made.context[0].path, "here.py");
  EXPECT_THAT(decode(made), HasSubstr("def far_away(thing):"));
}

}  // namespace
}  // namespace incipit::lsp
