#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

Json empty_list() {
  return {{"items", Json::array()}};
}

class Completion : public ::testing::Test {
 protected:
  Completion() {
    client.initialize(Json::object());
    server.wait_until_ready();
  }
  std::string why_empty() {
    return client.call("incipit/status", nullptr)["result"]["lastCompletion"].value("whyEmpty", "");
  }
  void type(int64_t version, uint32_t line, uint32_t character, const std::string& text) {
    client.notify("textDocument/didChange",
                  {{"textDocument", {{"uri", kUri}, {"version", version}}},
                   {"contentChanges",
                    {{{"range", range(line, character, line, character)}, {"text", text}}}}});
  }

  TestServer server;
  LspClient& client = server.client;
  FakePipeline& pipeline = FakePipeline::control();
};

TEST_F(Completion, AnswersWithTextAndRange) {
  pipeline.answer_with_insert("return 1");
  server.open(kUri, "def f():\n    ");
  EXPECT_EQ(client.call(kInline, params(kUri, 1, 4))["result"],
            (Json{{"items", {{{"insertText", "return 1"}, {"range", range(1, 4, 1, 4)}}}}}));
}

TEST_F(Completion, AnswersWithAllThatAreThere) {
  pipeline.answer_with([](const lsp::CompletionRequest& request) {
    lsp::CompletionOutcome outcome = one_item("return 1", request.offset, request.offset);
    outcome.items.push_back({"raise", request.offset, request.offset});
    return outcome;
  });
  server.open(kUri, "def f():\n    ");
  const Json items = client.call(kInline, params(kUri, 1, 4))["result"]["items"];
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0]["insertText"], "return 1");
  EXPECT_EQ(items[1], (Json{{"insertText", "raise"}, {"range", range(1, 4, 1, 4)}}));
  EXPECT_EQ(pipeline.wait_for_start(1).options.alternatives, 3);
}

TEST_F(Completion, PassesOnHowItWasAskedFor) {
  server.open(kUri, "pri");
  server.open("file:///work/b.py", "other");
  server.open("file:///work/c.gen.py", "generated");
  client.notify(
      "workspace/didChangeConfiguration",
      {{"settings", {{"excludeFiles", {"*.GEN.py"}}, {"context", {{"neighbours", true}}}}}});
  Json asked = params(kUri, 0, 3);
  asked["context"] = {
      {"triggerKind", 1},
      {"selectedCompletionInfo", {{"range", range(0, 0, 0, 3)}, {"text", "print"}}}};
  client.start(kInline, asked);
  const auto by_hand = pipeline.wait_for_start(1);
  EXPECT_TRUE(by_hand.invoked);
  EXPECT_EQ(by_hand.selected_text, "print");
  EXPECT_EQ(by_hand.selected_start, 0u);
  ASSERT_EQ(by_hand.open->others.size(), 1u);
  EXPECT_EQ(by_hand.open->others[0].uri, "file:///work/b.py");
  asked["context"] = {{"triggerKind", 2}};
  client.start(kInline, asked);
  EXPECT_FALSE(pipeline.wait_for_start(2).invoked);
  asked["context"] = {{"triggerKind", 0}};
  client.start(kInline, asked);
  EXPECT_TRUE(pipeline.wait_for_start(3).invoked);
}

