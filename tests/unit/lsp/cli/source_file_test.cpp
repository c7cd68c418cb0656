#include "lsp/cli/source_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>

#include "tests/support/temp_dir.h"

namespace incipit::lsp::cli {
namespace {

using ::testing::HasSubstr;

SourceFile source_of(const std::string& text) {
  Result<SourceFile> source = make_source("a.py", text, "");
  if (!source) ADD_FAILURE() << source.error().message;
  return std::move(source).value();
}

size_t offset_at(const std::string& text, const char* at) {
  const Result<size_t> offset = parse_position(at, source_of(text));
  if (!offset) {
    ADD_FAILURE() << offset.error().message;
    return std::string::npos;
  }
  return *offset;
}

std::string position_error(const std::string& text, const char* at) {
  const Result<size_t> offset = parse_position(at, source_of(text));
  return offset ? "" : offset.error().message;
}

std::string lines_error(const std::string& text, const char* lines) {
  const Result<ByteRange> range = parse_lines(lines, source_of(text));
  return range ? "" : range.error().message;
}

std::string selected(const std::string& text, const char* lines) {
  const Result<ByteRange> range = parse_lines(lines, source_of(text));
  return range ? text.substr(range->start, range->end - range->start) : range.error().message;
}

std::string read_error(const std::string& name) {
  const Result<SourceFile> source = read_source({name, false, ""});
  return source ? "" : source.error().message;
}

TEST(ParsePosition, CountsLinesAndBytesFromOne) {
  EXPECT_EQ(offset_at("ab\ncd\n", "1:1"), 0u);
  EXPECT_EQ(offset_at("ab\ncd\n", "2:2"), 4u);
}

TEST(ParsePosition, TakesOnePastTheEndOfALine) {
  EXPECT_EQ(offset_at("ab\ncd", "1:3"), 2u);
  EXPECT_EQ(offset_at("ab\ncd", "2:3"), 5u);
}

TEST(ParsePosition, PutsTheEndOfALineBeforeItsLineBreak) {
  EXPECT_EQ(offset_at("ab\r\ncd", "1:3"), 2u);
  EXPECT_THAT(position_error("ab\r\ncd", "1:4"), HasSubstr("has 2 bytes, so 3 is the last column"));
}

TEST(ParsePosition, TakesTheEmptyLineBehindTheLastLineBreak) {
  EXPECT_EQ(offset_at("ab\n", "2:1"), 3u);
}

TEST(ParsePosition, TakesTheOnlyPlaceOfAnEmptyFile) {
  EXPECT_EQ(offset_at("", "1:1"), 0u);
}

TEST(ParsePosition, NamesHowManyLinesThereAre) {
  EXPECT_THAT(position_error("ab\ncd", "3:1"), HasSubstr("there is no line 3: a.py has 2 lines"));
  EXPECT_THAT(position_error("", "2:1"), HasSubstr("a.py has 1 line"));
}

TEST(ParsePosition, RefusesAColumnInsideACharacterAndNamesItsStart) {
  EXPECT_EQ(offset_at("é = 1", "1:3"), 2u);
  EXPECT_THAT(position_error("x😀", "1:4"), HasSubstr("starts at column 2"));
}

TEST(ParsePosition, RefusesWhatIsNoPosition) {
  for (const char* at : {"", ":", "1", "1:", ":1", "0:1", "1:0", "-1:1", "1:1:1", "1:1x", " 1:1",
                         "1.5:1", "99999999999999999999:1"}) {
    EXPECT_THAT(position_error("a", at), HasSubstr("want LINE:COLUMN")) << at;
  }
}

TEST(ParseLines, TakesWholeLinesWithoutTheLastLineBreak) {
  EXPECT_EQ(selected("a\nb\nc\n", "1:2"), "a\nb");
  EXPECT_EQ(selected("a\r\nb\r\nc", "2:3"), "b\r\nc");
}

TEST(ParseLines, TakesASingleLine) {
  EXPECT_EQ(selected("a\nb\nc\n", "2"), "b");
  EXPECT_EQ(selected("a\nb\nc\n", "2:2"), "b");
}

TEST(ParseLines, RefusesLinesThatAreNotThere) {
  EXPECT_THAT(lines_error("a\nb", "1:3"), HasSubstr("there is no line 3: a.py has 2 lines"));
}

TEST(ParseLines, RefusesWhatIsNoRange) {
  for (const char* lines : {"", ":", "2:1", "0:1", "1:", ":2", "1-2", "a:b"}) {
    EXPECT_THAT(lines_error("a\nb", lines), HasSubstr("want A:B")) << lines;
  }
}

TEST(MakeSource, LeavesAByteOrderMarkOut) {
  EXPECT_EQ(*source_of("\xEF\xBB\xBFx").text, "x");
}

TEST(MakeSource, NamesThePlaceOfTheFirstByteThatIsNotUtf8) {
  const Result<SourceFile> source = make_source("a.py", "ok\nna\xEFve", "");
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("0xEF at line 2, column 3"));
}

TEST(MakeSource, RefusesBinaryData) {
  const Result<SourceFile> source = make_source("a.out",
                                                std::string("\x7f"
                                                            "ELF\0\0",
                                                            6),
                                                "");
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("a zero byte at offset 4"));
}

