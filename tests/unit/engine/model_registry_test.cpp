#include "engine/weights/model_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/environment.h"
#include "tests/support/temp_dir.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::Environment;
using test::TempDir;
using test::write_file;
using ::testing::HasSubstr;

void make_model(const fs::path& dir) {
  fs::create_directories(dir);
  write_file(dir / "config.json", "{}");
}

struct Registry : ::testing::Test {
  TempDir dir;
  Environment home{"HOME", (dir / "home").string()};
  Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  Environment listed{"INCIPIT_MODEL_PATH",
                     (dir / "one").string() + "::" + (dir / "two").string() + ":"};
};

TEST_F(Registry, FindsThePocketModelOfTheSourceTreeByName) {
  const auto found = find_model("pocket");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_TRUE(fs::exists(*found / "model.safetensors"));
}

TEST_F(Registry, TakesADirectoryAsItIs) {
  make_model(dir / "somewhere");
  const auto found = find_model((dir / "somewhere").string());
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(*found, dir / "somewhere");
}

TEST_F(Registry, SearchesTheListedDirectoriesFirstAndInOrder) {
  make_model(dir / "data/incipit/models/a");
  EXPECT_EQ(find_model("a").value(), dir / "data/incipit/models/a");
  make_model(dir / "two/a");
  EXPECT_EQ(find_model("a").value(), dir / "two/a");
  make_model(dir / "one/a");
  EXPECT_EQ(find_model("a").value(), dir / "one/a");
  make_model(dir / "one/pocket");  // the user's own hides the shipped one
  EXPECT_EQ(find_model("pocket").value(), dir / "one/pocket");
}

TEST_F(Registry, LooksInTheHomeDirectoryWithoutXdg) {
  const Environment no_data("XDG_DATA_HOME", "");
  make_model(dir / "home/.local/share/incipit/models/b");
  EXPECT_EQ(find_model("b").value(), dir / "home/.local/share/incipit/models/b");
}

TEST_F(Registry, ListsEachNameOnceWithTheDirectoryThatFindModelTakes) {
  make_model(dir / "one/a");
  make_model(dir / "two/a");
  make_model(dir / "two/c");
  fs::create_directories(dir / "two/not a model");
  const auto models = list_models();
  ASSERT_EQ(models.size(), 3U);
  EXPECT_EQ(models[0].name, "a");
  EXPECT_EQ(models[0].directory, dir / "one/a");
  EXPECT_EQ(models[1].name, "c");
  EXPECT_EQ(models[2].name, "pocket");
}

TEST_F(Registry, SaysWhereItLookedAndWhichNamesExist) {
  make_model(dir / "one/a");
  for (const char* name : {"nothing", "../one/a", "a/b"}) {
    const auto found = find_model(name);
    ASSERT_FALSE(found.ok()) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
    for (const std::string& part :
         {std::string("\"") + name + "\"", (dir / "one").string(), (dir / "two").string(),
          (dir / "data/incipit/models").string(), std::string("these names: a, pocket")}) {
      EXPECT_THAT(found.error().message, HasSubstr(part)) << name;
    }
  }
}

TEST_F(Registry, TakesAnEmptyNameAsTheDefaultModel) {
  EXPECT_EQ(default_model(), "pocket");
  EXPECT_EQ(find_model("").value(), find_model("pocket").value());
  make_model(dir / "data/incipit/models/a");
  write_file(dir / "data/incipit/default-model", "a\n");
  EXPECT_EQ(default_model(), "a");
  EXPECT_EQ(find_model("").value(), dir / "data/incipit/models/a");

  fs::remove_all(dir / "data/incipit/models/a");
  const auto gone = find_model("");
  ASSERT_FALSE(gone.ok());
  EXPECT_THAT(gone.error().message, HasSubstr("model \"a\" (the default): want"));
  write_file(dir / "data/incipit/default-model", "../../etc\n");  // not a name
  EXPECT_EQ(default_model(), "pocket");
}

TEST_F(Registry, DoesNotFindWhatIsBeingMade) {
  make_model(dir / "one/.being-added");
  EXPECT_FALSE(find_model(".being-added").ok());
  for (const InstalledModel& model : list_models()) EXPECT_NE(model.name, ".being-added");
}

TEST_F(Registry, SaysThatADirectoryHasNoConfig) {
  const auto found = find_model(dir.path().string());
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.error().message, HasSubstr("want a config.json in this directory"));
}

}  // namespace
}  // namespace incipit::engine
