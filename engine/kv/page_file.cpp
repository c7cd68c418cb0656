#include "engine/kv/page_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "engine/base/temporary_file.h"
#include "engine/weights/checksum.h"
#include "kernels/common/check.h"

namespace incipit::engine {
namespace {

constexpr std::array<char, 8> kPageFileMagic = {'I', 'N', 'C', 'I', 'P', 'K', 'V', '1'};
constexpr uint32_t kPageFileVersion = 1;
constexpr size_t kMaxIdentity = 1024;
constexpr int64_t kMaxPages = 1 << 24;  // a table of 1.3 GB: nobody has that many

struct PageFileHeader {
  std::array<char, 8> magic{};
  uint32_t version = 0;
  uint32_t identity_bytes = 0;
  int64_t n_pages = 0;
  int64_t page_bytes = 0;
  uint64_t checksum = 0;  // of the header with 0 here, the identity and the table
};

struct PageFileEntry {
  int32_t parent = 0;
  int32_t n_tokens = 0;
  std::array<TokenId, kPageTokens> tokens{};
  uint64_t checksum = 0;
};
static_assert(sizeof(PageFileHeader) == 40 && sizeof(PageFileEntry) == 80);

template <class T>
std::span<std::byte> bytes_of_object(T& object) {
  return std::as_writable_bytes(std::span(&object, 1));
}

// Header, identity and table as they are on disk, the checksum filled in.
std::vector<std::byte> front_of(const std::string& identity, int64_t page_bytes,
                                const std::vector<StoredRun>& runs) {
  PageFileHeader header{kPageFileMagic,
                        kPageFileVersion,
                        static_cast<uint32_t>(identity.size()),
                        static_cast<int64_t>(runs.size()),
                        page_bytes,
                        0};
  std::vector<std::byte> front(sizeof header + identity.size() +
                               runs.size() * sizeof(PageFileEntry));
  std::memcpy(front.data() + sizeof header, identity.data(), identity.size());
  std::byte* entry_at = front.data() + sizeof header + identity.size();
  for (const StoredRun& run : runs) {
    const PageFileEntry entry{run.parent, run.n_tokens, run.tokens, run.checksum};
    std::memcpy(entry_at, &entry, sizeof entry);
    entry_at += sizeof entry;
  }
  std::memcpy(front.data(), &header, sizeof header);
  header.checksum = checksum(front);
  std::memcpy(front.data(), &header, sizeof header);
  return front;
}

Error page_file_error(const std::string& where, const char* doing) {
  return Error{errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
               fmt::format("{}: cannot {}: {}", where, doing, std::strerror(errno))};
}

// Under which a file that has no name can be linked (open(2), O_TMPFILE).
std::string path_of(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

bool is_sound(const StoredRun& run, size_t idx, const std::vector<StoredRun>& runs, int32_t vocab) {
  if (run.n_tokens < 1 || run.n_tokens > kPageTokens) return false;
  if (run.parent < -1 || run.parent >= static_cast<int32_t>(idx)) return false;
  if (run.parent >= 0 && runs[static_cast<size_t>(run.parent)].n_tokens != kPageTokens)
    return false;
  return std::all_of(run.tokens.begin(), run.tokens.begin() + run.n_tokens,
                     [&](TokenId token) { return token >= 0 && token < vocab; });
}

}  // namespace

int64_t page_file_bytes(int64_t n_pages, int64_t page_bytes, size_t identity_bytes) {
  return static_cast<int64_t>(sizeof(PageFileHeader) + identity_bytes) +
         n_pages * (static_cast<int64_t>(sizeof(PageFileEntry)) + page_bytes);
}

PageFileReader::PageFileReader(PageFileReader&& other) noexcept
    : where_(std::move(other.where_)),
      fd_(std::exchange(other.fd_, -1)),
      page_bytes_(other.page_bytes_),
      pages_at_(other.pages_at_),
      runs_(std::move(other.runs_)) {}

PageFileReader::~PageFileReader() {
  if (fd_ >= 0) ::close(fd_);
}

Error PageFileReader::corrupt(const std::string& what) const {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}", where_, what)};
}

Result<PageFileReader> PageFileReader::open(const std::filesystem::path& path,
                                            const std::string& identity, int64_t page_bytes,
                                            int32_t vocab) {
  PageFileReader reader;
  reader.where_ = path.string();
  reader.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (reader.fd_ < 0) return page_file_error(reader.where_, "open");
  TRY(reader.read_table(identity, page_bytes, vocab));
  return reader;
}

Result<void> PageFileReader::read_table(const std::string& identity, int64_t page_bytes,
                                        int32_t vocab) {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return page_file_error(where_, "look at it");
  PageFileHeader header;
  if (status.st_size < static_cast<int64_t>(sizeof header)) {
    return corrupt(
        fmt::format("want a header of {} bytes, the file has {}", sizeof header, status.st_size));
  }
  TRY(read_at(0, bytes_of_object(header)));
  if (header.magic != kPageFileMagic) return corrupt("it is no file of KV pages");
  if (header.version != kPageFileVersion) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: want format version {}, found {}", where_, kPageFileVersion,
                             header.version)};
  }
  if (header.n_pages < 0 || header.n_pages > kMaxPages || header.identity_bytes > kMaxIdentity ||
      header.page_bytes < 0 || header.page_bytes > (int64_t{1} << 40)) {
    return corrupt("its header has impossible sizes");
  }
  const auto n_front = static_cast<int64_t>(sizeof header) + header.identity_bytes +
                       header.n_pages * static_cast<int64_t>(sizeof(PageFileEntry));
  if (status.st_size < n_front) {
    return corrupt(
        fmt::format("want a table up to byte {}, the file has {}", n_front, status.st_size));
  }
  std::vector<std::byte> front(static_cast<size_t>(n_front));
  TRY(read_at(0, front));
  const uint64_t wanted = std::exchange(header.checksum, 0);
  std::memcpy(front.data(), &header, sizeof header);
  if (checksum(front) != wanted) return corrupt("the checksum of its table does not fit");
  const std::string found(reinterpret_cast<const char*>(front.data()) + sizeof header,
                          header.identity_bytes);
  if (found != identity || header.page_bytes != page_bytes) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: want pages of {} bytes for \"{}\", found {} bytes for \"{}\"",
                             where_, page_bytes, identity, header.page_bytes, found)};
  }
  const int64_t n_all = page_file_bytes(header.n_pages, page_bytes, identity.size());
  if (status.st_size != n_all) {
    return corrupt(fmt::format("want {} bytes, the file has {}", n_all, status.st_size));
  }
  runs_.reserve(static_cast<size_t>(header.n_pages));
  const std::byte* entry_at = front.data() + sizeof header + header.identity_bytes;
  for (size_t i = 0; i < static_cast<size_t>(header.n_pages); ++i) {
    PageFileEntry entry;
    std::memcpy(&entry, entry_at + i * sizeof entry, sizeof entry);
    runs_.push_back({entry.parent, entry.n_tokens, entry.tokens, entry.checksum});
    if (!is_sound(runs_.back(), i, runs_, vocab))
      return corrupt(fmt::format("entry {} of its table makes no sense", i));
  }
  page_bytes_ = page_bytes;
  pages_at_ = n_front;
  return {};
}

