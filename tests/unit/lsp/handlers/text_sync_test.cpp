#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

Json change(int64_t version, const Json& changes) {
  return {{"textDocument", {{"uri", kUri}, {"version", version}}}, {"contentChanges", changes}};
}

Json inline_params(const char* uri, uint32_t line, uint32_t character) {
  return {{"textDocument", {{"uri", uri}}},
          {"position", position(line, character)},
          {"context", {{"triggerKind", 2}}}};
}

// What the pipeline is asked about, after the edits that came before the request.
lsp::CompletionRequest asked(TestServer& server, uint32_t line, uint32_t character) {
  const size_t n = FakePipeline::control().n_started();
  server.client.start("textDocument/inlineCompletion", inline_params(kUri, line, character));
  return FakePipeline::control().wait_for_start(n + 1);
}

TEST(TextSync, ARequestSeesExactlyTheEditsBeforeIt) {
  TestServer server;
  server.client.initialize({{"capabilities", Json::object()},
                            {"workspaceFolders", {{{"uri", "file:///work"}, {"name", "w"}}}}});
  server.wait_until_ready();
  server.open(kUri, "a\xF0\x9F\x98\x80\xC3\xA9\r\nsecond\r\n");
  server.client.notify("textDocument/didChange",
                       change(2, {{{"range", range(0, 3, 0, 4)}, {"text", "X"}},
                                  {{"range", range(1, 0, 1, 6)}, {"text", "2nd"}}}));
  const auto request = asked(server, 0, 4);
  server.client.notify("textDocument/didChange", change(3, {{{"text", "later"}}}));
  EXPECT_EQ(*request.document.text, "a\xF0\x9F\x98\x80X\r\n2nd\r\n");
  EXPECT_EQ(request.document.version, 2);
  EXPECT_EQ(request.document.path, "a.py");
  EXPECT_EQ(request.document.language_id, "python");
  EXPECT_EQ(request.offset, 6u);
}

class TextSyncEncoding : public ::testing::TestWithParam<const char*> {};

TEST_P(TextSyncEncoding, EditsAndPositionsCountAsNegotiated) {
  const std::string encoding = GetParam();
  TestServer server;
  server.client.initialize({{"capabilities", {{"general", {{"positionEncodings", {encoding}}}}}}});
  server.wait_until_ready();
  server.open(kUri, "\xF0\x9F\x98\x80=\xC3\xA9;");
  const uint32_t emoji = encoding == "utf-8" ? 4 : encoding == "utf-16" ? 2 : 1;
  const uint32_t accent = encoding == "utf-8" ? 2 : 1;
  server.client.notify("textDocument/didChange",
                       change(2, {{{"range", range(0, emoji + 1, 0, emoji + 1 + accent)},
                                   {"text", "\xF0\x9F\x98\x80"}}}));
  FakePipeline::control().answer_with([](const lsp::CompletionRequest& request) {
    return one_item("!", request.offset, request.offset + 1);
  });
  const Json reply =
      server.client.call("textDocument/inlineCompletion", inline_params(kUri, 0, 2 * emoji + 1));
  const auto request = FakePipeline::control().wait_for_start(1);
  EXPECT_EQ(*request.document.text, "\xF0\x9F\x98\x80=\xF0\x9F\x98\x80;");
  EXPECT_EQ(request.offset, 9u);
  EXPECT_EQ(reply["result"]["items"][0]["range"], range(0, 2 * emoji + 1, 0, 2 * emoji + 2));
}

INSTANTIATE_TEST_SUITE_P(All, TextSyncEncoding, ::testing::Values("utf-8", "utf-16", "utf-32"));

TEST(TextSync, SurvivesEverythingThatAClientCanGetWrong) {
  TestServer server;
  server.client.initialize(Json::object());
  server.client.notify("textDocument/didChange", change(2, {{{"text", "not open"}}}));
  server.client.notify("textDocument/didClose", {{"textDocument", {{"uri", kUri}}}});
  server.open(kUri, "one");
  server.open(kUri, "two");
  server.client.notify("textDocument/didChange", change(1, {{{"text", "three"}}}));
  server.client.notify("textDocument/didChange",
                       change(9, {{{"range", range(90, 90, 3, 3)}, {"text", "!"}}}));
  server.client.notify("textDocument/didChange", {{"textDocument", 5}});
  server.client.notify("textDocument/didOpen", Json::array());
  server.client.notify("textDocument/didChange",
                       change(10, {{{"range", {{"start", position(0, 0)}}}, {"text", "x"}}}));
  server.wait_until_ready();
  const auto request = asked(server, 0, 0);
  EXPECT_EQ(*request.document.text, "three!");
  EXPECT_EQ(request.document.version, 9);
}

