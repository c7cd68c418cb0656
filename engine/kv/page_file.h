// A file of KV pages: what a prefix cache held, kept from one run of the program to the next. Runs
// of tokens, parents before their children, each with the bytes of its page and their checksum, and
// one line of text that says for which model, format and device they were computed. A file is
// written without a name or under a temporary one, readable by its owner alone, and gets its own
// when it is whole. Any defect of a file that is read is an error that names it; nothing unchecked
// is handed out.
//
//   header   magic "INCIPKV1", format version, n_pages, page_bytes, identity, checksum of all that
//   table    n_pages entries: parent, n_tokens, 16 tokens, checksum of the page
//   pages    n_pages * page_bytes
//
// In the byte order of the machine. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/kv/page_table.h"

namespace incipit::engine {

struct StoredRun {
  int32_t parent = -1;   // an earlier entry of the table; -1: the beginning of the prompt
  int32_t n_tokens = 0;  // 1..16; the parent's are 16
  std::array<TokenId, kPageTokens> tokens{};
  uint64_t checksum = 0;  // XXH3 of the page
};

// Bytes of a file of so many pages.
int64_t page_file_bytes(int64_t n_pages, int64_t page_bytes, size_t identity_bytes);

class PageFileReader {
 public:
  // Checks all but the pages. `vocab`: tokens are below it. kNotFound when there is no file,
  // kInvalidArgument when it is sound but of something else, kCorrupt otherwise.
  static Result<PageFileReader> open(const std::filesystem::path& path, const std::string& identity,
                                     int64_t page_bytes, int32_t vocab);
  PageFileReader(PageFileReader&& other) noexcept;
  PageFileReader& operator=(PageFileReader&&) = delete;
  ~PageFileReader();

  const std::vector<StoredRun>& runs() const { return runs_; }
  // The bytes of a page, checked.
  Result<void> read(size_t run_idx, std::span<std::byte> out) const;

 private:
  PageFileReader() = default;
  Result<void> read_table(const std::string& identity, int64_t page_bytes, int32_t vocab);
  Result<void> read_at(int64_t offset, std::span<std::byte> out) const;
  Error corrupt(const std::string& what) const;

  std::string where_;
  int fd_ = -1;
  int64_t page_bytes_ = 0;
  int64_t pages_at_ = 0;
  std::vector<StoredRun> runs_;
};

class PageFileWriter {
 public:
  static Result<PageFileWriter> create(const std::filesystem::path& path,
                                       const std::string& identity, int64_t page_bytes,
                                       std::vector<StoredRun> runs);
  PageFileWriter(PageFileWriter&& other) noexcept;
  PageFileWriter& operator=(PageFileWriter&&) = delete;
  ~PageFileWriter();  // without finish() nothing is left behind

  size_t n_written() const { return n_written_; }
  const std::vector<StoredRun>& runs() const { return runs_; }
  Result<void> write(std::span<const std::byte> page);  // of the next run
  Result<void> finish();                                // all are written: the file takes its place

 private:
  PageFileWriter() = default;
  Result<void> open_file();
  Result<void> write_at(int64_t offset, std::span<const std::byte> bytes) const;

  std::filesystem::path path_;
  std::string temporary_;  // empty: the file has no name
  int fd_ = -1;
  std::string identity_;
  int64_t page_bytes_ = 0;
  std::vector<StoredRun> runs_;
  size_t n_written_ = 0;
};

}  // namespace incipit::engine