TEST_F(Completion, KnowsWhatElseIsOpenAndWhatWasEditedAsTheSettingsSay) {
  const auto settings = [&](bool neighbours, bool recent_edits) {
    client.notify(
        "workspace/didChangeConfiguration",
        {{"settings", {{"context", {{"neighbours", neighbours}, {"recentEdits", recent_edits}}}}}});
  };
  settings(true, true);
  server.open("file:///work/b.py", "other = 1\n");
  client.notify("textDocument/didOpen", {{"textDocument",
                                          {{"uri", "file:///work/c.go"},
                                           {"languageId", "go"},
                                           {"version", 1},
                                           {"text", "package c\n"}}}});
  server.open(kUri, "first = 1\n");
  client.notify("textDocument/didChange",
                {{"textDocument", {{"uri", "file:///work/b.py"}, {"version", 2}}},
                 {"contentChanges", {{{"range", range(0, 0, 0, 5)}, {"text", "another"}}}}});
  type(2, 0, 9, "2");
  client.start(kInline, params(kUri, 0, 10));
  const lsp::OpenDocumentsPtr open = pipeline.wait_for_start(1).open;
  ASSERT_TRUE(open);
  EXPECT_TRUE(open->similar && open->edited);
  ASSERT_EQ(open->others.size(), 1u);  // not of another language
  EXPECT_EQ(*open->others[0].text, "another = 1\n");
  ASSERT_EQ(open->others[0].edits.size(), 1u);
  EXPECT_EQ(open->others[0].edits[0].end, 7u);
  ASSERT_EQ(open->own_edits.size(), 1u);
  EXPECT_GT(open->own_edits[0].when, open->changed_at);
  // Reading ahead is told the same.
  const auto warmed = pipeline.wait_for_warmed(1);
  ASSERT_TRUE(warmed.open);

  client.notify("textDocument/didClose", {{"textDocument", {{"uri", "file:///work/b.py"}}}});
  settings(false, true);
  client.start(kInline, params(kUri, 0, 10));
  const lsp::OpenDocumentsPtr after = pipeline.wait_for_start(2).open;
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->similar);
  EXPECT_EQ(after->others.size(), 1u);  // it was open until now
  EXPECT_EQ(after->changed_at, open->changed_at);
  settings(false, false);
  client.start(kInline, params(kUri, 0, 10));
  EXPECT_FALSE(pipeline.wait_for_start(3).open);
}

TEST_F(Completion, StatusSaysWhatTheModelWasToldOfOtherFiles) {
  pipeline.answer_with([](const lsp::CompletionRequest& request) {
    lsp::CompletionOutcome outcome = one_item("x", request.offset, request.offset);
    outcome.context = {{lsp::ContextSource::kSimilar, "src/b.py", 40}};
    return outcome;
  });
  server.open(kUri, "x");
  client.call(kInline, params(kUri, 0, 1));
  EXPECT_EQ(client.call("incipit/status", nullptr)["result"]["lastCompletion"]["context"],
            Json::parse(R"([{"source": "similar", "path": "src/b.py", "tokens": 40}])"));
}

TEST_F(Completion, IsNeverAnErrorWhenThereIsNothingToSuggest) {
  EXPECT_EQ(client.call(kInline, params())["result"], empty_list());
  EXPECT_EQ(why_empty(), "the document is not open");
  pipeline.answer_with([](const lsp::CompletionRequest&) {
    return lsp::CompletionOutcome{{}, {}, "nothing new", false, {}, {}};
  });
  server.open(kUri, "x");
  EXPECT_EQ(client.call(kInline, params())["result"], empty_list());
  EXPECT_EQ(why_empty(), "nothing new");
}

TEST_F(Completion, NamesTheParamThatIsWrong) {
  const Json reply = client.call(kInline, {{"textDocument", {{"uri", kUri}}},
                                           {"position", {{"line", "3"}, {"character", 0}}}});
  EXPECT_EQ(reply["error"]["code"], -32602);
  EXPECT_EQ(reply["error"]["message"], "params.position.line: want integer, found string");
}

TEST_F(Completion, ACancelIsAnsweredAtOnceAndStopsThePipeline) {
  server.open(kUri, "x");
  const int64_t id = client.start(kInline, params());
  const auto request = pipeline.wait_for_start(1);
  client.notify("$/cancelRequest", {{"id", id}});
  EXPECT_EQ(client.reply_to(id)["error"]["code"], -32800);
  EXPECT_TRUE(request.cancel.cancelled());
  pipeline.finish(1, one_item("late", 0, 0));
  EXPECT_EQ(client.call("incipit/status", nullptr)["result"]["pendingRequests"], 0);
}

