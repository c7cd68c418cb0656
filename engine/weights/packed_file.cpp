#include "engine/weights/packed_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>

#include "engine/weights/checksum.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/memory_block.h"
#include "engine/weights/packed_writer.h"
#include "kernels/common/check.h"
#include "kernels/common/math.h"

namespace incipit::engine {
namespace {

constexpr std::array<char, 8> kMagic = {'I', 'N', 'C', 'I', 'P', 'I', 'T', 'W'};
constexpr uint32_t kMaxSections = 1 << 16;
// Copying smaller files is not felt, and they start at once while they are in the page cache.
constexpr int64_t kPastPageCacheFrom = int64_t{1} << 30;
constexpr int64_t kPieceBytes = int64_t{64} << 20;  // about a section of an 8B layer

// The beginning of the file; little-endian. docs/weight-format.md has the table.
struct FileHeader {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kPackedVersion;
  uint32_t n_sections = 0;
  uint64_t header_checksum = 0;  // XXH3 of header and table, with this field zero
  uint64_t file_bytes = 0;
  std::array<char, 16> layout = {};  // padded with zeros
  uint64_t layout_digest = 0;
  uint64_t config_hash = 0;
  uint64_t source_fingerprint = 0;
  uint32_t head_format = 0;  // 0: INT8, 1: fp16
  uint32_t reserved = 0;
};
static_assert(sizeof(FileHeader) == 80 && std::is_trivially_copyable_v<FileHeader>);

struct FileSection {
  std::array<char, 48> name = {};  // padded with zeros
  uint32_t kind = 0;
  int32_t rows = 0;
  int32_t cols = 0;
  int32_t group = 0;
  uint32_t has_zeros = 0;
  uint32_t reserved = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
};
static_assert(sizeof(FileSection) == 96 && std::is_trivially_copyable_v<FileSection>);

constexpr size_t kChecksumOffset = 16;
static_assert(offsetof(FileHeader, header_checksum) == kChecksumOffset);

size_t header_bytes(size_t n_sections) {
  return sizeof(FileHeader) + n_sections * sizeof(FileSection);
}

uint64_t checksum_of_header(std::vector<std::byte> header) {
  std::memset(header.data() + kChecksumOffset, 0, sizeof(uint64_t));
  return checksum(header);
}

template <size_t N>
std::array<char, N> padded(const std::string& text) {
  CHECK_LT(text.size(), N);
  std::array<char, N> out = {};
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}

template <size_t N>
std::string unpadded(const std::array<char, N>& text) {
  return std::string(text.begin(), std::find(text.begin(), text.end(), '\0'));
}

std::vector<std::byte> make_header(const PackedIdentity& identity,
                                   const std::vector<PackedSection>& sections, int64_t file_bytes) {
  FileHeader header;
  header.n_sections = static_cast<uint32_t>(sections.size());
  header.file_bytes = static_cast<uint64_t>(file_bytes);
  header.layout = padded<16>(identity.layout);
  header.layout_digest = identity.layout_digest;
  header.config_hash = identity.config_hash;
  header.source_fingerprint = identity.source_fingerprint;
  header.head_format = identity.head_format == HeadFormat::kInt8 ? 0 : 1;

  std::vector<std::byte> out(header_bytes(sections.size()));
  std::memcpy(out.data(), &header, sizeof(header));
  for (size_t i = 0; i < sections.size(); ++i) {
    const PackedSection& section = sections[i];
    const FileSection row{padded<48>(section.name),
                          static_cast<uint32_t>(section.kind),
                          section.rows,
                          section.cols,
                          section.group,
                          section.has_zeros ? 1U : 0U,
                          0,
                          static_cast<uint64_t>(section.offset),
                          static_cast<uint64_t>(section.bytes),
                          section.checksum};
    std::memcpy(out.data() + header_bytes(i), &row, sizeof(row));
  }
  header.header_checksum = checksum_of_header(out);
  std::memcpy(out.data(), &header, sizeof(header));
  return out;
}

Error stale(const std::string& where, const std::string& what) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}", where, what)};
}

template <class A, class B>
Error differs(const std::string& where, const char* field, const A& want, const B& found) {
  return stale(where, fmt::format("{}: want {}, found {}", field, want, found));
}

