// A model is replaced whole or not at all, whatever fails between the two names.
#include "engine/tools/model_directory.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "tests/support/environment.h"
#include "tests/support/temp_dir.h"

namespace {

bool file_system_exchanges = true;

}  // namespace

// In place of the C library's: as on a file system that cannot exchange two names.
extern "C" int renameat2(int old_directory, const char* old_path, int new_directory,
                         const char* new_path, unsigned int flags) noexcept {
  if (!file_system_exchanges) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(
      ::syscall(SYS_renameat2, old_directory, old_path, new_directory, new_path, flags));
}

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

struct ModelDirectoryTest : ::testing::TestWithParam<bool> {
  test::TempDir dir;
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  fs::path models = dir / "data/incipit/models";

  void SetUp() override {
    file_system_exchanges = GetParam();
    put(models / "tiny", "old");
  }
  void TearDown() override { file_system_exchanges = true; }

  static void put(const fs::path& directory, const std::string& bytes) {
    fs::create_directories(directory);
    test::write_file(directory / "weights", bytes);
  }
  std::string tiny() const {
    return fs::exists(models / "tiny") ? test::read_file(models / "tiny/weights") : "none";
  }
  int64_t n_entries() const {
    return std::distance(fs::directory_iterator(models), fs::directory_iterator{});
  }
};

TEST_P(ModelDirectoryTest, ReplacesAModel) {
  auto directory = ModelDirectory::open();
  ASSERT_TRUE(directory.ok()) << directory.error().message;
  put(directory->hidden().value(), "new");
  const auto done = directory->publish("tiny");
  EXPECT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(tiny(), "new");
  EXPECT_EQ(n_entries(), 1);
}

TEST_P(ModelDirectoryTest, KeepsTheOldModelWhenTheNewOneCannotHaveItsName) {
  {
    auto directory = ModelDirectory::open();
    ASSERT_TRUE(directory.ok()) << directory.error().message;
    fs::remove_all(directory->hidden().value());  // so that it has nothing to rename
    EXPECT_FALSE(directory->publish("tiny").ok());
    EXPECT_EQ(tiny(), "old");
  }
  EXPECT_EQ(tiny(), "old");
  EXPECT_EQ(n_entries(), 1);
}

TEST_P(ModelDirectoryTest, PutsBackWhatACommandThatDiedWasAboutToReplace) {
  fs::rename(models / "tiny", models / ".being-replaced.tiny");
  put(models / ".being-added", "new, perhaps not whole");
  ASSERT_TRUE(ModelDirectory::open().ok());
  EXPECT_EQ(tiny(), "old");
  EXPECT_EQ(n_entries(), 1);
}

TEST_P(ModelDirectoryTest, RemovesWhatACommandThatDiedHadReplaced) {
  put(models / ".being-replaced.tiny", "older");
  put(models / ".being-removed", "another");
  ASSERT_TRUE(ModelDirectory::open().ok());
  EXPECT_EQ(tiny(), "old");
  EXPECT_EQ(n_entries(), 1);
}

INSTANTIATE_TEST_SUITE_P(FileSystem, ModelDirectoryTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "ThatExchangesNames" : "ThatCannotExchangeNames";
});

}  // namespace
}  // namespace incipit::engine
