#include <gtest/gtest.h>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

TEST(Status, TellsWhatIsLoadedAndWhatTheLastCompletionTook) {
  TestServer server;
  server.client.initialize({{"capabilities", {{"general", {{"positionEncodings", {"utf-8"}}}}}}});
  server.wait_until_ready();
  server.open("file:///a", "x");
  FakePipeline::control().answer_with([](const lsp::CompletionRequest& request) {
    auto outcome = one_item("y", request.offset, request.offset);
    outcome.timings.context = std::chrono::microseconds(1500);
    outcome.timings.total = std::chrono::microseconds(20'000);
    outcome.timings.engine.n_prompt_tokens = 100;
    outcome.timings.engine.n_cached_tokens = 96;
    return outcome;
  });
  server.client.call("textDocument/inlineCompletion",
                     {{"textDocument", {{"uri", "file:///a"}}}, {"position", position(0, 0)}});
  const Json status = server.client.call("incipit/status", nullptr)["result"];
  EXPECT_EQ(status["state"], "ready");
  EXPECT_EQ(status["positionEncoding"], "utf-8");
  EXPECT_EQ(status["openDocuments"], 1);
  EXPECT_EQ(status["pendingRequests"], 0);
  EXPECT_EQ(status["model"]["name"], "fake");  // what the engine says it loaded
  EXPECT_EQ(status["model"]["device"], "fake");
  EXPECT_GT(status["memory"]["residentBytes"], 0);
  for (const char* part : {"pages", "tokens", "requests"}) EXPECT_TRUE(status.contains(part));
  const Json& last = status["lastCompletion"];
  EXPECT_EQ(last["items"], 1);
  EXPECT_EQ(last["finish"], "stop token");
  EXPECT_FALSE(last.contains("whyEmpty"));
  EXPECT_EQ(last["timings"]["contextMs"], 1.5);
  EXPECT_EQ(last["timings"]["totalMs"], 20.0);
  EXPECT_EQ(last["timings"]["cachedTokens"], 96);
}

TEST(Status, ExplainsTheLastSuggestionsThatWereNotMade) {
  TestServer server;
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.open("file:///a", "one\ntwo\n");
  FakePipeline::control().answer_with([](const lsp::CompletionRequest& request) {
    if (request.offset == 0) return one_item("y", 0, 0);
    lsp::CompletionOutcome outcome;
    outcome.why_empty = "reason " + std::to_string(request.offset);
    return outcome;
  });
  for (int i = 0; i < 12; ++i) {
    for (const uint32_t line : {1u, 0u}) {
      server.client.call(kInline, params("file:///a", line, line));
    }
    server.client.call(kInline, params("file:///a", 1, 2));
  }
  const Json suppressed = server.client.call("incipit/status", nullptr)["result"]["suppressed"];
  ASSERT_EQ(suppressed.size(), 20u);  // at most
  EXPECT_EQ(suppressed[0]["uri"], "file:///a");
  EXPECT_EQ(suppressed[0]["position"], position(1, 2));
  EXPECT_EQ(suppressed[0]["why"], "reason 6");
  EXPECT_GE(suppressed[0]["secondsAgo"], 0.0);
  EXPECT_EQ(suppressed[1]["why"], "reason 5");
}

}  // namespace
}  // namespace incipit::test
