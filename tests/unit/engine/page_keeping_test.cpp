// The prefix cache across restarts, over the fake model: whatever becomes of the file, answers stay
// right, because a page that is not what its tokens say changes what the fake model says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <thread>

#include "engine/base/temporary_file.h"
#include "engine/schedule/page_keeper.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/engine_loop_fixture.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

class PageKeepingTest : public ::testing::Test {
 protected:
  struct Answer {
    Generation generation;
    int32_t n_restored = 0;
  };

  // One run of the program: a request, then the end.
  Answer run(const Tokens& prompt, int32_t n_pages = 64, int32_t n_new = 8) {
    auto model = std::make_unique<test::FakeModel>(test::FakeModel::Options{.n_pages = n_pages});
    const test::FakeModel& fake = *model;
    SchedulerOptions options;
    options.context_tokens = 512;
    EngineLoop loop(std::move(model), options, bytes_of_id, {}, keeping_);
    Results results;
    loop.submit(results.request(prompt, n_new));
    results.wait(1);
    Answer answer{results.at(0), loop.stats().pages_restored};
    EXPECT_EQ(answer.generation.tokens, fake_continuation(prompt, n_new));
    EXPECT_EQ(fake.n_faults(), 0);
    return answer;
  }

  int n_files() const {
    int n = 0;
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      n += entry.is_regular_file();
    return n;
  }

  test::TempDir directory_;
  PageKeeping keeping_{.path = directory_ / "model-1.pages",
                       .identity = "fake, one",
                       .max_bytes = 1 << 20,
                       .longest_at_end = std::chrono::hours(1)};
};

TEST_F(PageKeepingTest, ARestartedEngineKnowsThePromptOfTheLastRun) {
  EXPECT_EQ(run(counting(100)).generation.timings.n_cached_tokens, 0);
  const Answer warm = run(counting(100));
  EXPECT_EQ(warm.generation.timings.n_cached_tokens, 99)
      << "all but the one whose logits are wanted";
  EXPECT_EQ(warm.n_restored, 7) << "108 tokens";
  EXPECT_EQ(warm.generation.timings.n_steps_to_first_token, 1);
  EXPECT_EQ(run(counting(80)).generation.timings.n_cached_tokens, 79)
      << "still there in the third run";
  EXPECT_EQ(n_files(), 1);
}

