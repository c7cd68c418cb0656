#include "lsp/cli/source_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(ReadSource, SaysThatAFileIsMissing) {
  const Result<SourceFile> source = read_source({"/no/such/file.py", false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(source.error().message, HasSubstr("/no/such/file.py"));
}

TEST(ReadSource, SaysThatADirectoryIsNoSourceFile) {
  const testing::TempDir dir;
  const Result<SourceFile> source = read_source({dir.path().string(), false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("found a directory"));
}

TEST(ReadSource, EndsAtTheSizeLimitOfAnEndlessDevice) {
  const Result<SourceFile> source = read_source({"/dev/zero", false, ""});
  ASSERT_FALSE(source.ok());
  EXPECT_THAT(source.error().message, HasSubstr("want at most 64 MiB"));
}

}  // namespace
}  // namespace incipit::lsp::cli