TEST(TextSync, AThousandRandomEditsGiveWhatANaiveReplayGives) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  TestServer server;
  server.client.initialize(Json::object());
  std::string naive = "line one\nline two\n";
  server.open(kUri, naive);
  for (int step = 0; step < 1000; ++step) {
    // ASCII without \r, so that the naive side stays a page shorter; positions have their own test.
    const auto place = [&](size_t offset) {
      const auto line = std::count(naive.begin(), naive.begin() + std::ptrdiff_t(offset), '\n');
      const size_t start = offset == 0 ? 0 : naive.rfind('\n', offset - 1) + 1;
      return position(static_cast<uint32_t>(line), static_cast<uint32_t>(offset - start));
    };
    const size_t from = random() % (naive.size() + 1);
    const size_t to = std::min(naive.size(), from + random() % 12);
    std::string text(random() % 9, static_cast<char>('a' + random() % 26));
    if (random() % 3 == 0) text += '\n';
    const Json edited = {{"start", place(from)}, {"end", place(to)}};
    server.client.notify("textDocument/didChange",
                         change(step + 2, {{{"range", edited}, {"text", text}}}));
    naive.replace(from, to - from, text);
  }
  server.wait_until_ready();
  EXPECT_EQ(*asked(server, 0, 0).document.text, naive);
}

TEST(TextSync, KeepsUpWithABigDocument) {
  TestServer server;
  // Without reading ahead: the fake pipeline would keep every version that it is shown.
  server.client.initialize({{"initializationOptions", {{"prewarm", false}}}});
  std::string text;
  for (int line = 0; line < 100'000; ++line) text += "    total = total + value[i]\n";
  text += std::string(1 << 20, 'x');
  server.open(kUri, text);
  for (int step = 0; step < 300; ++step) {
    const auto at = static_cast<uint32_t>(500'000 + step);
    server.client.notify(
        "textDocument/didChange",
        change(step + 2, {{{"range", range(100'000, at, 100'000, at)}, {"text", "y"}},
                          {{"range", range(50'000, 4, 50'000, 4)}, {"text", "z"}}}));
  }
  server.wait_until_ready();
  const auto request = asked(server, 100'000, 500'300);
  EXPECT_EQ(request.document.text->size(), text.size() + 600);
  EXPECT_EQ(request.document.text->substr(request.offset - 300, 301), std::string(300, 'y') + "x");
}

TEST(TextSync, TellsThePipelineToForgetAClosedDocument) {
  TestServer server;
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.open("file:///c%3A/a.py", "x");
  server.client.notify("textDocument/didClose", {{"textDocument", {{"uri", "file:///C:/a.py"}}}});
  EXPECT_EQ(FakePipeline::control().wait_for_forgotten(1), "file:///c%3A/a.py");
}

TEST(TextSync, ReadsAheadWhereTheUserTypes) {
  TestServer server;
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.open(kUri, "one\ntwo\n");
  EXPECT_EQ(FakePipeline::control().wait_for_warmed(1).offset, 8u);
  server.client.notify("textDocument/didChange",
                       change(2, {{{"range", range(1, 0, 1, 0)}, {"text", "ab"}}}));
  const auto warmed = FakePipeline::control().wait_for_warmed(2);
  EXPECT_EQ(warmed.offset, 6u);
  EXPECT_EQ(*warmed.document.text, "one\nabtwo\n");
}

TEST(TextSync, ReadsNothingAheadWhenTheSettingSaysSo) {
  TestServer server;
  server.client.initialize({{"initializationOptions", {{"prewarm", false}}}});
  server.wait_until_ready();
  server.open(kUri, "one\n");
  server.client.call("incipit/status", nullptr);
  server.client.call("incipit/status", nullptr);
  EXPECT_EQ(FakePipeline::control().n_warmed(), 0u);
}

}  // namespace
}  // namespace incipit::test
