#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

int error_code(const Json& reply) {
  return reply.contains("error") ? reply["error"]["code"].get<int>() : 0;
}

TEST(Lifecycle, OffersWhatAClientCanUse) {
  TestServer server;
  const Json result = server.client.initialize(
      {{"processId", nullptr},
       {"capabilities",
        {{"textDocument", {{"inlineCompletion", {{"dynamicRegistration", true}}}}}}}});
  const Json& offered = result["capabilities"];
  EXPECT_EQ(offered["positionEncoding"], "utf-16");
  EXPECT_EQ(offered["inlineCompletionProvider"], true);
  EXPECT_EQ(offered["textDocumentSync"], Json::parse(R"({"openClose":true,"change":2})"));
  EXPECT_EQ(offered["executeCommandProvider"]["commands"],
            Json::array({"incipit.explain", "incipit.document", "incipit.tests", "incipit.fix",
                         "incipit.rewrite", "incipit.chat"}));
  EXPECT_EQ(offered["codeActionProvider"]["codeActionKinds"],
            Json::array({"explain", "refactor.rewrite", "tests", "quickfix"}));
  EXPECT_FALSE(offered.contains("completionProvider"));
  EXPECT_EQ(result["serverInfo"]["name"], "incipit");
}

TEST(Lifecycle, OffersListedCompletionToAClientWithoutTheInlineKind) {
  TestServer server;
  const Json result = server.client.initialize({{"capabilities", Json::object()}});
  EXPECT_TRUE(result["capabilities"].contains("completionProvider"));
}

struct Negotiation {
  const char* name;
  const char* general;
  const char* chosen;
};
class PositionEncodings : public ::testing::TestWithParam<Negotiation> {};

TEST_P(PositionEncodings, AreNegotiated) {
  TestServer server;
  const Json result =
      server.client.initialize({{"capabilities", {{"general", Json::parse(GetParam().general)}}}});
  EXPECT_EQ(result["capabilities"]["positionEncoding"], GetParam().chosen);
}

INSTANTIATE_TEST_SUITE_P(
    Offers, PositionEncodings,
    ::testing::Values(
        Negotiation{"none", "{}", "utf-16"}, Negotiation{"null", "null", "utf-16"},
        Negotiation{"empty", R"({"positionEncodings":[]})", "utf-16"},
        Negotiation{"unknown", R"({"positionEncodings":["utf-7"]})", "utf-16"},
        Negotiation{"utf8_last", R"({"positionEncodings":["utf-32","utf-16","utf-8"]})", "utf-8"},
        Negotiation{"utf32_and_16", R"({"positionEncodings":["utf-32","utf-16"]})", "utf-16"},
        Negotiation{"utf32_only", R"({"positionEncodings":["utf-32"]})", "utf-32"}),
    [](const auto& instance) { return instance.param.name; });

TEST(Lifecycle, RefusesEverythingBeforeInitialize) {
  TestServer server;
  for (const char* method :
       {"incipit/status", "shutdown", "textDocument/inlineCompletion", "none"}) {
    EXPECT_EQ(error_code(server.client.call(method, Json::object())), -32002) << method;
  }
  server.open("file:///a.py", "x");  // a notification: dropped
  server.client.initialize({{"capabilities", Json::object()}});
  EXPECT_EQ(server.client.call("incipit/status", nullptr)["result"]["openDocuments"], 0);
}

TEST(Lifecycle, RefusesASecondInitialize) {
  TestServer server;
  server.client.initialize(Json::object());
  EXPECT_EQ(error_code(server.client.call("initialize", Json::object())), -32600);
  EXPECT_EQ(error_code(server.client.call("incipit/status", nullptr)), 0);
}

TEST(Lifecycle, StaysUninitializedAfterParamsThatAreWrong) {
  TestServer server;
  const Json reply = server.client.call("initialize", {{"processId", "me"}});
  EXPECT_EQ(reply["error"]["message"], "params.processId: want integer, found string");
  EXPECT_EQ(error_code(reply), -32602);
  EXPECT_EQ(error_code(server.client.call("incipit/status", nullptr)), -32002);
  server.client.initialize(Json::object());
}