TEST(MakeSource, KeepsTheLanguageThatWasNamed) {
  const Result<SourceFile> source = make_source("Rules", "x", "python");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->snapshot.language_id, "python");
}

TEST(MakeSource, ShowsFilesOutsideTheWorkingDirectoryByTheirName) {
  const Result<SourceFile> source = make_source("/elsewhere/deep/a.py", "x", "");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->snapshot.path, "a.py");
}

TEST(ReadSource, NamesTheOptionThatReadsStandardInput) {
  const Result<SourceFile> source = read_source({"-", false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("--stdin"));
}

TEST(ReadSource, SaysThatAFileIsMissing) {
  const Result<SourceFile> source = read_source({"/no/such/file.py", false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(source.error().message, HasSubstr("/no/such/file.py"));
}

TEST(ReadSource, SaysThatADirectoryIsNoSourceFile) {
  const test::TempDir dir;
  const Result<SourceFile> source = read_source({dir.path().string(), false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("found a directory"));
}

TEST(ReadSource, EndsAtTheSizeLimit) {
  const test::TempDir dir;
  const std::string name = (dir.path() / "large.py").string();
  std::ofstream(name) << "x";
  std::filesystem::resize_file(name, kMaxSourceBytes + 2);
  EXPECT_THAT(read_error(name), HasSubstr("want at most 64 MiB"));
}

TEST(ReadSource, SaysThatADeviceIsNoSourceFile) {
  EXPECT_THAT(read_error("/dev/zero"), HasSubstr("/dev/zero: want a source file, found a device"));
}

TEST(ReadSource, DoesNotWaitForAPipeThatNobodyWritesTo) {
  const test::TempDir dir;
  const std::string name = (dir.path() / "pipe.py").string();
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  EXPECT_THAT(read_error(name), HasSubstr("found a named pipe that nobody writes to"));
}

TEST(ReadSource, ReadsANamedPipeThatSomebodyWritesTo) {
  const test::TempDir dir;
  const std::string name = (dir.path() / "pipe.py").string();
  ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
  const int writer = ::open(name.c_str(), O_RDWR);  // does not wait for a reader
  auto reading = std::async(std::launch::async, [&] { return read_source({name, false, ""}); });
  // More than a pipe holds: when this returns, the reader is there.
  const std::string text(200'000, 'x');
  EXPECT_EQ(::write(writer, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(writer);
  const Result<SourceFile> source = reading.get();
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_TRUE(*source->text == text);
}

TEST(ReadSource, ReadsAPipeWithoutAName) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x = 1", 5), 5);
  ::close(ends[1]);
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  const Result<SourceFile> source = read_source({name, false, ""});
  ::close(ends[0]);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(*source->text, "x = 1");
}

}  // namespace
}  // namespace incipit::lsp::cli
