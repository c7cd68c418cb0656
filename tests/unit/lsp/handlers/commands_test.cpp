// The commands that change code, and hover: what goes to the client and when nothing may.
#include <gmock/gmock.h>

#include <string>

#include "lsp/handlers/edit_sender.h"
#include "tests/support/fake_engine.h"
#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

using testing::HasSubstr;

// An engine whose model can be asked anything (kAnything) or only to explain.
template <engine::ChatSkill kSkill>
Result<std::unique_ptr<engine::Engine>> make_chat_engine(const engine::EngineOptions&,
                                                         const engine::Engine::Progress&,
                                                         const CancelToken&) {
  FakeEngine::Options fake;
  fake.info.context_tokens = 2048;
  fake.info.prompt.chat = engine::ChatFormat{};
  fake.info.prompt.chat->skill = kSkill;
  return std::unique_ptr<engine::Engine>(std::make_unique<FakeEngine>(std::move(fake)));
}

Json capable_client() {
  return Json::parse(R"({"capabilities": {
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": true}},
    "workspace": {"applyEdit": true, "workspaceEdit": {
      "documentChanges": true, "resourceOperations": ["create", "rename"]}},
    "experimental": {"incipit": {"asksInstruction": true}}},
    "initializationOptions": {"hover": true, "edit": {"maxTokens": 300}}})");
}

class Commands : public ::testing::Test {
 protected:
  explicit Commands(Json params = capable_client(),
                    lsp::EngineFactory make = make_chat_engine<engine::ChatSkill::kAnything>)
      : server({}, std::move(make)) {
    client.initialize(params);
    server.wait_until_ready();
    server.open(kUri, "def f():\n    return b\n");
  }
  int64_t start(const char* command, Json arguments, Json token = nullptr) {
    Json params = {{"command", command}, {"arguments", std::move(arguments)}};
    if (!token.is_null()) params["workDoneToken"] = std::move(token);
    return client.start("workspace/executeCommand", params);
  }
  std::vector<std::string> titles(const Json& selection, const Json& context) {
    std::vector<std::string> result;
    for (const Json& action : actions(selection, context)) {
      result.push_back(action["title"].get<std::string>() +
                       (action.contains("disabled") ? " (disabled)" : ""));
    }
    return result;
  }
  Json actions(const Json& selection, const Json& context) {
    return client.call(
        "textDocument/codeAction",
        {{"textDocument", {{"uri", kUri}}}, {"range", selection}, {"context", context}})["result"];
  }
  static lsp::ExplainOutcome changed(std::string text, std::vector<lsp::TextChange> changes) {
    lsp::ExplainOutcome outcome;
    outcome.text = std::move(text);
    outcome.changes = std::move(changes);
    return outcome;
  }

  TestServer server;
  LspClient& client = server.client;
  FakePipeline& pipeline = FakePipeline::control();
  const Json lines = range(0, 0, 1, 12);
  const Json diagnostic = Json::parse(
      R"({"range": {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 12}},
          "message": "undefined name 'b'", "source": "lint", "code": 7})");
};

TEST_F(Commands, FixSendsAVersionedEditAndStreams) {
  const int64_t id =
      start("incipit.fix", Json::array({kUri, lines, Json::array({diagnostic})}), "token");
  const lsp::ExplainRequest request = pipeline.wait_for_explain(1);
  EXPECT_EQ(request.task, lsp::CodeTask::kFix);
  ASSERT_EQ(request.problems.size(), 1u);
  EXPECT_EQ(request.problems[0].line, 1u);
  EXPECT_EQ(request.problems[0].message, "undefined name 'b'");
  EXPECT_EQ(request.max_tokens, 300);
  pipeline.explain_text(1, "def f():\n");
  pipeline.explain_finish(1, changed("…", {{9, 22, "    return 1\n"}}));
  const Json apply = client.request_of_server("workspace/applyEdit");
  const Json& change = apply["params"]["edit"]["documentChanges"].at(0);
  EXPECT_EQ(change["textDocument"], Json({{"uri", kUri}, {"version", 1}}));
  EXPECT_EQ(change["edits"],
            Json::array({{{"range", range(1, 0, 2, 0)}, {"newText", "    return 1\n"}}}));
  EXPECT_EQ(apply["params"]["label"], "Fix with incipit");
  client.respond(apply, {{"applied", true}});
  const Json result = client.reply_to(id)["result"];
  EXPECT_EQ(result["applied"], true);
  EXPECT_EQ(result["edits"], 1);
  EXPECT_EQ(client.notification("$/progress")["params"]["value"]["title"], "Fixing");
  EXPECT_EQ(client.notification("$/progress")["params"]["value"]["message"], "def f():\n");
  EXPECT_EQ(client.notification("$/progress")["params"]["value"]["kind"], "end");
}

