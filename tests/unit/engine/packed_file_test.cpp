#include "engine/weights/packed_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/temporary_file.h"
#include "engine/weights/checksum.h"
#include "engine/weights/memory_block.h"
#include "engine/weights/packed_writer.h"
#include "tests/support/temp_dir.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using test::TempDir;
using test::write_file;
using ::testing::HasSubstr;

const PackedIdentity kIdentity = {"cpu-tile", 11, HeadFormat::kInt8, 22, 33};

std::vector<PackedSection> some_sections() {
  PackedSection norm;
  norm.name = "layers.0.input_norm";
  norm.rows = 5;
  norm.bytes = 20;
  PackedSection qkv;
  qkv.name = "layers.0.qkv";
  qkv.kind = WeightKind::kInt4;
  qkv.rows = 3;
  qkv.cols = 100;
  qkv.group = 64;
  qkv.has_zeros = true;
  qkv.bytes = 1000;
  return {norm, qkv};
}

Result<void> fill_section(size_t section_idx, int64_t offset, std::span<std::byte> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>((i + static_cast<size_t>(offset)) * 31 + section_idx * 7 + 1);
  }
  return {};
}

Result<void> accept() {
  return {};
}

void write_sample(const fs::path& path) {
  const auto written = write_packed_file(path, kIdentity, some_sections(), fill_section, accept);
  ASSERT_TRUE(written.ok()) << written.error().message;
}

size_t n_files_in(const fs::path& dir) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(dir), fs::directory_iterator()));
}

TEST(PackedFile, OpensToWhatWasWritten) {
  const TempDir dir;
  const fs::path path = dir / "made/below/m.weights";
  write_sample(path);
  EXPECT_EQ(n_files_in(path.parent_path()), 1U);
  const auto file = open_packed_file(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_TRUE(check_identity(*file, kIdentity, "m").ok());
  EXPECT_TRUE(verify_sections(file->image, "m").ok());
  ASSERT_EQ(file->image.sections.size(), 2U);
  const PackedSection* qkv = file->image.find("layers.0.qkv");
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->kind, WeightKind::kInt4);
  EXPECT_EQ(qkv->rows, 3);
  EXPECT_EQ(qkv->cols, 100);
  EXPECT_EQ(qkv->group, 64);
  EXPECT_TRUE(qkv->has_zeros);
  const auto bytes = file->image.bytes_of(*qkv);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % kSectionAlignment, 0U);
  std::vector<std::byte> wanted(1000);
  ASSERT_TRUE(fill_section(1, 0, wanted).ok());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()));
  EXPECT_EQ(file->image.find("layers.1.qkv"), nullptr);
}

TEST(PackedFile, HoldsTheSameBytesInMemory) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  const auto file = open_packed_file(dir / "m.weights");
  const auto image = make_packed_image(some_sections(), fill_section);
  ASSERT_TRUE(file.ok() && image.ok());
  for (const PackedSection& section : file->image.sections) {
    const auto mapped = file->image.bytes_of(section);
    const auto made = image->bytes_of(*image->find(section.name));
    EXPECT_TRUE(std::equal(mapped.begin(), mapped.end(), made.begin(), made.end()));
  }
}

// What can be filled in pieces is, in order, and comes out as if it had been filled at once.
TEST(PackedFile, WritesLargeSectionsInPieces) {
  const TempDir dir;
  std::vector<PackedSection> sections = some_sections();
  PackedSection& large = sections[1];
  large.piece_bytes = 1000;
  large.bytes = (int64_t{64} << 20) + 3000;
  std::vector<int64_t> offsets;
  const auto fill = [&](size_t idx, int64_t offset, std::span<std::byte> out) -> Result<void> {
    if (idx == 1) {
      EXPECT_EQ(offset % 1000, 0);
      offsets.push_back(offset);
    }
    std::memset(out.data(), static_cast<int>(idx + offsets.size()), out.size());
    return {};
  };
  ASSERT_TRUE(write_packed_file(dir / "m.weights", kIdentity, sections, fill, accept).ok());
  const auto file = open_packed_file(dir / "m.weights");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(verify_sections(file->image, "m").ok());
  const auto bytes = file->image.bytes_of(file->image.sections[1]);
  ASSERT_EQ(offsets.size(), 2U);
  EXPECT_EQ(offsets[0], 0);
  for (const size_t i : {size_t{0}, static_cast<size_t>(offsets[1]) - 1})
    EXPECT_EQ(bytes[i], std::byte{2});
  for (const size_t i : {static_cast<size_t>(offsets[1]), bytes.size() - 1})
    EXPECT_EQ(bytes[i], std::byte{3});
}

