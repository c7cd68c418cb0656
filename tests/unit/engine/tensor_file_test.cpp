#include "engine/weights/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {
namespace {

using test::RawTensor;
using test::safetensors_bytes;
using test::TempDir;
using test::write_file;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file_of(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  return file + header + std::string(data_bytes, 'x');
}

Result<TensorFile> parse(const std::string& file) {
  return TensorFile::parse(std::as_bytes(std::span(file)), "m.safetensors");
}

TEST(TensorFile, GivesNameTypeShapeAndBytes) {
  const TempDir dir;
  const std::vector<RawTensor> tensors = {{"a", "F16", {2, 3}, "abcdefghijkl"},
                                          {"empty", "I32", {0, 7}, ""},
                                          {"scalar", "F32", {}, "wxyz"}};
  write_file(dir / "m.safetensors", safetensors_bytes(tensors));
  const auto file = TensorFile::open(dir / "m.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 3U);
  const Tensor* a = file->find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type, TensorType::kF16);
  EXPECT_THAT(a->shape, ElementsAre(2, 3));
  ASSERT_EQ(a->data.size(), 12U);
  EXPECT_EQ(std::memcmp(a->data.data(), "abcdefghijkl", 12), 0);
  EXPECT_EQ(a->n_elements(), 6);
  EXPECT_TRUE(file->find("empty")->data.empty());
  EXPECT_EQ(file->find("scalar")->data.size(), 4U);
  EXPECT_EQ(file->find("b"), nullptr);
}

TEST(TensorFile, HasItsBytesAgainAfterTheirPagesWereReleased) {
  const TempDir dir;
  std::string bytes;  // several pages, neither end on the border of one
  for (int i = 0; i < 50001; ++i) bytes += static_cast<char>(i % 251);
  const std::vector<RawTensor> tensors = {
      {"a", "U8", {3}, "abc"}, {"b", "U8", {50001}, bytes}, {"c", "U8", {2}, "yz"}};
  write_file(dir / "m.safetensors", safetensors_bytes(tensors));
  const auto file = TensorFile::open(dir / "m.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  for (const RawTensor& tensor : tensors) file->release(*file->find(tensor.name));
  for (const RawTensor& tensor : tensors) {
    const auto data = file->find(tensor.name)->data;
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()), tensor.bytes);
  }
  const std::string borrowed = safetensors_bytes(tensors);
  const auto parsed = parse(borrowed);
  ASSERT_TRUE(parsed.ok());
  parsed->release(*parsed->find("b"));  // is not ours to give away
  EXPECT_EQ(std::memcmp(parsed->find("b")->data.data(), bytes.data(), bytes.size()), 0);
}

TEST(TensorFile, KeepsItsBytesWhenMoved) {
  const TempDir dir;
  write_file(dir / "m.safetensors", safetensors_bytes({{"a", "U8", {3}, "abc"}}));
  auto opened = TensorFile::open(dir / "m.safetensors");
  ASSERT_TRUE(opened.ok());
  const TensorFile moved = std::move(opened).value();
  EXPECT_EQ(static_cast<char>(moved.find("a")->data[2]), 'c');
}

struct BrokenFile {
  std::string header;
  size_t data_bytes;
  std::vector<const char*> says;
};

