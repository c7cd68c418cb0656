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
  ContextChoice choice(DefinitionsAs as = DefinitionsAs::kFiles) const {
    return {std::shared_ptr<const SymbolIndex>(index_, &index_->symbols()), as};
  }
  std::vector<std::string> pieces_for(const std::string& text, const std::string& shown_path,
                                      size_t max_bytes = 2000) const {
    const std::string file = (folder_ / shown_path).string();
    const Language* language = find_language("", shown_path);
    const CursorSite site = look_at(text, text.size(), language);
    std::vector<std::string> shown;
    for (const ContextPiece& piece :
         context_pieces(choice(), {&site, nullptr, language, file, shown_path}, max_bytes)) {
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
  EXPECT_THAT(test::pocket_tokenizer()->decode(shown(format, choice(DefinitionsAs::kComments))),
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

}  // namespace
}  // namespace incipit::lsp