TEST_F(Completion, ANewerRequestSupersedesTheOlderOneOfItsDocumentOnly) {
  server.open(kUri, "x");
  server.open("file:///work/b.py", "y");
  const int64_t other = client.start(kInline, params("file:///work/b.py"));
  const int64_t older = client.start(kInline, params());
  const int64_t newer = client.start(kInline, params());
  EXPECT_EQ(client.reply_to(older)["error"]["code"], -32800);
  EXPECT_TRUE(pipeline.wait_for_start(2).cancel.cancelled());
  pipeline.wait_for_start(3);
  pipeline.finish(3, one_item("new", 0, 0));
  pipeline.finish(2, one_item("old", 0, 0));
  pipeline.finish(1, one_item("other", 0, 0));
  EXPECT_EQ(client.reply_to(newer)["result"]["items"][0]["insertText"], "new");
  EXPECT_EQ(client.reply_to(other)["result"]["items"][0]["insertText"], "other");
}

TEST_F(Completion, FollowsWhatWasTypedMeanwhile) {
  server.open(kUri, "    ");
  const int64_t id = client.start(kInline, params(kUri, 0, 4));
  pipeline.wait_for_start(1);
  type(2, 0, 4, "re");
  client.call("incipit/status", nullptr);
  pipeline.finish(1, one_item("return x", 4, 4));
  EXPECT_EQ(client.reply_to(id)["result"],
            (Json{{"items", {{{"insertText", "return x"}, {"range", range(0, 4, 0, 6)}}}}}));
}

TEST_F(Completion, IsEmptyWhenTheTextWentAnotherWay) {
  server.open(kUri, "    ");
  const int64_t id = client.start(kInline, params(kUri, 0, 4));
  pipeline.wait_for_start(1);
  type(2, 0, 0, "#");
  client.call("incipit/status", nullptr);
  pipeline.finish(1, one_item("return x", 4, 4));
  EXPECT_EQ(client.reply_to(id)["result"], empty_list());
  EXPECT_EQ(why_empty(), "the text changed meanwhile");
}

TEST_F(Completion, IsEmptyWhenTheDocumentWasClosedMeanwhile) {
  server.open(kUri, "x");
  const int64_t id = client.start(kInline, params());
  pipeline.wait_for_start(1);
  client.notify("textDocument/didClose", {{"textDocument", {{"uri", kUri}}}});
  client.call("incipit/status", nullptr);
  pipeline.finish(1, one_item("y", 0, 0));
  EXPECT_EQ(client.reply_to(id)["result"], empty_list());
}

TEST_F(Completion, SettingsDecideWhereItWorks) {
  pipeline.answer_with_insert("y");
  server.open(kUri, "x");
  server.open("file:///work/a.gen.py", "x");
  server.open("file:///work/note.md", "x", "markdown");
  client.notify("workspace/didChangeConfiguration", Json::parse(R"({"settings":{"incipit":{
      "completion":{"excludeLanguages":["markdown"]},"excludeFiles":["*.gen.*"]}}})"));
  EXPECT_EQ(client.call(kInline, params("file:///work/note.md"))["result"], empty_list());
  EXPECT_EQ(why_empty(), "incipit.completion.excludeLanguages names markdown");
  EXPECT_EQ(client.call(kInline, params("file:///work/a.gen.py"))["result"], empty_list());
  EXPECT_EQ(why_empty(), "incipit.excludeFiles names a.gen.py");
  EXPECT_EQ(client.call(kInline, params())["result"]["items"].size(), 1u);
  client.notify("workspace/didChangeConfiguration",
                {{"settings", {{"completion", {{"enabled", false}, {"maxTokens", 9}}}}}});
  EXPECT_EQ(client.call(kInline, params())["result"], empty_list());
  client.notify("workspace/didChangeConfiguration",
                {{"settings", {{"completion", {{"maxTokens", 9}, {"maxLines", 2}}}}}});
  client.call(kInline, params());
  const auto request = pipeline.wait_for_start(2);
  EXPECT_EQ(request.options.max_tokens, 9);
  EXPECT_EQ(request.options.max_lines, 2);
}

