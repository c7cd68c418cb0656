// The packed file that a loaded checkpoint leaves: when it is taken, when it is made again, and
// what several loaders do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/weight_bytes.h"
#include "tests/unit/engine/weights_place.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::bytes_of;
using test::make_tiny_checkpoint;
using test::read_file;
using test::TempDir;
using test::TinyCheckpoint;
using test::TinyOptions;
using test::write_file;
using ::testing::HasSubstr;

TEST(WeightCache, MapsTheSameBytesAtTheSecondStart) {
  for (const auto head : {HeadFormat::kInt8, HeadFormat::kF16}) {
    const Place place{TinyOptions{}};
    const auto first = place.load(head);
    ASSERT_TRUE(first.ok()) << first.error().message;
    ASSERT_EQ(place.cached().size(), 1U);
    const auto written = fs::last_write_time(place.packed(head));
    const auto second = place.load(head);
    ASSERT_TRUE(second.ok()) << second.error().message;
    EXPECT_EQ(bytes_of(*first), bytes_of(*second));
    EXPECT_EQ(first->bytes, second->bytes);
    EXPECT_EQ(fs::last_write_time(place.packed(head)), written);
    EXPECT_EQ(place.cached().size(), 1U);
  }
}

TEST(WeightCache, KeepsOneFileForEachHeadFormatAndModel) {
  const Place place{TinyOptions{}};
  const Place other{TinyOptions{}};
  ASSERT_TRUE(place.load(HeadFormat::kInt8).ok());
  ASSERT_TRUE(place.load(HeadFormat::kF16).ok());
  ASSERT_TRUE(load_weights(other.model, place.options()).ok());
  EXPECT_EQ(place.cached().size(), 3U);
}

TEST(WeightCache, RefusesATruncatedCheckpointEvenWhenItIsPackedAlready) {
  const Place place{TinyOptions{}};
  ASSERT_TRUE(place.load().ok());
  const fs::path file = place.model / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 100);
  const auto weights = place.load();
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(weights.error().message, HasSubstr("model.safetensors: "));
}

TEST(WeightCache, PacksAgainWhenTheCheckpointWasEdited) {
  const Place place{TinyOptions{}};
  const auto before = place.load();
  ASSERT_TRUE(before.ok());
  TinyOptions other;
  other.seed = 2;  // same sizes, same header, other values
  make_tiny_checkpoint(other).write(place.model);
  const auto after = place.load();
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_NE(bytes_of(*after), bytes_of(*before));
  const Place fresh(other);
  EXPECT_EQ(bytes_of(*after), bytes_of(fresh.load().value()));
  EXPECT_EQ(place.cached().size(), 1U);
}

TEST(WeightCache, PacksAgainWhenTheQuantisationIsReadOtherwise) {
  const Place place{TinyOptions{}};
  ASSERT_TRUE(place.load().ok());
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.config["quantization_config"]["checkpoint_format"] = "gptq_v2";
  write_file(place.model / "config.json", tiny.config.dump());
  const auto after = place.load();
  ASSERT_TRUE(after.ok()) << after.error().message;
  EXPECT_TRUE(after->layers[0].qkv.shape.has_zeros);  // stored 7 is now 7
}

TEST(WeightCache, PacksAgainOverADamagedFile) {
  const Place place{TinyOptions{}};
  const std::string expected = bytes_of(place.load().value());
  const std::string good = read_file(place.packed());
  std::vector<std::string> damaged = {"", "short", good.substr(0, good.size() / 2), good + "x"};
  for (const size_t at :
       {size_t{0}, size_t{8}, size_t{20}, size_t{100}, good.size() / 2, good.size() - 1}) {
    damaged.push_back(good);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 1);
  }
  for (const std::string& bytes : damaged) {
    fs::remove(place.packed());  // not in place: the first load has it mapped
    write_file(place.packed(), bytes);
    const auto weights = place.load();
    ASSERT_TRUE(weights.ok()) << weights.error().message;
    EXPECT_EQ(bytes_of(*weights), expected);
    EXPECT_EQ(read_file(place.packed()), good);
  }
}

