#include "lsp/rpc/message_framer.h"

#include <gmock/gmock.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/lsp_client.h"

namespace incipit::lsp {
namespace {

using test::frame;
using ::testing::ElementsAre;

// "error" for an error, "=body" for a message.
std::vector<std::string> frames_of(MessageFramer& framer) {
  std::vector<std::string> all;
  while (auto found = framer.next()) {
    all.push_back(found->kind == Frame::Kind::kMessage ? "=" + found->text : "error");
  }
  return all;
}

std::vector<std::string> frames_of(const std::string& bytes, size_t max_body = 1 << 20) {
  MessageFramer framer(max_body);
  framer.feed(bytes);
  return frames_of(framer);
}

std::string error_of(const std::string& bytes) {
  MessageFramer framer(1000);
  framer.feed(bytes);
  const auto found = framer.next();
  return found && found->kind == Frame::Kind::kError ? found->text : "no error";
}

TEST(MessageFramer, CutsFramesThatArriveTogether) {
  EXPECT_THAT(frames_of(frame("{}") + frame("[1]") + frame("")), ElementsAre("={}", "=[1]", "="));
}

TEST(MessageFramer, GivesTheSameFramesForEverySplitOfTheBytes) {
  const std::string bytes = frame("{\"a\":1}") + "junk\r\n\r\n" + frame("{\"b\":\"\xC3\xA9\"}");
  const auto whole = frames_of(bytes);
  ASSERT_THAT(whole, ElementsAre("={\"a\":1}", "error", "={\"b\":\"\xC3\xA9\"}"));
  for (size_t split = 0; split <= bytes.size(); ++split) {
    MessageFramer framer(1000);
    framer.feed(bytes.substr(0, split));
    auto found = frames_of(framer);
    framer.feed(bytes.substr(split));
    for (auto& more : frames_of(framer)) found.push_back(std::move(more));
    EXPECT_EQ(found, whole) << "split at " << split;
  }
  MessageFramer framer(1000);
  std::vector<std::string> found;
  for (const char byte : bytes) {
    framer.feed(std::string(1, byte));
    for (auto& more : frames_of(framer)) found.push_back(std::move(more));
  }
  EXPECT_EQ(found, whole);
}

TEST(MessageFramer, IgnoresOtherHeadersAndTheCaseOfNames) {
  EXPECT_THAT(frames_of("Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"
                        "CONTENT-length:2\r\nX-Content-Length: 77\r\n\r\n{}"),
              ElementsAre("={}"));
}

TEST(MessageFramer, TakesBareNewlinesAndBlankLinesBetweenFrames) {
  EXPECT_THAT(frames_of("Content-Length: 2\n\n{}\r\n\r\n\nContent-Length : 2 \r\n\r\n[]"),
              ElementsAre("={}", "=[]"));
}

TEST(MessageFramer, SaysWhatIsWrongWithALength) {
  EXPECT_EQ(error_of("Content-Length: abc\r\n\r\n"),
            "framing: Content-Length: want a number of bytes, found \"abc\"");
  EXPECT_EQ(error_of("Content-Length: -5\r\n\r\n"),
            "framing: Content-Length: want a number of bytes, found \"-5\"");
  EXPECT_EQ(error_of("Content-Length: 5x\r\n\r\n"),
            "framing: Content-Length: want a number of bytes, found \"5x\"");
  EXPECT_EQ(error_of("Content-Length: 99999999999999999999999\r\n\r\n"),
            "framing: Content-Length: want a number of bytes, found \"99999999999999999999999\"");
  EXPECT_EQ(error_of("Content-Length: 1001\r\n\r\n"),
            "framing: Content-Length: want at most 1000 bytes, found 1001");
  EXPECT_EQ(error_of("Content-Length:\r\n\r\n"),
            "framing: Content-Length: want a number of bytes, found \"\"");
  EXPECT_EQ(error_of("Content-Type: text\r\n\r\n"), "framing: want Content-Length, found none");
}

struct BadInput {
  const char* name;
  std::string bytes;
};

class MessageFramerRecovery : public ::testing::TestWithParam<BadInput> {};

TEST_P(MessageFramerRecovery, ReportsOnceAndFindsTheNextFrame) {
  EXPECT_THAT(frames_of(GetParam().bytes + frame("{\"id\":7}") + frame("{\"id\":8}"), 1000),
              ElementsAre("error", "={\"id\":7}", "={\"id\":8}"));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, MessageFramerRecovery,
    ::testing::Values(
        BadInput{"garbage_line", "what is this\r\n"},
        BadInput{"garbage_paragraph", "what is this\r\n\r\n"},
        BadInput{"garbage_without_newline", "what is this"},
        BadInput{"binary_garbage", std::string("\x00\xFF\x80\r\r\n\x01", 7)},
        BadInput{"no_length", "Content-Type: x\r\n\r\n{\"id\":1}"},
        BadInput{"no_length_with_newline", "Content-Type: x\r\n\r\n{\"id\":1}\r\n"},
        BadInput{"bad_length", "Content-Length: abc\r\n\r\n{\"id\":1}"},
        BadInput{"negative_length", "Content-Length: -1\r\n\r\n{\"id\":1}"},
        BadInput{"huge_length", "Content-Length: 18446744073709551616\r\n\r\n{\"id\":1}"},
        BadInput{"length_over_the_limit", "Content-Length: 5000000\r\n\r\n{\"id\":1}"},
        BadInput{"body_names_the_header",
                 "Content-Length: x\r\n\r\n{\"text\":\"Content-Length: 3\"}"},
        BadInput{"half_a_header", "Content-Len"},
        BadInput{"header_cut_short", "Content-Length: 50\r\n"},
        BadInput{"long_garbage", std::string(16000, 'x')}),
    [](const auto& instance) { return instance.param.name; });

TEST(MessageFramer, ReportsEachBlockThatIsNoHeader) {
  EXPECT_THAT(frames_of("GET / HTTP/1.1\r\nHost: x\r\n\r\nContent-Length: abc\r\n\r\n{}"
                        "Content-Length: 77777777\r\n\r\nFoo: bar\r\n\r\n" +
                            frame("{\"id\":7}"),
                        1000),
              ElementsAre("error", "error", "error", "error", "={\"id\":7}"));
}

TEST(MessageFramer, FindsTheNextFrameInsideOfABodyThatWasAnnouncedTooLong) {
  EXPECT_THAT(frames_of("Content-Length: 900\r\n\r\n{\"id\":1}" + frame("{\"id\":2}"), 1000),
              ElementsAre("={\"id\":1}", "={\"id\":2}"));
}

TEST(MessageFramer, LeavesABodyAloneThatOnlyTalksAboutHeaders) {
  const std::string body = R"({"text":"\r\n\r\nContent-Length: 3\r\n\r\nabc"})";
  EXPECT_THAT(frames_of(frame(body)), ElementsAre("=" + body));
  const std::string spaced = "{\r\n\r\n \"id\" : 1\r\n\r\n}";
  EXPECT_THAT(frames_of(frame(spaced)), ElementsAre("=" + spaced));
}

TEST(MessageFramer, GoesOnAfterABodyThatWasAnnouncedTooShort) {
  const auto found =
      frames_of("Content-Length: 4\r\n\r\n{\"id\":1}" + frame("{\"id\":2}") + frame("{\"id\":3}"));
  EXPECT_THAT(found, ElementsAre("={\"id", "error", "={\"id\":2}", "={\"id\":3}"));
}

TEST(MessageFramer, DoesNotKeepGarbageForEver) {
  MessageFramer framer(1000);
  size_t n_errors = 0;
  for (int i = 0; i < 2000; ++i) {
    framer.feed(std::string(1000, 'y'));
    n_errors += frames_of(framer).size();
  }
  EXPECT_EQ(n_errors, 1u);
  framer.feed(frame("{}"));
  EXPECT_THAT(frames_of(framer), ElementsAre("={}"));
}

// Whatever comes, a good frame after it is found as soon as garbage and frame are told apart, and
// nothing crashes or loops.
TEST(MessageFramer, SurvivesRandomPiecesOfHeaders) {
  const std::vector<std::string> pieces = {
      "Content-Length",           ": ", "5", "\r\n", "\r\n\r\n", "{\"a\":1}", "\n", "-", "x:y", " ",
      "content-length:0\r\n\r\n", "99", "\r"};
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    MessageFramer framer(50);
    std::string bytes;
    for (int i = 0; i < 12; ++i) bytes += pieces[random() % pieces.size()];
    framer.feed(bytes);
    ASSERT_LE(frames_of(framer).size(), bytes.size());
    // Two, since the first may be taken for the end of a body.
    framer.feed(frame("{\"id\":7}") + frame("{\"id\":8}"));
    const auto found = frames_of(framer);
    ASSERT_FALSE(found.empty()) << bytes;
    ASSERT_EQ(found.back(), "={\"id\":8}") << bytes;
  }
}

// Where a line or a header block is too long must not depend on how the bytes arrive.
TEST(MessageFramer, GivesTheSameFramesForLongGarbageInPieces) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (int i = 0; i < 10; ++i) {
      switch (random() % 5) {
        case 0:
          bytes += std::string(random() % 9000, 'x');
          break;
        case 1:
          bytes += "Content-Length:" + std::string(random() % 150, ' ') + "2";
          break;
        case 2:
          bytes += frame("{}");
          break;
        case 3:
          bytes += "\r\n";
          break;
        default:
          bytes += "X-Other: " + std::string(random() % 9000, 'y') + "\r\n";
      }
    }
    const auto whole = frames_of(bytes);
    MessageFramer framer(1 << 20);
    std::vector<std::string> found;
    for (size_t at = 0; at < bytes.size();) {
      const size_t n = 1 + random() % 3000;
      framer.feed(bytes.substr(at, n));
      at += n;
      for (auto& more : frames_of(framer)) found.push_back(std::move(more));
    }
    ASSERT_EQ(found, whole);
  }
}

}  // namespace
}  // namespace incipit::lsp