TEST_F(Commands, RefusesWhenTheTextChangedMeanwhile) {
  const int64_t id = start("incipit.rewrite", Json::array({kUri, lines, "make it shorter"}));
  EXPECT_EQ(pipeline.wait_for_explain(1).instruction, "make it shorter");
  client.notify("textDocument/didChange",
                {{"textDocument", {{"uri", kUri}, {"version", 2}}},
                 {"contentChanges", {{{"range", range(1, 0, 1, 0)}, {"text", "#"}}}}});
  client.call("incipit/status", nullptr);  // the change has arrived
  pipeline.explain_finish(1, changed("x", {{0, 1, "x"}}));
  const Json error = client.reply_to(id)["error"];
  EXPECT_EQ(error["code"], -32803);
  EXPECT_EQ(error["message"], "incipit.rewrite: the text changed meanwhile; nothing was changed");
}

TEST_F(Commands, RefusesWhenTheDocumentWasClosedMeanwhile) {
  const int64_t id = start("incipit.document", Json::array({kUri, lines}));
  pipeline.wait_for_explain(1);
  client.notify("textDocument/didClose", {{"textDocument", {{"uri", kUri}}}});
  client.call("incipit/status", nullptr);
  pipeline.explain_finish(1, changed("x", {{0, 0, "x"}}));
  EXPECT_THAT(client.reply_to(id)["error"]["message"].get<std::string>(), HasSubstr("was closed"));
}

TEST_F(Commands, TellsWhatTheEditorSaidWhenItDidNotApply) {
  for (const bool is_error : {false, true}) {
    const int64_t id = start("incipit.document", Json::array({kUri, lines}));
    pipeline.wait_for_explain(is_error ? 2 : 1);
    pipeline.explain_finish(is_error ? 2 : 1, changed("x", {{0, 0, "x"}}));
    const Json apply = client.request_of_server("workspace/applyEdit");
    if (is_error) {
      client.send({{"jsonrpc", "2.0"},
                   {"id", apply["id"]},
                   {"error", {{"code", -32603}, {"message", "no such buffer"}}}});
    } else {
      client.respond(apply, {{"applied", false}, {"failureReason", "version mismatch"}});
    }
    const Json error = client.reply_to(id)["error"];
    EXPECT_EQ(error["code"], -32803);
    EXPECT_THAT(error["message"].get<std::string>(),
                HasSubstr(is_error ? "no such buffer" : "version mismatch"));
  }
}

TEST_F(Commands, CanBeCancelledWhileTheModelWorks) {
  const int64_t id = start("incipit.fix", Json::array({kUri, lines}));
  const lsp::ExplainRequest request = pipeline.wait_for_explain(1);
  client.notify("$/cancelRequest", {{"id", id}});
  EXPECT_EQ(client.reply_to(id)["error"]["code"], -32800);
  EXPECT_TRUE(request.cancel.cancelled());
}