TEST(PackedFile, NamesTheFirstDifferenceFromWhatIsWanted) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  const auto file = open_packed_file(dir / "m.weights");
  ASSERT_TRUE(file.ok());
  const auto says = [&](auto change) {
    PackedIdentity wanted = kIdentity;
    change(wanted);
    const auto checked = check_identity(*file, wanted, "dir/m.weights");
    return checked.ok() ? "" : checked.error().message;
  };
  EXPECT_EQ(says([](PackedIdentity& i) { i.layout = "cuda-tile"; }),
            "dir/m.weights: layout: want cuda-tile, found cpu-tile");
  EXPECT_EQ(says([](PackedIdentity& i) { i.layout_digest = 255; }),
            "dir/m.weights: layout version: want 00000000000000ff, found 000000000000000b");
  EXPECT_EQ(says([](PackedIdentity& i) { i.head_format = HeadFormat::kF16; }),
            "dir/m.weights: head format: want f16, found int8");
  EXPECT_THAT(says([](PackedIdentity& i) { i.config_hash = 1; }), HasSubstr("model shape: want"));
  EXPECT_THAT(says([](PackedIdentity& i) { i.source_fingerprint = 1; }),
              HasSubstr("fingerprint of the checkpoint: want"));
}

TEST(PackedFile, RefusesEveryTruncationAndAnyAddition) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  const std::string whole = read_file(dir / "m.weights");
  for (size_t size = 0; size < whole.size(); size += size < 300 ? 1 : 97) {
    write_file(dir / "t.weights", whole.substr(0, size));
    const auto file = open_packed_file(dir / "t.weights");
    ASSERT_FALSE(file.ok()) << size;
    EXPECT_THAT(file.error().message, HasSubstr("t.weights"));
  }
  write_file(dir / "t.weights", whole + "x");
  const auto longer = open_packed_file(dir / "t.weights");
  ASSERT_FALSE(longer.ok());
  EXPECT_THAT(longer.error().message, HasSubstr("size in bytes: want"));
}

// Every byte of header and table is under a check; every byte of a section under its checksum.
TEST(PackedFile, NoticesEveryFlippedByte) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  const std::string whole = read_file(dir / "m.weights");
  const auto original = open_packed_file(dir / "m.weights");
  ASSERT_TRUE(original.ok());
  const size_t table_end = 80 + 2 * 96;
  for (size_t i = 0; i < whole.size(); i += i < table_end ? 1 : 13) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    write_file(dir / "f.weights", flipped);
    const auto file = open_packed_file(dir / "f.weights");
    if (i < table_end) {
      ASSERT_FALSE(file.ok()) << i;
      EXPECT_THAT(file.error().message, HasSubstr("f.weights: ")) << i;
      continue;
    }
    ASSERT_TRUE(file.ok()) << i;
    const PackedSection* hit = nullptr;
    for (const PackedSection& section : file->image.sections) {
      const auto at = static_cast<int64_t>(i);
      if (at >= section.offset && at < section.offset + section.bytes) hit = &section;
    }
    const auto verified = verify_sections(file->image, "f.weights");
    ASSERT_EQ(verified.ok(), hit == nullptr) << i;  // between two sections nothing is stored
    if (hit != nullptr) {
      EXPECT_THAT(verified.error().message, HasSubstr("section " + hit->name + ": want checksum"));
    }
  }
}