TEST(Lifecycle, AnswersNothingButExitAfterShutdown) {
  TestServer server;
  server.client.initialize(Json::object());
  const Json reply = server.client.call("shutdown", nullptr);
  EXPECT_TRUE(reply.contains("result"));
  EXPECT_TRUE(reply["result"].is_null());
  for (const char* method : {"incipit/status", "shutdown", "initialize", "none"}) {
    EXPECT_EQ(error_code(server.client.call(method, Json::object())), -32600) << method;
  }
  server.client.notify("exit", nullptr);
  EXPECT_EQ(server.wait_for_exit(), 0);
}

TEST(Lifecycle, ExitWithoutShutdownIsAnError) {
  TestServer running;
  running.client.initialize(Json::object());
  running.client.notify("exit", nullptr);
  EXPECT_EQ(running.wait_for_exit(), 1);
  TestServer fresh;
  fresh.client.notify("exit", nullptr);
  EXPECT_EQ(fresh.wait_for_exit(), 1);
}

TEST(Lifecycle, TheEndOfInputEndsTheServer) {
  TestServer server;
  server.client.initialize(Json::object());
  server.end_input();
  EXPECT_EQ(server.wait_for_exit(), 1);
  TestServer shut;
  shut.client.initialize(Json::object());
  shut.client.call("shutdown", nullptr);
  shut.end_input();
  EXPECT_EQ(shut.wait_for_exit(), 0);
}

TEST(Lifecycle, ABrokenOutputEndsTheServer) {
  TestServer server;
  server.client.initialize(Json::object());
  server.break_output();
  server.client.start("incipit/status", nullptr);
  EXPECT_EQ(server.wait_for_exit(), 1);
}

TEST(Lifecycle, TheParentsDeathEndsTheServer) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::pause();
    ::_exit(0);
  }
  TestServer server;
  server.client.initialize({{"processId", parent}});
  ::kill(parent, SIGKILL);
  EXPECT_EQ(server.wait_for_exit(), 1);
  ::waitpid(parent, nullptr, 0);
}

TEST(Lifecycle, AProcessIdThatCannotBeOneIsNotWatched) {
  TestServer server;
  server.client.initialize({{"processId", 0}});
  EXPECT_EQ(server.client.call("incipit/status", nullptr)["result"]["positionEncoding"], "utf-16");
}

TEST(Lifecycle, AnswersUnknownRequestsAndIgnoresUnknownNotifications) {
  TestServer server;
  server.client.initialize(Json::object());
  for (const char* method : {"textDocument/definition", "$/unknown", "", "initialized"}) {
    EXPECT_EQ(error_code(server.client.call(method, Json::object())), -32601) << method;
  }
  for (const char* method : {"$/setTrace", "$/unknown", "textDocument/didSave", "incipit/status"}) {
    server.client.notify(method, {{"value", "off"}});
  }
  EXPECT_EQ(error_code(server.client.call("incipit/status", nullptr)), 0);
}

TEST(Lifecycle, GoesOnAfterGarbage) {
  TestServer server;
  server.client.initialize(Json::object());
  server.client.send_bytes("what is this\r\n\r\n");
  EXPECT_EQ(error_code(server.client.reply_to(nullptr)), -32700);
  server.client.send_bytes(frame("{\"jsonrpc\": \"2.0\", "));
  EXPECT_EQ(error_code(server.client.reply_to(nullptr)), -32700);
  server.client.send_bytes(frame(std::string(5000, '[')));
  EXPECT_EQ(error_code(server.client.reply_to(nullptr)), -32700);
  server.client.send(Json::array({1, 2}));
  EXPECT_EQ(error_code(server.client.reply_to(nullptr)), -32600);
  EXPECT_EQ(error_code(server.client.call("incipit/status", nullptr)), 0);
}

}  // namespace
}  // namespace incipit::test