TEST_F(Commands, TestsGoToAFileOfTheirOwn) {
  const int64_t id = start("incipit.tests", Json::array({kUri, lines}));
  pipeline.wait_for_explain(1);
  pipeline.explain_finish(1, changed("import unittest\n", {}));
  const Json apply = client.request_of_server("workspace/applyEdit");
  const Json& changes = apply["params"]["edit"]["documentChanges"];
  EXPECT_EQ(changes.at(0), Json::parse(R"({"kind": "create", "uri": "file:///work/test_a.py",
    "options": {"overwrite": false, "ignoreIfExists": false}})"));
  EXPECT_EQ(changes.at(1)["textDocument"],
            Json::parse(R"({"uri": "file:///work/test_a.py", "version": null})"));
  EXPECT_EQ(changes.at(1)["edits"].at(0)["newText"], "import unittest\n");
  client.respond(apply, {{"applied", true}});
  EXPECT_EQ(client.reply_to(id)["result"]["uri"], "file:///work/test_a.py");
}

TEST_F(Commands, TestsComeInTheAnswerWhereTheFileExistsAlready) {
  server.open("file:///work/test_a.py", "");
  const int64_t id = start("incipit.tests", Json::array({kUri, lines}));
  pipeline.wait_for_explain(1);
  pipeline.explain_finish(1, changed("import unittest\n", {}));
  const Json result = client.reply_to(id)["result"];
  EXPECT_EQ(result["applied"], false);
  EXPECT_EQ(result["text"], "import unittest\n");
  EXPECT_THAT(result["message"].get<std::string>(), HasSubstr("test_a.py exists already"));
}

TEST_F(Commands, NamesTheArgumentThatIsWrong) {
  const auto error_of = [&](const char* command, const Json& arguments) {
    return client.reply_to(start(command, arguments))["error"]["message"].get<std::string>();
  };
  EXPECT_EQ(error_of("incipit.rewrite", Json::array({kUri, lines})),
            "params.arguments: want [uri, range, instruction], found 2 arguments");
  EXPECT_EQ(error_of("incipit.rewrite", Json::array({kUri, lines, " "})),
            "params.arguments[2]: want an instruction, found a blank text");
  EXPECT_EQ(error_of("incipit.rewrite", Json::array({kUri, lines, 5})),
            "params.arguments[2]: want string, found integer 5");
  EXPECT_THAT(error_of("incipit.fix", Json::array({kUri, lines, {{{"message", "x"}}}})),
              HasSubstr("params.arguments[2][0].range"));
  EXPECT_EQ(error_of("incipit.tests", Json::array({kUri, lines, 1})),
            "params.arguments: want [uri, range], found 3 arguments");
}

TEST_F(Commands, OffersWhatFitsTheSelection) {
  using testing::ElementsAre;
  using testing::IsEmpty;
  const Json nothing = Json::object();
  const Json with_problem = {{"diagnostics", Json::array({diagnostic})}};
  const Json cursor = range(1, 11, 1, 11);
  EXPECT_THAT(titles(lines, nothing), ElementsAre("Explain selection", "Write documentation",
                                                  "Generate tests", "Rewrite with instruction…"));
  EXPECT_THAT(titles(cursor, nothing), IsEmpty());
  EXPECT_THAT(titles(cursor, with_problem), ElementsAre("Fix with incipit"));
  EXPECT_THAT(titles(cursor, {{"triggerKind", 1}}), ElementsAre("Write documentation"));
  EXPECT_THAT(titles(range(0, 0, 0, 0), with_problem), IsEmpty());  // it is elsewhere
  EXPECT_THAT(titles(lines, {{"only", {"refactor"}}}),
              ElementsAre("Write documentation", "Rewrite with instruction…"));
  EXPECT_THAT(titles(lines, {{"only", {"quickfix"}}}), IsEmpty());
  const Json fix = actions(cursor, with_problem).at(0);
  EXPECT_EQ(fix["kind"], "quickfix");
  EXPECT_EQ(fix["diagnostics"], Json::array({diagnostic}));
  EXPECT_EQ(fix["command"]["arguments"], Json::array({kUri, cursor, Json::array({diagnostic})}));
}

TEST_F(Commands, HoverExplainsTheSymbol) {
  const int64_t id = client.start("textDocument/hover", params(kUri, 0, 4));
  const lsp::ExplainRequest request = pipeline.wait_for_explain(1);
  EXPECT_TRUE(request.whole_symbol);
  EXPECT_EQ(request.start, 4u);
  pipeline.explain_finish(1, changed("Returns b.", {}));
  EXPECT_EQ(client.reply_to(id)["result"],
            Json::parse(R"({"contents": {"kind": "plaintext", "value": "Returns b."}})"));
}

TEST_F(Commands, ANewerHoverCancelsTheOlder) {
  const int64_t older = client.start("textDocument/hover", params(kUri, 0, 4));
  const lsp::ExplainRequest request = pipeline.wait_for_explain(1);
  const int64_t newer = client.start("textDocument/hover", params(kUri, 0, 5));
  EXPECT_EQ(client.reply_to(older)["error"]["code"], -32800);
  EXPECT_TRUE(request.cancel.cancelled());
  pipeline.wait_for_explain(2);
  lsp::ExplainOutcome nothing;
  nothing.error = Error{ErrorCode::kNotFound, "no symbol"};
  pipeline.explain_finish(2, nothing);
  EXPECT_TRUE(client.reply_to(newer)["result"].is_null());
}

TEST(Hover, IsOffUnlessAskedFor) {
  TestServer server;
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.open(kUri, "def f(): pass\n");
  EXPECT_TRUE(server.client.call("textDocument/hover", params(kUri, 0, 4))["result"].is_null());
}

class CommandsOfASmallModel : public Commands {
 protected:
  CommandsOfASmallModel()
      : Commands(capable_client(), make_chat_engine<engine::ChatSkill::kExplainsOnly>) {}
};

TEST_F(CommandsOfASmallModel, AreShownAsWhatTheyCannotBe) {
  EXPECT_THAT(
      titles(lines, {{"diagnostics", Json::array({diagnostic})}}),
      testing::ElementsAre("Explain selection", "Write documentation", "Generate tests (disabled)",
                           "Fix with incipit (disabled)", "Rewrite with instruction… (disabled)"));
  EXPECT_THAT(actions(lines, Json::object()).at(2)["disabled"]["reason"].get<std::string>(),
              HasSubstr("need an Instruct model"));
}

class CommandsOfAPlainClient : public Commands {
 protected:
  CommandsOfAPlainClient() : Commands(Json::object()) {}
};

TEST_F(CommandsOfAPlainClient, DoNotChangeItsTextUnversioned) {
  const Json error = client.reply_to(start("incipit.fix", Json::array({kUri, lines})))["error"];
  EXPECT_EQ(error["code"], -32803);
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("documentChanges"));
  EXPECT_THAT(titles(lines, {{"diagnostics", Json::array({diagnostic})}}),
              testing::ElementsAre("Explain selection", "Generate tests"));
  const int64_t id = start("incipit.tests", Json::array({kUri, lines}));
  pipeline.wait_for_explain(1);
  pipeline.explain_finish(1, changed("x\n", {}));
  EXPECT_EQ(client.reply_to(id)["result"]["applied"], false);
}

TEST(TestFileUri, IsNamedAsTheLanguageDoes) {
  EXPECT_EQ(lsp::test_file_uri("file:///w/size.py"), "file:///w/test_size.py");
  EXPECT_EQ(lsp::test_file_uri("file:///w/a.b.ts"), "file:///w/a.b.test.ts");
  EXPECT_EQ(lsp::test_file_uri("file:///w/size.go"), "file:///w/size_test.go");
  EXPECT_EQ(lsp::test_file_uri("file:///w/Size.java"), "file:///w/SizeTest.java");
  EXPECT_EQ(lsp::test_file_uri("file:///w.d/makefile"), "");
  EXPECT_EQ(lsp::test_file_uri("untitled:Untitled-1"), "");
}

}  // namespace
}  // namespace incipit::test