// Magic, version, sizes and checksum, in the order in which each can be trusted.
Result<FileHeader> read_header(std::span<const std::byte> bytes, const std::string& where) {
  FileHeader header;
  if (bytes.size() < sizeof(header)) {
    return stale(where,
                 fmt::format("want at least {} bytes, found {}", sizeof(header), bytes.size()));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) {
    return stale(where, "magic: want INCIPITW, found something else (not a packed weight file)");
  }
  if (header.version != kPackedVersion) {
    return differs(where, "version", kPackedVersion, header.version);
  }
  if (header.file_bytes != bytes.size()) {
    return differs(where, "size in bytes", header.file_bytes, bytes.size());
  }
  if (header.n_sections > kMaxSections || header_bytes(header.n_sections) > bytes.size()) {
    return stale(where, fmt::format("n_sections: want a table inside the file's {} bytes, found {}",
                                    bytes.size(), header.n_sections));
  }
  const auto table = bytes.first(header_bytes(header.n_sections));
  const uint64_t found = checksum_of_header({table.begin(), table.end()});
  if (found != header.header_checksum) {
    return stale(where, fmt::format("header: want checksum {:016x}, found {:016x}",
                                    header.header_checksum, found));
  }
  return header;
}

Result<PackedSection> read_section(std::span<const std::byte> bytes, size_t idx, int64_t previous,
                                   const std::string& where) {
  FileSection row;
  std::memcpy(&row, bytes.data() + header_bytes(idx), sizeof(row));
  PackedSection section{unpadded(row.name),
                        static_cast<WeightKind>(row.kind),
                        row.rows,
                        row.cols,
                        row.group,
                        row.has_zeros != 0,
                        static_cast<int64_t>(row.offset),
                        static_cast<int64_t>(row.bytes),
                        row.checksum};
  const bool placed = row.offset % kSectionAlignment == 0 &&
                      row.offset >= static_cast<uint64_t>(previous) && row.offset <= bytes.size() &&
                      row.bytes <= bytes.size() - row.offset;
  if (!placed) {
    return stale(where,
                 fmt::format("section {}: want {} bytes at a multiple of {} in {}..{}, found "
                             "offset {}",
                             section.name, row.bytes, kSectionAlignment, previous, bytes.size(),
                             row.offset));
  }
  return section;
}

// Bytes of a section that are filled at once.
int64_t bytes_at_once(const PackedSection& section) {
  if (section.piece_bytes == 0) return section.bytes;
  const int64_t aligned = std::lcm(section.piece_bytes, PackedWriter::kDirectBlock);
  const int64_t unit = aligned <= kPieceBytes ? aligned : section.piece_bytes;
  return std::min(std::max(kPieceBytes / unit, int64_t{1}) * unit, section.bytes);
}

// Fills a piece while the one before it is written: there are two buffers of the largest size.
class SectionWriter {
 public:
  static Result<SectionWriter> create(PackedWriter& writer,
                                      const std::vector<PackedSection>& sections) {
    int64_t most = 0;
    for (const PackedSection& section : sections) most = std::max(most, bytes_at_once(section));
    ASSIGN_OR_RETURN(auto one, MemoryBlock::allocate(most));
    ASSIGN_OR_RETURN(auto other, MemoryBlock::allocate(most));
    return SectionWriter(writer, std::move(one), std::move(other));
  }

  // Sets the section's checksum, at the latest when wait() has returned.
  Result<void> write(PackedSection& section, size_t section_idx, const FillSection& fill) {
    const int64_t at_once = bytes_at_once(section);
    for (int64_t offset = 0; offset < section.bytes; offset += at_once) {
      const int64_t n = std::min(at_once, section.bytes - offset);
      const auto bytes = buffers_[n_pieces_++ % 2]->bytes().first(static_cast<size_t>(n));
      TRY(fill(section_idx, offset, bytes));
      TRY(wait());
      const bool last = offset + n == section.bytes;
      written_ = std::async(std::launch::async, [this, &section, offset, bytes, last] {
        checksum_.add(bytes);
        if (last) section.checksum = checksum_.take();
        return writer_.write(section.offset + offset, bytes);
      });
    }
    return {};
  }

  Result<void> wait() { return written_.valid() ? written_.get() : Result<void>(); }

 private:
  using Buffer = std::shared_ptr<const MemoryBlock>;
  SectionWriter(PackedWriter& writer, Buffer one, Buffer other)
      : writer_(writer), buffers_{std::move(one), std::move(other)} {}

  PackedWriter& writer_;
  std::array<Buffer, 2> buffers_;
  size_t n_pieces_ = 0;
  RunningChecksum checksum_;
  std::future<Result<void>> written_;
};

Result<void> write_sections(PackedWriter& writer, std::vector<PackedSection>& sections,
                            const FillSection& fill) {
  ASSIGN_OR_RETURN(SectionWriter pieces, SectionWriter::create(writer, sections));
  for (size_t i = 0; i < sections.size(); ++i) TRY(pieces.write(sections[i], i, fill));
  return pieces.wait();
}

}  // namespace

