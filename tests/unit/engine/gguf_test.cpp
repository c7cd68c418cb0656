#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/weights/block_formats.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/gguf_file.h"
#include "tests/support/gguf_builder.h"

namespace incipit::engine {
namespace {

using test::GgufBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint32_t kF32Type = 0, kQ4KType = 12;

Result<GgufFile> parsed(const std::string& bytes) {
  return GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf");
}

// tests/golden/gguf/blocks.gguf, made by tests/oracle/formats/make_gguf.py: blocks of random bits
// of each type, and the numbers that they stand for.
TEST(GgufBlocks, AreReadAsTheirDescriptionsSay) {
  const auto file = GgufFile::open(INCIPIT_SOURCE_DIR "/tests/golden/gguf/blocks.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"}) {
    SCOPED_TRACE(type);
    const Tensor* blocks = file->find(type);
    const Tensor* wanted = file->find(std::string(type) + ".wanted");
    ASSERT_TRUE(blocks != nullptr && wanted != nullptr);
    EXPECT_STREQ(name_of(blocks->type), type);
    const auto n = static_cast<size_t>(blocks->n_elements());
    ASSERT_EQ(n, 2U * static_cast<size_t>(block_shape(blocks->type).n_elements));
    std::vector<float> got(n), want(n);
    copy_floats(*blocks, 0, got);
    copy_floats(*wanted, 0, want);
    for (size_t i = 0; i < n; ++i)
      ASSERT_NEAR(got[i], want[i], 1e-6 * (1 + std::fabs(want[i]))) << i;
    // From the second block on.
    std::vector<float> tail(n / 2);
    copy_floats(*blocks, static_cast<int64_t>(n / 2), tail);
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), got.begin() + static_cast<int64_t>(n / 2)));
  }
}

TEST(GgufFile, NamesWhatIsWrongWithAFile) {
  GgufBuilder good;
  good.add("general.architecture", "llama");
  good.add_tensor("a", {2, 32}, kF32Type, std::string(256, 'x'));
  good.add_tensor("b", {256}, kQ4KType, std::string(144, 'x'));
  ASSERT_TRUE(parsed(good.file()).ok()) << parsed(good.file()).error().message;

  const auto number = [](auto value) { return GgufBuilder::bytes(value); };
  const auto text = [](const std::string& string) { return GgufBuilder::string(string); };
  struct Wrong {
    std::string bytes;
    const char* says;
  };
  std::vector<Wrong> table = {
      {"", "magic: want 4 bytes"},
      {"GGML1234", "magic: want GGUF"},
      {"GGUF" + number(uint32_t{1}), "version: want 2 or 3"},
      {"GGUF" + number(uint32_t{0x03000000}), "little-endian, found 50331648"},
      {"GGUF" + number(uint32_t{3}) + number(uint64_t{0}) + number(uint64_t{1} << 60),
       "number of metadata entries: want at most 0"},
      {"GGUF" + number(uint32_t{3}) + number(uint64_t{1} << 60) + number(uint64_t{0}),
       "number of tensors: want at most 0"},
  };
  const auto with_entry = [&](const std::string& entry, const char* says) {
    GgufBuilder builder = good;
    builder.add_raw(entry);
    table.push_back({builder.file(), says});
  };
  with_entry(text(std::string(70000, 'k')) + number(uint32_t{8}), "a metadata key: want a string");
  with_entry(number(uint64_t{1} << 40), "a metadata key: want a string of at most 65535");
  with_entry(text("k") + number(uint32_t{13}), "k: want a type in 0..12, found 13");
  with_entry(text("k") + number(uint32_t{8}) + number(uint64_t{1} << 50), "k: want a string of");
  with_entry(text("k") + number(uint32_t{9}) + number(uint32_t{4}) + number(uint64_t{1} << 61),
             "k: want at most");
  with_entry(text("k") + number(uint32_t{9}) + number(uint32_t{9}) + number(uint64_t{1}),
             "k: want values in an array, found arrays");
  with_entry(text("general.architecture") + number(uint32_t{8}) + text("x"), "each key once");
  with_entry(text("general.alignment") + number(uint32_t{4}) + number(uint32_t{24}),
             "general.alignment: want a power of two");
  const auto with_tensor = [&](const std::string& name, std::vector<int64_t> shape, uint32_t type,
                               const char* says) {
    GgufBuilder builder = good;
    builder.add_tensor(name, std::move(shape), type, "");
    table.push_back({builder.file(), says});
  };
  with_tensor("c", {4}, 20, "c: type: want one of F32, F16, Q4_0");
  with_tensor("c", {4}, 20, "found IQ4_NL (20)");
  with_tensor("c", {1, 1, 1, 1, 1}, 0, "c: want at most 4 dimensions");
  with_tensor("c", {0}, 0, "c: want sizes from 1");
  with_tensor("c", {int64_t{1} << 40, int64_t{1} << 40}, 0, "c: want at most the file's");
  with_tensor("c", {100}, kQ4KType, "c: want rows of a multiple of 256 elements for Q4_K");
  with_tensor("c", {1}, 0, "c: want 4 bytes at a multiple of 32");
  GgufBuilder twice = good;
  twice.add_tensor("a", {1}, 0, "1234");
  table.push_back({twice.file(), "want each name once, found a twice"});
  std::string overlap = good.file();
  const std::string b_row =
      text("b") + number(uint32_t{1}) + number(uint64_t{256}) + number(uint32_t{kQ4KType});
  overlap.replace(overlap.find(b_row) + b_row.size(), 8, number(uint64_t{224}));
  table.push_back({overlap, "b: overlaps a: want data at offset 256 or later, found 224"});
  for (const Wrong& wrong : table) {
    const auto file = parsed(wrong.bytes);
    ASSERT_FALSE(file.ok()) << wrong.says;
    EXPECT_THAT(file.error().message, AllOf(HasSubstr("m.gguf: "), HasSubstr(wrong.says)));
  }
}

TEST(GgufFile, RefusesEveryTruncationOfASmallFile) {
  GgufBuilder builder;
  builder.add("general.architecture", "llama");
  builder.add("tokens", std::vector<std::string>{"a", "bc"});
  builder.add_tensor("a", {8}, kF32Type, std::string(32, 'x'));
  const std::string whole = builder.file();
  ASSERT_TRUE(parsed(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parsed(whole.substr(0, n)).ok()) << n;
}

}  // namespace
}  // namespace incipit::engine
