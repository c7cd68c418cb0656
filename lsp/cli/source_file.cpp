#include "lsp/cli/source_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "lsp/document/utf8.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Reads at most kMaxSourceBytes + 1, so that an endless pipe ends.
Result<std::string> read_stream(std::FILE* stream, const std::string& name) {
  std::string text;
  char buffer[1 << 16];
  size_t n = 0;
  while (text.size() <= kMaxSourceBytes && (n = std::fread(buffer, 1, sizeof buffer, stream)) > 0) {
    text.append(buffer, n);
  }
  if (std::ferror(stream) != 0) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot read: {}", name, std::strerror(errno))};
  }
  return text;
}

Error unusable(const std::string& name, const char* found) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: want a source file, found {}", name, found)};
}

// Not such as a shell's <(command), which has or had a writer.
bool has_a_name(int pipe) {
  struct statfs system {};
  return ::fstatfs(pipe, &system) != 0 || system.f_type != PIPEFS_MAGIC;
}

// Refuses what cannot give a text before anything waits for it; the file is open without blocking.
// Yields what had to be read to know.
Result<std::string> first_bytes(int fd, const std::string& name) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return unusable(name, std::strerror(errno));
  if (S_ISREG(status.st_mode)) return std::string();
  if (S_ISDIR(status.st_mode)) return unusable(name, "a directory");
  if (!S_ISFIFO(status.st_mode)) return unusable(name, "a device");
  // fifo(7): the input is at its end at once when nobody has the other end open.
  char byte = 0;
  const ssize_t n = ::read(fd, &byte, 1);
  if (n == 0 && has_a_name(fd)) return unusable(name, "a named pipe that nobody writes to");
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return std::string(n > 0 ? 1 : 0, byte);
}

Result<std::string> read_file(const std::string& name) {
  const int fd = ::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    const int number = errno;
    return Error{number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 fmt::format("{}: cannot open: {}{}", name, std::strerror(number),
                             name == "-" ? " (--stdin reads standard input)" : "")};
  }
  Result<std::string> start = first_bytes(fd, name);
  std::FILE* stream = start ? ::fdopen(fd, "rb") : nullptr;
  if (stream == nullptr) {
    ::close(fd);
    return start ? unusable(name, std::strerror(errno)) : start.error();
  }
  Result<std::string> rest = read_stream(stream, name);
  std::fclose(stream);
  if (!rest) return rest;
  return *start + *rest;
}

// "line 3, column 7" of a byte offset.
std::string place(const SourceFile& source, size_t offset) {
  const size_t line = source.lines.line_at(offset);
  return fmt::format("line {}, column {}", line + 1, offset - source.lines.start(line) + 1);
}

Error not_utf8(const SourceFile& source, size_t offset) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: want UTF-8, found byte 0x{:02X} at {} (iconv -f ENCODING -t UTF-8 "
                      "converts it)",
                      source.name, static_cast<unsigned char>((*source.text)[offset]),
                      place(source, offset))};
}

std::optional<Error> check_text(const SourceFile& source) {
  const std::string& text = *source.text;
  if (text.size() > kMaxSourceBytes) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("{}: want at most {} MiB, found more",
                                                          source.name, kMaxSourceBytes >> 20)};
  }
  if (const size_t nul = text.find('\0'); nul != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: want UTF-8 text, found binary data (a zero byte at offset {})",
                             source.name, nul)};
  }
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence_length(text, at);
    if (length == 0) return not_utf8(source, at);
    at += length;
  }
  return std::nullopt;
}

// A positive decimal number and nothing else.
std::optional<size_t> parse_count(std::string_view text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

Error usage(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}

std::string count_lines(const SourceFile& source) {
  const size_t n = source.lines.n_lines();
  return fmt::format("{} has {} line{}", source.name, n, n == 1 ? "" : "s");
}

// What the model is shown: relative to the working directory for files below it.
std::string shown_path(const std::string& name) {
  std::error_code error;
  const fs::path relative = fs::proximate(name, error).lexically_normal();
  if (error || relative.empty() || *relative.begin() == ".." || relative.is_absolute()) {
    return fs::path(name).filename().string();
  }
  return relative.string();
}

}  // namespace

std::string language_names() {
  std::string names;
  for (const Language& one : all_languages()) {
    names += (names.empty() ? "" : ", ") + std::string(one.name);
  }
  return names;
}

Result<SourceFile> make_source(std::string name, std::string text, std::string language) {
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  SourceFile source;
  source.name = std::move(name);
  source.text = std::make_shared<const std::string>(std::move(text));
  source.lines = LineIndex(*source.text);
  if (std::optional<Error> error = check_text(source)) return *error;
  std::error_code ignored;
  source.snapshot.uri = "file://" + fs::absolute(source.name, ignored).string();
  source.snapshot.path = shown_path(source.name);
  source.snapshot.language_id = std::move(language);
  source.snapshot.text = source.text;
  return source;
}

Result<SourceFile> read_source(const SourceChoice& choice) {
  Result<std::string> text =
      choice.from_stdin ? read_stream(stdin, "standard input") : read_file(choice.file);
  if (!text) return text.error();
  return make_source(choice.file, std::move(text).value(), choice.language);
}

Result<size_t> parse_position(std::string_view at, const SourceFile& source) {
  const size_t colon = at.find(':');
  const auto line = parse_count(at.substr(0, colon));
  const auto column = colon == at.npos ? std::nullopt : parse_count(at.substr(colon + 1));
  if (!line || !column) {
    return usage(fmt::format("--at: want LINE:COLUMN, both from 1, found \"{}\"", at));
  }
  if (*line > source.lines.n_lines()) {
    return usage(fmt::format("--at {}: there is no line {}: {}", at, *line, count_lines(source)));
  }
  const size_t start = source.lines.start(*line - 1);
  const size_t length = source.lines.end(*source.text, *line - 1) - start;
  if (*column > length + 1) {
    return usage(
        fmt::format("--at {}: there is no column {}: line {} of {} has {} bytes, so {} is "
                    "the last column",
                    at, *column, *line, source.name, length, length + 1));
  }
  size_t offset = start + *column - 1;
  if (offset < source.text->size() && is_continuation_byte((*source.text)[offset])) {
    while (is_continuation_byte((*source.text)[offset])) --offset;
    return usage(
        fmt::format("--at {}: column {} is inside the character that starts at column {} "
                    "(columns count bytes)",
                    at, *column, offset - start + 1));
  }
  return offset;
}

Result<ByteRange> parse_lines(std::string_view lines, const SourceFile& source) {
  const size_t colon = lines.find(':');
  const auto first = parse_count(lines.substr(0, colon));
  const auto last = colon == lines.npos ? first : parse_count(lines.substr(colon + 1));
  if (!first || !last || *last < *first) {
    return usage(
        fmt::format("--lines: want A:B with 1 <= A <= B, or a single line, found \"{}\"", lines));
  }
  if (*last > source.lines.n_lines()) {
    return usage(
        fmt::format("--lines {}: there is no line {}: {}", lines, *last, count_lines(source)));
  }
  return ByteRange{source.lines.start(*first - 1), source.lines.end(*source.text, *last - 1)};
}

}  // namespace incipit::lsp::cli