TEST(PackedFile, NamesMagicAndVersion) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  std::string bytes = read_file(dir / "m.weights");
  bytes[8] = 99;
  write_file(dir / "v.weights", bytes);
  EXPECT_THAT(open_packed_file(dir / "v.weights").error().message,
              HasSubstr("v.weights: version: want 1, found 99"));
  bytes[0] = 'x';
  write_file(dir / "v.weights", bytes);
  EXPECT_THAT(open_packed_file(dir / "v.weights").error().message,
              HasSubstr("v.weights: magic: want INCIPITW"));
}

// A table that says impossible things under a correct checksum: written by a program with a defect.
TEST(PackedFile, RefusesASectionOutsideTheFile) {
  const TempDir dir;
  write_sample(dir / "m.weights");
  const std::string whole = read_file(dir / "m.weights");
  const size_t second_offset = 80 + 96 + 72;
  for (const uint64_t offset : {uint64_t{0}, uint64_t{65}, uint64_t{1} << 40, UINT64_MAX - 63}) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + second_offset, &offset, sizeof(offset));
    std::string header = bytes.substr(0, 80 + 2 * 96);
    std::memset(header.data() + 16, 0, 8);
    const uint64_t sum = checksum(std::string_view(header));
    std::memcpy(bytes.data() + 16, &sum, sizeof(sum));
    write_file(dir / "o.weights", bytes);
    const auto file = open_packed_file(dir / "o.weights");
    ASSERT_FALSE(file.ok()) << offset;
    EXPECT_THAT(file.error().message, HasSubstr("section layers.0.qkv: want 1000 bytes"));
  }
}

TEST(PackedFile, LeavesNothingBehindWhenFillingOrAcceptingFails) {
  const TempDir dir;
  const auto failing_fill = [](size_t idx, int64_t offset,
                               std::span<std::byte> out) -> Result<void> {
    if (idx == 1) return Error{ErrorCode::kCorrupt, "no"};
    return fill_section(idx, offset, out);
  };
  const auto unfilled =
      write_packed_file(dir / "m.weights", kIdentity, some_sections(), failing_fill, accept);
  ASSERT_FALSE(unfilled.ok());
  EXPECT_EQ(unfilled.error().code, ErrorCode::kCorrupt);
  const auto refuse = []() -> Result<void> { return Error{ErrorCode::kIo, "changed"}; };
  EXPECT_FALSE(
      write_packed_file(dir / "m.weights", kIdentity, some_sections(), fill_section, refuse).ok());
  EXPECT_EQ(n_files_in(dir.path()), 0U);
}

TEST(PackedFile, KeepsTheOldFileUntilTheNewOneIsWhole) {
  const TempDir dir;
  const fs::path path = dir / "m.weights";
  write_sample(path);
  const auto mapped = open_packed_file(path);
  ASSERT_TRUE(mapped.ok());
  const auto looking = [&]() -> Result<void> {
    EXPECT_TRUE(open_packed_file(path).ok());
    return {};
  };
  PackedIdentity changed = kIdentity;
  changed.source_fingerprint = 44;
  ASSERT_TRUE(write_packed_file(path, changed, some_sections(), fill_section, looking).ok());
  EXPECT_EQ(open_packed_file(path)->identity.source_fingerprint, 44U);
  // Who has mapped the old one keeps it.
  EXPECT_TRUE(verify_sections(mapped->image, "old").ok());
}

TEST(PackedFile, SaysWhereItCannotWrite) {
  const TempDir dir;
  write_file(dir / "file", "");
  const auto below_a_file =
      write_packed_file(dir / "file/m.weights", kIdentity, some_sections(), fill_section, accept);
  ASSERT_FALSE(below_a_file.ok());
  EXPECT_EQ(below_a_file.error().code, ErrorCode::kIo);
  EXPECT_THAT(below_a_file.error().message, HasSubstr("file"));

  // More than any disk has: refused before the work begins.
  std::vector<PackedSection> huge = some_sections();
  huge[0].bytes = int64_t{1} << 60;
  const auto too_large = write_packed_file(
      dir / "m.weights", kIdentity, huge,
      [](size_t, int64_t, std::span<std::byte>) -> Result<void> {
        ADD_FAILURE() << "filled although it cannot fit";
        return {};
      },
      accept);
  ASSERT_FALSE(too_large.ok());
  EXPECT_EQ(too_large.error().code, ErrorCode::kIo);
  EXPECT_EQ(n_files_in(dir.path()), 1U);
}

