#include <gtest/gtest.h>

#include <string>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

class Explain : public ::testing::Test {
 protected:
  Explain() {
    client.initialize(
        {{"capabilities",
          {{"textDocument", {{"codeAction", {{"codeActionLiteralSupport", Json::object()}}}}}}}});
    server.wait_until_ready();
    server.open(kUri, "def f():\n    return 1\n");
  }
  Json command(const Json& arguments, const Json& token = nullptr) {
    Json params = {{"command", "incipit.explain"}, {"arguments", arguments}};
    if (!token.is_null()) params["workDoneToken"] = token;
    return params;
  }
  Json progress() { return client.notification("$/progress")["params"]; }
  Json actions(const Json& selection, const Json& context) {
    return client.call(
        "textDocument/codeAction",
        {{"textDocument", {{"uri", kUri}}}, {"range", selection}, {"context", context}})["result"];
  }

  TestServer server;
  LspClient& client = server.client;
  FakePipeline& pipeline = FakePipeline::control();
};

lsp::ExplainOutcome explained(const std::string& text) {
  lsp::ExplainOutcome outcome;
  outcome.text = text;
  return outcome;
}

TEST_F(Explain, StreamsPiecesAndAnswersWithTheWholeText) {
  const int64_t id =
      client.start("workspace/executeCommand", command({kUri, range(0, 0, 1, 12)}, "token"));
  const auto request = pipeline.wait_for_explain(1);
  EXPECT_EQ(request.start, 0u);
  EXPECT_EQ(request.end, 21u);
  EXPECT_EQ(request.max_tokens, 160);
  pipeline.explain_text(1, "It returns ");
  pipeline.explain_text(1, "one.");
  pipeline.explain_finish(1, explained("It returns one."));
  const Json begin = progress();
  EXPECT_EQ(begin["token"], "token");
  EXPECT_EQ(begin["value"], Json::parse(R"({"kind":"begin","cancellable":true,
                                            "title":"Explaining the selection"})"));
  EXPECT_EQ(progress()["value"], Json::parse(R"({"kind":"report","message":"It returns "})"));
  EXPECT_EQ(progress()["value"], Json::parse(R"({"kind":"report","message":"one."})"));
  EXPECT_EQ(progress()["value"], Json::parse(R"({"kind":"end"})"));
  EXPECT_EQ(client.reply_to(id)["result"], "It returns one.");
}

TEST_F(Explain, SendsNoProgressWithoutAToken) {
  const int64_t id = client.start("workspace/executeCommand", command({kUri, range(0, 0, 1, 0)}));
  pipeline.wait_for_explain(1);
  pipeline.explain_text(1, "a");
  pipeline.explain_finish(1, explained("a"));
  EXPECT_EQ(client.next()["id"], id);
}

TEST_F(Explain, CanBeCancelledByEitherWay) {
  for (const bool by_token : {false, true}) {
    const Json token = by_token ? Json(5) : Json("five");
    const int64_t id =
        client.start("workspace/executeCommand", command({kUri, range(0, 0, 1, 0)}, token));
    const auto request = pipeline.wait_for_explain(by_token ? 2 : 1);
    if (by_token) {
      client.notify("window/workDoneProgress/cancel", {{"token", token}});
    } else {
      client.notify("$/cancelRequest", {{"id", id}});
    }
    EXPECT_EQ(progress()["value"]["kind"], "begin");
    // The end goes out before the answer, after which the token means nothing.
    const Json end = client.next();
    ASSERT_EQ(end["method"], "$/progress") << end;
    EXPECT_EQ(end["params"]["value"]["kind"], "end");
    EXPECT_EQ(client.next()["error"]["code"], -32800);
    EXPECT_TRUE(request.cancel.cancelled());
  }
  pipeline.explain_text(1, "late");
  pipeline.explain_finish(1, explained("late"));
  client.notify("window/workDoneProgress/cancel", {{"token", "nobody's"}});
  EXPECT_TRUE(client.call("incipit/status", nullptr).contains("result"));
}

TEST_F(Explain, TellsAFailureAsAnError) {
  const int64_t id =
      client.start("workspace/executeCommand", command({kUri, range(0, 0, 1, 0)}, "t"));
  pipeline.wait_for_explain(1);
  lsp::ExplainOutcome outcome;
  outcome.error = Error{ErrorCode::kUnsupported, "this model cannot explain"};
  pipeline.explain_finish(1, outcome);
  const Json error = client.reply_to(id)["error"];
  EXPECT_EQ(error["code"], -32803);
  EXPECT_EQ(error["message"], "incipit.explain: this model cannot explain");
}

TEST_F(Explain, NamesTheArgumentThatIsWrong) {
  const auto error_of = [&](const Json& params) {
    return client.call("workspace/executeCommand", params)["error"];
  };
  EXPECT_EQ(error_of({{"command", "other.command"}})["message"],
            "params.command: want one of \"incipit.explain\", \"incipit.document\", "
            "\"incipit.tests\", \"incipit.fix\", \"incipit.rewrite\", \"incipit.chat\", "
            "found \"other.command\"");
  EXPECT_EQ(error_of({{"command", "incipit.explain"}})["message"],
            "params.arguments: want [uri, range], found 0 arguments");
  EXPECT_EQ(error_of(command({1, range(0, 0, 1, 0)}))["message"],
            "params.arguments[0]: want string, found integer 1");
  EXPECT_EQ(error_of(command({kUri, {{"start", position(0, 0)}}}))["message"],
            "params.arguments[1].end: want object, found nothing");
  EXPECT_EQ(error_of(command({"file:///none", range(0, 0, 1, 0)}))["message"],
            "params.arguments[0]: want an open document, found file:///none");
  EXPECT_EQ(error_of(command({kUri, range(0, 3, 0, 3)}))["message"],
            "params.arguments[1]: want a range that holds text, found a blank one");
  EXPECT_EQ(error_of(command({kUri, range(0, 3, 0, 3)}))["code"], -32602);
  EXPECT_EQ(error_of({{"command", 5}})["message"], "params.command: want string, found integer 5");
}