const PackedSection* PackedImage::find(std::string_view name) const {
  const auto it = std::find_if(sections.begin(), sections.end(),
                               [&](const PackedSection& section) { return section.name == name; });
  return it == sections.end() ? nullptr : &*it;
}

std::span<const std::byte> PackedImage::bytes_of(const PackedSection& section) const {
  return bytes.subspan(static_cast<size_t>(section.offset), static_cast<size_t>(section.bytes));
}

int64_t place_sections(std::vector<PackedSection>& sections) {
  auto end = static_cast<int64_t>(header_bytes(sections.size()));
  for (PackedSection& section : sections) {
    section.offset = kernels::round_up(end, kPlacedAlignment);
    end = section.offset + section.bytes;
  }
  return end;
}

Result<void> write_packed_file(const std::filesystem::path& path, const PackedIdentity& identity,
                               std::vector<PackedSection> sections, const FillSection& fill,
                               const std::function<Result<void>()>& accept) {
  const int64_t file_bytes = place_sections(sections);
  const auto cache = file_bytes < kPastPageCacheFrom ? PageCache::kThrough : PageCache::kPast;
  ASSIGN_OR_RETURN(PackedWriter writer, PackedWriter::create(path, file_bytes, cache));
  TRY(write_sections(writer, sections, fill));
  TRY(writer.write(0, make_header(identity, sections, file_bytes)));
  TRY(accept());
  return writer.publish();
}

Result<PackedImage> make_packed_image(std::vector<PackedSection> sections,
                                      const FillSection& fill) {
  const int64_t size = place_sections(sections);
  ASSIGN_OR_RETURN(const auto block, MemoryBlock::allocate(size));
  for (size_t i = 0; i < sections.size(); ++i) {
    const PackedSection& section = sections[i];
    TRY(fill(i, 0,
             block->bytes().subspan(static_cast<size_t>(section.offset),
                                    static_cast<size_t>(section.bytes))));
  }
  return PackedImage{std::move(sections), block->bytes(), block};
}

Result<PackedFile> open_packed_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  const auto bytes = mapped->bytes();
  ASSIGN_OR_RETURN(const FileHeader header, read_header(bytes, where));
  PackedFile file;
  file.identity = {unpadded(header.layout), header.layout_digest,
                   header.head_format == 0 ? HeadFormat::kInt8 : HeadFormat::kF16,
                   header.config_hash, header.source_fingerprint};
  auto end = static_cast<int64_t>(header_bytes(header.n_sections));
  for (size_t i = 0; i < header.n_sections; ++i) {
    ASSIGN_OR_RETURN(PackedSection section, read_section(bytes, i, end, where));
    end = section.offset + section.bytes;
    file.image.sections.push_back(std::move(section));
  }
  file.image.bytes = bytes;
  file.image.storage = std::move(mapped);
  file.header_checksum = header.header_checksum;
  return file;
}

Result<void> check_identity(const PackedFile& file, const PackedIdentity& wanted,
                            const std::string& where) {
  const PackedIdentity& found = file.identity;
  const auto other = [&](const char* field, const std::string& want, const std::string& have) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: {}: want {}, found {}", where, field, want, have)};
  };
  const auto hex = [](uint64_t hash) { return fmt::format("{:016x}", hash); };
  const auto name = [](HeadFormat format) { return format == HeadFormat::kInt8 ? "int8" : "f16"; };
  if (found.layout != wanted.layout) return other("layout", wanted.layout, found.layout);
  if (found.layout_digest != wanted.layout_digest) {
    return other("layout version", hex(wanted.layout_digest), hex(found.layout_digest));
  }
  if (found.head_format != wanted.head_format) {
    return other("head format", name(wanted.head_format), name(found.head_format));
  }
  if (found.config_hash != wanted.config_hash) {
    return other("model shape", hex(wanted.config_hash), hex(found.config_hash));
  }
  if (found.source_fingerprint != wanted.source_fingerprint) {
    return other("fingerprint of the checkpoint", hex(wanted.source_fingerprint),
                 hex(found.source_fingerprint));
  }
  return {};
}

Result<void> verify_sections(const PackedImage& image, const std::string& where) {
  for (const PackedSection& section : image.sections) {
    const uint64_t found = checksum(image.bytes_of(section));
    if (found != section.checksum) {
      return stale(where, fmt::format("section {}: want checksum {:016x}, found {:016x}",
                                      section.name, section.checksum, found));
    }
  }
  return {};
}

}  // namespace incipit::engine