TEST(WeightCache, NamesSectionWantedAndFoundOfADamagedFile) {
  const Place place{TinyOptions{}};
  ASSERT_TRUE(place.load().ok());
  std::string bytes = read_file(place.packed());
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  fs::remove(place.packed());
  write_file(place.packed(), bytes);
  const auto config = load_model_config(place.model).value();
  const auto identity =
      packed_identity(config, HeadFormat::kInt8, Checkpoint::open(place.model).value(),
                      load_quant_config(place.model).value());
  const auto mapped = map_packed_weights(place.packed(), config, identity.value());
  ASSERT_FALSE(mapped.ok());
  EXPECT_EQ(mapped.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(mapped.error().message, HasSubstr(".weights: section embedding: want checksum"));
}

TEST(WeightCache, KeepsWeightsInMemoryWhenTheCacheCannotBeWritten) {
  const Place place{TinyOptions{}};
  const std::string expected = bytes_of(place.load().value());
  write_file(place.dir / "a file", "");
  for (const fs::path& cache :
       {place.dir / "a file", place.dir / "a file" / "below", fs::path("/proc/no such place")}) {
    const auto weights = load_weights(place.model, {HeadFormat::kInt8, cache.string()});
    ASSERT_TRUE(weights.ok()) << weights.error().message;
    EXPECT_EQ(bytes_of(*weights), expected);
  }
}

TEST(WeightCache, SeveralLoadersAtOnceGetTheSameWeights) {
  const Place place{TinyOptions{}};
  const Place reference{TinyOptions{}};
  const std::string expected = bytes_of(reference.load().value());
  std::vector<std::thread> loaders;
  std::atomic<int> n_right{0};
  for (int i = 0; i < 4; ++i) {
    loaders.emplace_back([&] {
      const auto weights = place.load();
      if (weights.ok() && bytes_of(*weights) == expected) ++n_right;
    });
  }
  for (std::thread& loader : loaders) loader.join();
  EXPECT_EQ(n_right, 4);
  EXPECT_EQ(place.cached().size(), 1U);
}

TEST(WeightCache, SurvivesALoaderKilledHalfway) {
  const Place place{TinyOptions{}};
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto kill_halfway = [](double fraction, const std::string&) {
      if (fraction > 0.4) ::kill(::getpid(), SIGKILL);
    };
    const auto unused = load_weights(place.model, place.options(), kill_halfway);
    ::_exit(unused.ok() ? 1 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(place.packed()));
  const auto weights = place.load();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_TRUE(fs::exists(place.packed()));
}

TEST(DefaultCacheDir, FollowsXdgThenHome) {
  const char* old_cache = std::getenv("XDG_CACHE_HOME");
  const std::string kept_cache = old_cache == nullptr ? "" : old_cache;
  const char* old_home = std::getenv("HOME");
  const std::string kept_home = old_home == nullptr ? "" : old_home;
  ::setenv("HOME", "/home/someone", 1);
  ::setenv("XDG_CACHE_HOME", "/somewhere/cache", 1);
  EXPECT_EQ(default_cache_dir().value(), "/somewhere/cache/incipit");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(default_cache_dir().value(), "/home/someone/.cache/incipit");
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(default_cache_dir().value(), "/home/someone/.cache/incipit");
  ::unsetenv("HOME");
  EXPECT_FALSE(default_cache_dir().ok());

  // Without any place to cache in, a model still loads.
  const Place place{TinyOptions{}};
  EXPECT_TRUE(load_weights(place.model, {HeadFormat::kInt8, ""}).ok());

  if (!kept_home.empty()) ::setenv("HOME", kept_home.c_str(), 1);
  if (!kept_cache.empty()) ::setenv("XDG_CACHE_HOME", kept_cache.c_str(), 1);
}

}  // namespace
}  // namespace incipit::engine