TEST_F(Completion, GivesPopupMenusAListOfTheirOwn) {
  pipeline.answer_with_insert("nt(1)");
  server.open(kUri, "x = pri");
  const Json result = client.call("textDocument/completion", params(kUri, 0, 7))["result"];
  EXPECT_EQ(result["isIncomplete"], true);
  const Json& item = result["items"].at(0);
  EXPECT_EQ(item["label"], "print(1)");
  EXPECT_EQ(item["filterText"], "print(1)");
  EXPECT_EQ(item["preselect"], true);
  EXPECT_EQ(item["kind"], 1);
  EXPECT_EQ(item["insertTextFormat"], 1);
  EXPECT_EQ(item["textEdit"], (Json{{"range", range(0, 4, 0, 7)}, {"newText", "print(1)"}}));
  EXPECT_EQ(client.call("textDocument/completion", params("file:///none"))["result"],
            (Json{{"isIncomplete", true}, {"items", Json::array()}}));
}

// Each of a thousand requests gets one answer, whoever cancels it and when.
TEST_F(Completion, AStormOfCancelsLosesNoAnswer) {
  pipeline.answer_with_insert("y");
  server.open(kUri, "x");
  server.open("file:///work/b.py", "x");
  std::map<int64_t, int> answers;
  for (int i = 0; i < 1000; ++i) {
    const int64_t id = client.start(kInline, params(i % 3 == 0 ? "file:///work/b.py" : kUri));
    answers[id] = 0;
    if (i % 2 == 0) client.notify("$/cancelRequest", {{"id", id}});
    if (i % 5 == 0) type(i + 2, 0, 0, "y");
  }
  client.call("shutdown", nullptr);
  client.notify("exit", nullptr);
  EXPECT_EQ(server.wait_for_exit(), 0);
  for (const Json& message : client.drain()) {
    if (!message.contains("id")) continue;
    const auto found = answers.find(message["id"].get<int64_t>());
    ASSERT_NE(found, answers.end()) << message;
    ++found->second;
    ASSERT_TRUE(message.contains("result") || message["error"]["code"] == -32800) << message;
  }
  for (const auto& [id, n] : answers) EXPECT_EQ(n, 1) << "request " << id;
}

TEST_F(Completion, ARequestInFlightAtTheEndIsStillAnswered) {
  server.open(kUri, "x");
  server.open("file:///work/b.py", "x");
  const int64_t first = client.start(kInline, params());
  pipeline.wait_for_start(1);
  const int64_t second = client.start(kInline, params("file:///work/b.py"));
  server.end_input();
  EXPECT_EQ(server.wait_for_exit(), 1);
  EXPECT_EQ(client.reply_to(first)["error"]["code"], -32800);
  EXPECT_EQ(client.reply_to(second)["error"]["code"], -32800);
}

TEST_F(Completion, ShutdownAnswersWhatIsInFlightFirst) {
  server.open(kUri, "x");
  const int64_t id = client.start(kInline, params());
  const auto request = pipeline.wait_for_start(1);
  const int64_t shutdown = client.start("shutdown", nullptr);
  const Json first = client.next_where([](const Json& m) { return m.contains("id"); });
  EXPECT_EQ(first["id"], id);
  EXPECT_EQ(first["error"]["code"], -32800);
  EXPECT_TRUE(client.reply_to(shutdown)["result"].is_null());
  EXPECT_TRUE(request.cancel.cancelled());
}

}  // namespace
}  // namespace incipit::test