TEST_F(PageKeepingTest, IsReadableByItsOwnerAlone) {
  run(counting(40));
  EXPECT_EQ(fs::status(keeping_.path).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(PageKeepingTest, KeepsWhatWasUsedLastWithinItsBounds) {
  const int64_t per_page = 16 * 8 + 80;
  keeping_.max_bytes = 40 + 9 + 7 * per_page;
  run(counting(64, 1));
  for (const TokenId first : {2, 3, 4}) run(counting(64, first));
  EXPECT_LE(static_cast<int64_t>(fs::file_size(keeping_.path)), keeping_.max_bytes);
  EXPECT_GE(run(counting(64, 4), 64, 0).generation.timings.n_cached_tokens, 48);
  EXPECT_EQ(run(counting(64, 1), 64, 0).generation.timings.n_cached_tokens, 0) << "the oldest went";
}

TEST_F(PageKeepingTest, LeavesHalfOfASmallPoolToWhatComes) {
  for (const TokenId first : {1, 2, 3}) run(counting(64, first));
  EXPECT_LE(run(counting(64, 7), 12).n_restored, 6);
}

TEST_F(PageKeepingTest, IgnoresPagesOfAnotherModel) {
  run(counting(100));
  keeping_.identity = "fake, two";
  const Answer other = run(counting(100));
  EXPECT_EQ(other.n_restored, 0);
  EXPECT_EQ(other.generation.timings.n_cached_tokens, 0);
}

TEST_F(PageKeepingTest, AFileThatWasCutIsIgnoredAtAnyLength) {
  run(counting(100));
  const std::string whole = test::read_file(keeping_.path);
  for (size_t size = 0; size < whole.size(); size += 37) {
    test::write_file(keeping_.path, whole.substr(0, size));
    EXPECT_EQ(run(counting(100), 64, 0).n_restored, 0) << size << " bytes of " << whole.size();
  }
}

TEST_F(PageKeepingTest, AFlippedBitIsNeverBelieved) {
  run(counting(100));
  const std::string whole = test::read_file(keeping_.path);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string broken = whole;
    broken[random() % broken.size()] ^= static_cast<char>(1 << random() % 8);
    test::write_file(keeping_.path, broken);
    EXPECT_LT(run(counting(100)).n_restored, 7);  // run() checks what the model says
  }
}

TEST_F(PageKeepingTest, AFileOfNothingButNoiseIsIgnored) {
  std::mt19937 random(7);
  for (int i = 0; i < 50; ++i) {
    std::string noise(random() % 4096, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    if (i % 2 == 0) noise.replace(0, std::min<size_t>(8, noise.size()), "INCIPKV1");
    test::write_file(keeping_.path, noise);
    EXPECT_EQ(run(counting(20)).n_restored, 0);
  }
}

TEST_F(PageKeepingTest, WritesWhenTheEngineIsIdleSoThatAKilledServerLosesLittle) {
  keeping_.idle_before_writing = std::chrono::milliseconds(0);
  EngineLoop loop(std::make_unique<test::FakeModel>(test::FakeModel::Options{}),
                  {.context_tokens = 512}, bytes_of_id, {}, keeping_);
  for (const TokenId first : {1, 2, 3}) {  // requests come in between, at any moment
    Results results;
    loop.submit(results.request(counting(100, first)));
    results.wait(1);
    EXPECT_EQ(results.at(0).tokens, fake_continuation(counting(100, first), 8));
  }
  while (!fs::exists(keeping_.path)) std::this_thread::yield();
  const auto kept = PageFileReader::open(keeping_.path, keeping_.identity, 16 * 8, 97);
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_GE(kept->runs().size(), 7U);
}

TEST_F(PageKeepingTest, AFewNewPagesAreNotWorthTheWholeFile) {
  run(counting(400));
  const std::string kept = test::read_file(keeping_.path);
  run(counting(400));
  run(counting(420));  // 2 of 27 pages
  EXPECT_TRUE(test::read_file(keeping_.path) == kept);
  run(counting(480));  // 5 of 31
  EXPECT_FALSE(test::read_file(keeping_.path) == kept);
}

TEST_F(PageKeepingTest, NothingNewIsNotWrittenInIdleTime) {
  run(counting(400));
  const auto written = fs::last_write_time(keeping_.path);
  keeping_.idle_before_writing = std::chrono::milliseconds(0);
  run(counting(400));
  run(counting(400));
  EXPECT_EQ(fs::last_write_time(keeping_.path), written);
}

TEST_F(PageKeepingTest, TheEndIsNotHeldUpAndLeavesNothingHalfWritten) {
  keeping_.longest_at_end = std::chrono::milliseconds(0);
  run(counting(400));
  EXPECT_EQ(n_files(), 0);
}

TEST_F(PageKeepingTest, WhatAKilledServerLeftGoesAtTheNextStart) {
  const pid_t killed = ::fork();
  if (killed == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(killed, nullptr, 0), killed);
  const fs::path left = directory_ / ("model-2.pages.tmp." + std::to_string(killed) + ".aa");
  const fs::path of_old_version = directory_ / "model-1.pages.Xy12Z9";
  const fs::path being_written = temporary_name(directory_ / "model-2.pages");
  for (const fs::path& path : {left, of_old_version, being_written}) test::write_file(path, "x");
  fs::last_write_time(of_old_version, fs::file_time_type::clock::now() - std::chrono::hours(1));
  keeping_.longest_at_end = std::chrono::milliseconds(0);
  run(counting(40));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_FALSE(fs::exists(of_old_version));
  EXPECT_TRUE(fs::exists(being_written));
}

TEST_F(PageKeepingTest, GoesOnWithoutADiskThatTakesIt) {
  keeping_.path = "/proc/no/such/place/model.pages";
  EXPECT_EQ(run(counting(100)).n_restored, 0);
}

TEST_F(PageKeepingTest, TheFilesOfOtherModelsGoWhenAllOfThemAreTooMuch) {
  const fs::path old = directory_ / "model-0.pages";
  const fs::path foreign = directory_ / "notes.txt";
  test::write_file(old, std::string(7000, 'x'));
  test::write_file(foreign, std::string(5000, 'x'));
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  keeping_.max_bytes = 8000;
  run(counting(100));
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(foreign)) << "not ours";
  EXPECT_TRUE(fs::exists(keeping_.path));
}

}  // namespace
}  // namespace incipit::engine