TEST(TensorFile, NamesFileTensorWantedAndFoundForEachBrokenHeader) {
  const std::vector<BrokenFile> table = {
      {"", 0, {"header"}},
      {"{", 0, {"header", "JSON"}},
      {"[1]", 0, {"header", "object", "[1]"}},
      {R"({"t":3})", 0, {"t: want an object", "found 3"}},
      {R"({"t":{"shape":[1],"data_offsets":[0,1]}})", 1, {"t: dtype", "found nothing"}},
      {R"({"t":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1, {"t: dtype", "found 7"}},
      {R"({"t":{"dtype":"Q4","shape":[1],"data_offsets":[0,1]}})", 1, {"t: dtype", "BF16", "Q4"}},
      {R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", 1, {"t: shape", "nothing"}},
      {R"({"t":{"dtype":"U8","shape":4,"data_offsets":[0,1]}})", 1, {"t: shape", "found 4"}},
      {R"({"t":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"t: shape", "[-1]"}},
      {R"({"t":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, {"t: shape", "[1.0]"}},
      {R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})",
       1,
       {"t: shape", "at most 8"}},
      {R"({"t":{"dtype":"U8","shape":[1]}})", 1, {"t: data_offsets", "nothing"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1]}})", 1, {"t: data_offsets", "[1]"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, {"data_offsets", "[1,0]"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,"1"]}})", 1, {"data_offsets"}},
      {R"({"t":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})",
       8,
       {"t: data_offsets", "8 bytes", "[0,9]"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})",
       1,
       {"t: data_offsets"}},
      {R"({"t":{"dtype":"F16","shape":[2,2],"data_offsets":[0,6]}})",
       6,
       {"t: want 8 bytes", "F16 [2, 2]", "found 6"}},
      {R"({"t":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
       0,
       {"t: want", "found 0"}},
      {R"({"t":{"dtype":"F64","shape":[9223372036854775807],"data_offsets":[0,0]}})",
       0,
       {"t: want", "found 0"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       3,
       {"want 1 bytes of data", "found 3"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2,
       {"t: leaves a hole", "want data at offset 0", "found 1"}},
      {R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("u":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3,
       {"u: overlaps", "offset 2", "found 1"}},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2,
       {"\"t\" twice"}},
      {R"({"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       1,
       {"\"dtype\" twice"}},
      {R"({"t":{"dtype":"U8","shape":[[[1]]],"data_offsets":[0,1]}})", 1, {"levels"}},
      {std::string(100000, '['), 0, {"levels"}},
  };
  for (const BrokenFile& broken : table) {
    const std::string shown = broken.header.substr(0, 100);
    const auto file = parse(file_of(broken.header, broken.data_bytes));
    ASSERT_FALSE(file.ok()) << shown;
    EXPECT_THAT(file.error().message, HasSubstr("m.safetensors")) << shown;
    for (const char* part : broken.says)
      EXPECT_THAT(file.error().message, HasSubstr(part)) << shown;
  }
}

// Each empty tensor costs a few bytes of header. Reading them takes time in proportion.
TEST(TensorFile, RefusesMoreTensorsThanAnyModelHas) {
  std::string header = "{";
  for (int32_t i = 0; i <= 100'000; ++i) {
    if (i > 0) header += ',';
    header += '"' + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  const auto file = parse(file_of(header + "}", 0));
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.error().message, HasSubstr("header: want at most 100000 tensors, found more"));
}

TEST(TensorFile, RefusesEveryTruncation) {
  const std::string whole =
      safetensors_bytes({{"a", "F16", {2, 3}, "abcdefghijkl"}, {"b", "U8", {2}, "xy"}});
  ASSERT_TRUE(parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    // An exact copy on the heap, so that a read past the end is seen by the sanitizer.
    const std::vector<char> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(TensorFile::parse(std::as_bytes(std::span(part)), "m").ok()) << size;
  }
}

TEST(TensorFile, RefusesAHeaderLengthThatLeavesTheFile) {
  for (const uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
    std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
    file += "{}";
    const auto parsed = parse(file);
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.error().message, HasSubstr("header length: want at most 2, found"));
  }
}

TEST(TensorFile, SaysWhatCannotBeOpened) {
  const TempDir dir;
  const auto absent = TensorFile::open(dir / "absent.safetensors");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("absent.safetensors"));

  const auto directory = TensorFile::open(dir.path());
  ASSERT_FALSE(directory.ok());
  EXPECT_THAT(directory.error().message, HasSubstr("regular file"));

  write_file(dir / "empty.safetensors", "");
  const auto empty = TensorFile::open(dir / "empty.safetensors");
  ASSERT_FALSE(empty.ok());
  EXPECT_THAT(empty.error().message, HasSubstr("found 0"));
}

TEST(TensorFile, ReadsThePocketModel) {
  const auto file = TensorFile::open(INCIPIT_SOURCE_DIR "/engine/models/pocket/model.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 362U);
  EXPECT_THAT(file->find("model.embed_tokens.weight")->shape, ElementsAre(16384, 512));
}

}  // namespace
}  // namespace incipit::engine