TEST_F(Explain, IsOfferedForASelection) {
  const Json offered = actions(range(0, 0, 1, 3), {{"diagnostics", Json::array()}});
  ASSERT_EQ(offered.size(), 1u);  // this client takes no edits, and its model answers nothing
  EXPECT_EQ(offered[0]["title"], "Explain selection");
  EXPECT_EQ(offered[0]["kind"], "explain");
  EXPECT_EQ(offered[0]["command"]["command"], "incipit.explain");
  EXPECT_EQ(offered[0]["command"]["arguments"], Json::array({kUri, range(0, 0, 1, 3)}));
}

TEST_F(Explain, IsNotOfferedWithoutOneOrForOtherKinds) {
  const Json selection = range(0, 0, 1, 3);
  EXPECT_EQ(actions(range(0, 2, 0, 2), Json::object()), Json::array());
  EXPECT_EQ(actions(range(0, 99, 0, 100), Json::object()), Json::array());
  EXPECT_EQ(actions(selection, {{"only", {"quickfix"}}}), Json::array());
  EXPECT_EQ(actions(selection, {{"only", {"explain.more"}}}), Json::array());
  EXPECT_EQ(actions(selection, {{"only", {"expl"}}}), Json::array());
  EXPECT_EQ(actions(selection, {{"only", {"quickfix", "explain"}}}).size(), 1u);
  EXPECT_EQ(actions(selection, {{"only", {""}}}).size(), 1u);
}

TEST(ExplainWithoutLiterals, IsOfferedAsACommand) {
  TestServer server;
  server.client.initialize(Json::object());
  server.open(kUri, "abc");
  const Json offered = server.client.call(
      "textDocument/codeAction",
      {{"textDocument", {{"uri", kUri}}}, {"range", range(0, 0, 0, 3)}})["result"];
  EXPECT_EQ(offered.at(0)["command"], "incipit.explain");
  EXPECT_FALSE(offered.at(0).contains("kind"));
}

TEST_F(Explain, IsOfferedForBlankLinesAsLittleAsItWorksThere) {
  server.open("file:///blank.py", "x\n  \n\ny\n");
  const Json blank = range(1, 0, 3, 0);
  const Json offered =
      client.call("textDocument/codeAction",
                  {{"textDocument", {{"uri", "file:///blank.py"}}}, {"range", blank}})["result"];
  EXPECT_EQ(offered, Json::array());
  const Json reply =
      client.call("workspace/executeCommand", command(Json::array({"file:///blank.py", blank})));
  EXPECT_EQ(reply["error"]["code"], -32602);
}

TEST_F(Explain, AnswersAConversation) {
  const Json params = Json::parse(R"({"command": "incipit.chat", "workDoneToken": 1,
    "arguments": [{"messages": [
      {"role": "user", "content": "What?",
       "context": [{"path": "b.py", "languageId": "python", "text": "b = 1"}, {"path": "c", "text": ""}]},
      {"role": "assistant", "content": "That."}, {"role": "user", "content": "Why?"}]}]})");
  const int64_t id = client.start("workspace/executeCommand", params);
  const auto request = pipeline.wait_for_explain(1);
  EXPECT_EQ(request.task, lsp::CodeTask::kChat);
  EXPECT_EQ(request.max_tokens, 1024);
  ASSERT_EQ(request.conversation.size(), 3u);
  ASSERT_EQ(request.conversation[0].context.size(), 2u);
  EXPECT_EQ(request.conversation[0].context[0].language_id, "python");
  EXPECT_EQ(request.conversation[2].content, "Why?");
  pipeline.explain_text(1, "Because");
  lsp::ExplainOutcome outcome = explained("Because");
  outcome.cut_off = true;
  outcome.n_left_out = 2;
  pipeline.explain_finish(1, outcome);
  EXPECT_EQ(progress()["value"]["title"], "Answering");
  EXPECT_EQ(progress()["value"]["message"], "Because");
  EXPECT_EQ(progress()["value"]["kind"], "end");
  EXPECT_EQ(client.reply_to(id)["result"],
            Json::parse(R"({"text": "Because", "finish": "length", "leftOut": 2})"));
}

TEST_F(Explain, SaysWhatIsWrongWithAConversation) {
  const auto error_of = [&](const char* arguments) {
    const Json error =
        client.call("workspace/executeCommand",
                    {{"command", "incipit.chat"}, {"arguments", Json::parse(arguments)}})["error"];
    EXPECT_EQ(error["code"], -32602);
    return error["message"].get<std::string>();
  };
  EXPECT_EQ(error_of("[]"), "params.arguments: want [{messages}], found 0 arguments");
  EXPECT_EQ(error_of(R"([{"messages": [{"role": "user"}]}])"),
            "params.arguments[0].messages[0].content: want string, found nothing");
  EXPECT_EQ(error_of(R"([{"messages": [{"role": "me", "content": "a"}]}])"),
            "params.arguments[0].messages[0].role: want \"user\", found \"me\"");
  EXPECT_EQ(error_of(R"([{"messages": []}])"),
            "params.arguments[0].messages: want questions and answers in turn that end with a "
            "question, found 0 messages");
}

}  // namespace
}  // namespace incipit::test
