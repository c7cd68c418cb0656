// The packed weight file: every matrix of one model in one backend's layout, made once and mapped
// from then on. docs/weight-format.md describes the bytes. A file is written under a unique
// temporary name beside its place, synced, and renamed, so a reader sees a whole file or none, and
// several writers at once do not meet. Loading thread; an open PackedImage is immutable and may be
// read from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/weights/weight_names.h"

namespace incipit::engine {

inline constexpr uint32_t kPackedVersion = 1;
inline constexpr int64_t kSectionAlignment = 64;  // what a reader may rely on
// What this writer does: whole pages, which can be written past the page cache.
inline constexpr int64_t kPlacedAlignment = 4096;

// What a packed file must have been made from and for. Any difference makes it stale.
struct PackedIdentity {
  std::string layout;          // "cpu-tile", at most 15 bytes
  uint64_t layout_digest = 0;  // changes whenever that layout's bytes do
  HeadFormat head_format = HeadFormat::kInt8;
  uint64_t config_hash = 0;         // of the model's shape
  uint64_t source_fingerprint = 0;  // of the checkpoint's files
};

struct PackedSection {
  std::string name;  // at most 47 bytes
  WeightKind kind = WeightKind::kFloat;
  int32_t rows = 0;
  int32_t cols = 1;
  int32_t group = 0;       // INT4 only
  bool has_zeros = false;  // INT4 only
  int64_t offset = 0;      // from the beginning of the file, a multiple of kSectionAlignment
  int64_t bytes = 0;
  uint64_t checksum = 0;  // XXH3 of the bytes
  // Not in the file: the section can be filled in pieces of any multiple of so many bytes; 0: only
  // as a whole.
  int64_t piece_bytes = 0;
};

// The sections and their bytes, wherever those are.
struct PackedImage {
  std::vector<PackedSection> sections;
  std::span<const std::byte> bytes;  // section offsets count from here
  std::shared_ptr<const void> storage;

  const PackedSection* find(std::string_view name) const;
  std::span<const std::byte> bytes_of(const PackedSection& section) const;
};

// Sets `offset` of each section (their `bytes` are set) and returns the size of the whole image.
int64_t place_sections(std::vector<PackedSection>& sections);

// Fills a section's bytes from `offset` on; `out` is uninitialised. Sections come in order, and the
// pieces of one in order; what has no `piece_bytes` comes as a whole.
using FillSection =
    std::function<Result<void>(size_t section_idx, int64_t offset, std::span<std::byte> out)>;

// Writes the file, creating its directory. `accept` is asked when all is written, before the
// rename: an error leaves no file behind.
Result<void> write_packed_file(const std::filesystem::path& path, const PackedIdentity& identity,
                               std::vector<PackedSection> sections, const FillSection& fill,
                               const std::function<Result<void>()>& accept);

// The same image in memory.
Result<PackedImage> make_packed_image(std::vector<PackedSection> sections, const FillSection& fill);

struct PackedFile {
  PackedIdentity identity;
  PackedImage image;
  uint64_t header_checksum = 0;  // covers the sections' checksums, so it stands for the whole file
};

// Maps a file and checks magic, version, sizes, the header's checksum and the table. Errors name
// file, field or section, wanted and found; a file that is not there is kNotFound.
Result<PackedFile> open_packed_file(const std::filesystem::path& path);

// The first difference between what the file is and what is wanted, as kInvalidArgument: the file
// is sound, but of something else.
Result<void> check_identity(const PackedFile& file, const PackedIdentity& wanted,
                            const std::string& where);

// Reads every byte and compares the checksums of the sections.
Result<void> verify_sections(const PackedImage& image, const std::string& where);

}  // namespace incipit::engine