TEST(PackedWriter, RemovesOldTemporariesOfItsFileAlone) {
  const TempDir dir;
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const char* name : {"m.weights.tmp.1.aa", "n.weights.tmp.1.aa", "m.weights.other"}) {
    write_file(dir / name, "x");
    fs::last_write_time(dir / name, old);
  }
  const std::string just_begun = "m.weights.tmp." + std::to_string(::getpid()) + ".bb";
  write_file(dir / just_begun, "its writer has no lock yet");
  // A writer that is slow, not dead: its lock protects it.
  auto living = PackedWriter::create(dir / "m.weights", 10);
  ASSERT_TRUE(living.ok());
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    const std::string pid = "tmp." + std::to_string(::getpid());
    const bool ours = entry.path().string().find(pid) != std::string::npos;
    if (ours && entry.path().filename() != just_begun) fs::last_write_time(entry.path(), old);
  }
  remove_stale_temporaries(dir / "m.weights");
  EXPECT_FALSE(fs::exists(dir / "m.weights.tmp.1.aa"));
  EXPECT_TRUE(fs::exists(dir / "n.weights.tmp.1.aa"));
  EXPECT_TRUE(fs::exists(dir / "m.weights.other"));
  EXPECT_TRUE(fs::exists(dir / just_begun));
  EXPECT_TRUE(living->publish().ok());
  EXPECT_TRUE(fs::exists(dir / "m.weights"));
}

TEST(PackedWriter, RemovesAtOnceWhatADeadWriterLeft) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const TempDir dir;
  const fs::path left = dir / ("m.weights.tmp." + std::to_string(child) + ".aa");
  write_file(left, "");
  remove_stale_temporaries(dir / "m.weights");
  EXPECT_FALSE(fs::exists(left));
}

// Whole blocks go past the page cache where the file system can do that, all else through it: the
// bytes are the same at every offset, address and length.
TEST(PackedWriter, WritesTheSamePastThePageCache) {
  const TempDir dir;
  constexpr size_t kBlock = PackedWriter::kDirectBlock;
  const auto block = MemoryBlock::allocate(8 * kBlock);
  ASSERT_TRUE(block.ok());
  std::string wanted(20 * kBlock, '\0');
  auto writer = PackedWriter::create(dir / "m.weights", wanted.size(), PageCache::kPast);
  ASSERT_TRUE(writer.ok());
  const auto put = [&](size_t offset, size_t from, size_t n) {
    const auto bytes = (*block)->bytes().subspan(from, n);
    for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>((offset + i * 7) % 251);
    std::memcpy(wanted.data() + offset, bytes.data(), n);
    EXPECT_TRUE(writer->write(static_cast<int64_t>(offset), bytes).ok());
  };
  put(kBlock, 0, 3 * kBlock + 100);      // blocks and a tail
  put(5 * kBlock, 0, 2 * kBlock);        // blocks alone
  put(8 * kBlock, 64, 2 * kBlock);       // no block's address
  put(11 * kBlock + 64, 0, 2 * kBlock);  // no block's offset
  put(15 * kBlock, 0, 100);              // no whole block
  put(5 * kBlock + 10, 0, 20);           // over what was written past the cache
  put(17 * kBlock, kBlock, 3 * kBlock);  // to the end
  ASSERT_TRUE(writer->publish().ok());
  EXPECT_EQ(read_file(dir / "m.weights"), wanted);
}

TEST(PackedFile, SeveralWritersAtOnceLeaveOneWholeFile) {
  const TempDir dir;
  const fs::path path = dir / "m.weights";
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const auto written =
            write_packed_file(path, kIdentity, some_sections(), fill_section, accept);
        EXPECT_TRUE(written.ok()) << written.error().message;
        const auto file = open_packed_file(path);
        ASSERT_TRUE(file.ok()) << file.error().message;
        EXPECT_TRUE(verify_sections(file->image, "m").ok());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(n_files_in(dir.path()), 1U);
}

}  // namespace
}  // namespace incipit::engine