Result<void> PageFileReader::read_at(int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return page_file_error(where_, "read");
    if (n == 0) return corrupt(fmt::format("it ends at byte {}", offset));
    offset += n;
    out = out.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> PageFileReader::read(size_t run_idx, std::span<std::byte> out) const {
  CHECK(run_idx < runs_.size() && static_cast<int64_t>(out.size()) == page_bytes_);
  TRY(read_at(pages_at_ + static_cast<int64_t>(run_idx) * page_bytes_, out));
  if (checksum(out) == runs_[run_idx].checksum) return {};
  return corrupt(fmt::format("the checksum of page {} does not fit", run_idx));
}

PageFileWriter::PageFileWriter(PageFileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)),
      identity_(std::move(other.identity_)),
      page_bytes_(other.page_bytes_),
      runs_(std::move(other.runs_)),
      n_written_(other.n_written_) {}

PageFileWriter::~PageFileWriter() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<PageFileWriter> PageFileWriter::create(const std::filesystem::path& path,
                                              const std::string& identity, int64_t page_bytes,
                                              std::vector<StoredRun> runs) {
  CHECK_LE(identity.size(), kMaxIdentity);
  std::error_code failure;
  std::filesystem::create_directories(path.parent_path(), failure);
  if (failure) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot make the directory: {}",
                                             path.parent_path().string(), failure.message())};
  }
  PageFileWriter writer;
  writer.path_ = path;
  writer.identity_ = identity;
  writer.page_bytes_ = page_bytes;
  writer.runs_ = std::move(runs);
  TRY(writer.open_file());
  return writer;
}

// Without a name, where the file system has such files: nothing is left of it when this process is
// killed.
Result<void> PageFileWriter::open_file() {
  constexpr mode_t kOwnerAlone = 0600;  // it holds the user's text
  fd_ = ::open(path_.parent_path().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kOwnerAlone);
  if (fd_ >= 0 && ::access(path_of(fd_).c_str(), F_OK) == 0) return {};
  if (fd_ >= 0) ::close(fd_);
  std::string temporary = temporary_name(path_).string();
  fd_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerAlone);
  if (fd_ < 0) return page_file_error(temporary, "create");
  temporary_ = std::move(temporary);
  ::flock(fd_, LOCK_EX | LOCK_NB);  // see engine/base/temporary_file.h
  return {};
}

Result<void> PageFileWriter::write_at(int64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return page_file_error(path_.string(), "write");
    offset += n;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> PageFileWriter::write(std::span<const std::byte> page) {
  CHECK(n_written_ < runs_.size() && static_cast<int64_t>(page.size()) == page_bytes_);
  runs_[n_written_].checksum = checksum(page);
  const int64_t pages_at = page_file_bytes(static_cast<int64_t>(runs_.size()), 0, identity_.size());
  TRY(write_at(pages_at + static_cast<int64_t>(n_written_) * page_bytes_, page));
  ++n_written_;
  return {};
}

// Not synced: after a power failure the checksums tell, and all that is lost is warmth.
Result<void> PageFileWriter::finish() {
  CHECK_EQ(n_written_, runs_.size());
  TRY(write_at(0, front_of(identity_, page_bytes_, runs_)));
  if (temporary_.empty()) {  // a link cannot replace a file: one more name, and a rename
    std::string temporary = temporary_name(path_).string();
    if (::linkat(AT_FDCWD, path_of(fd_).c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) !=
        0)
      return page_file_error(temporary, "create");
    temporary_ = std::move(temporary);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return page_file_error(path_.string(), "rename the new file to it");
  temporary_.clear();
  return {};
}

}  // namespace incipit::engine
