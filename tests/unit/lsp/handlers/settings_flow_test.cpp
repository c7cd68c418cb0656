#include <gmock/gmock.h>

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

using ::testing::StartsWith;

std::string message_of(TestServer& server) {
  const Json params = server.client.notification("window/showMessage")["params"];
  EXPECT_EQ(params["type"], 2);
  return params["message"];
}

int32_t max_tokens(TestServer& server, size_t n) {
  server.client.start("textDocument/inlineCompletion",
                      {{"textDocument", {{"uri", "file:///a"}}}, {"position", position(0, 0)}});
  return FakePipeline::control().wait_for_start(n).options.max_tokens;
}

// Nor one that was on its way: ends the server.
void expect_no_more_messages(TestServer& server) {
  server.client.call("shutdown", nullptr);
  server.client.notify("exit", nullptr);
  for (const Json& message : server.client.drain()) {
    EXPECT_NE(message.value("method", ""), "window/showMessage");
  }
}

TEST(SettingsFlow, AWrongValueGetsAMessageAndTheDefaultStays) {
  TestServer server;
  server.client.initialize(
      {{"initializationOptions", {{"incipit", {{"completion", {{"maxTokens", "many"}}}}}}}});
  EXPECT_EQ(message_of(server),
            "incipit.completion.maxTokens: want an integer 1..1024, found \"many\"; stays 64");
  server.wait_until_ready();
  server.open("file:///a", "x");
  EXPECT_EQ(max_tokens(server, 1), 64);
}

// What the engine would refuse to load with is refused before it is asked.
TEST(SettingsFlow, AWrongDeviceLeavesTheModelWithTheOneBefore) {
  TestServer server;
  server.client.initialize({{"initializationOptions", {{"incipit", {{"device", "toaster"}}}}}});
  EXPECT_EQ(message_of(server),
            "incipit.device: want auto, cpu, cuda or cuda:N, found \"toaster\"; stays \"\"");
  server.wait_until_ready();
  server.open("file:///a", "x");
  EXPECT_EQ(max_tokens(server, 1), 64);
}

TEST(SettingsFlow, AsksAClientThatCanBeAsked) {
  TestServer server;
  server.client.initialize(
      {{"capabilities",
        {{"workspace",
          {{"configuration", true}, {"didChangeConfiguration", {{"dynamicRegistration", true}}}}}}},
       {"initializationOptions", {{"completion", {{"maxTokens", 5}}}}}});
  server.wait_until_ready();
  server.open("file:///a", "x");
  const Json registration = server.client.request_of_server("client/registerCapability");
  EXPECT_EQ(registration["params"]["registrations"][0]["method"],
            "workspace/didChangeConfiguration");
  server.client.respond(registration, nullptr);
  Json asked = server.client.request_of_server("workspace/configuration");
  EXPECT_EQ(asked["params"]["items"], Json::parse(R"([{"section":"incipit"}])"));
  server.client.respond(asked, {{{"completion", {{"maxTokens", 6}}}}});
  EXPECT_EQ(max_tokens(server, 1), 6);

  server.client.notify("workspace/didChangeConfiguration", {{"settings", nullptr}});
  asked = server.client.request_of_server("workspace/configuration");
  server.client.respond(asked, {nullptr});
  EXPECT_EQ(max_tokens(server, 2), 5);
}

TEST(SettingsFlow, SurvivesAnyAnswerToItsQuestion) {
  TestServer server;
  server.client.initialize({{"capabilities", {{"workspace", {{"configuration", true}}}}}});
  server.client.respond(server.client.request_of_server("workspace/configuration"), 5);
  for (const Json& answer : {Json::array(), Json::object(), Json::array({1, 2}), Json()}) {
    server.client.notify("workspace/didChangeConfiguration", Json::object());
    server.client.respond(server.client.request_of_server("workspace/configuration"), answer);
  }
  server.client.notify("workspace/didChangeConfiguration", nullptr);
  server.client.notify("workspace/didChangeConfiguration", {{"settings", Json::array({1})}});
  EXPECT_THAT(message_of(server), StartsWith("incipit: want an object of settings, found [1]"));
  EXPECT_TRUE(server.client.call("incipit/status", nullptr).contains("result"));
}

TEST(SettingsFlow, ShowsTheSameComplaintOnce) {
  TestServer server;
  server.client.initialize(Json::object());
  for (int i = 0; i < 3; ++i) {
    server.client.notify("workspace/didChangeConfiguration", {{"settings", {{"threads", "x"}}}});
  }
  message_of(server);
  expect_no_more_messages(server);
}

// VS Code sends its settings with `initialize`, and is asked for them all the same.
TEST(SettingsFlow, AWrongValueAtTheStartAndInTheAnswerIsToldOnce) {
  TestServer server;
  const Json settings = {{"completion", {{"maxTokens", "many"}}}, {"device", "toaster"}};
  server.client.initialize({{"capabilities", {{"workspace", {{"configuration", true}}}}},
                            {"initializationOptions", settings}});
  server.client.respond(server.client.request_of_server("workspace/configuration"), {settings});
  EXPECT_THAT(message_of(server), StartsWith("incipit.completion.maxTokens: want"));
  EXPECT_THAT(message_of(server), StartsWith("incipit.device: want"));
  expect_no_more_messages(server);
}

TEST(SettingsFlow, ShowsAComplaintAgainWhenItWasRightMeanwhile) {
  TestServer server;
  const Json wrong = {{"threads", "x"}};
  server.client.initialize({{"initializationOptions", wrong}});
  for (const Json& settings : {wrong, Json::object(), wrong}) {
    server.client.notify("workspace/didChangeConfiguration", {{"settings", settings}});
  }
  EXPECT_EQ(message_of(server), message_of(server));
  expect_no_more_messages(server);
}

TEST(SettingsFlow, ReadsAFileThatTheClientMayOverrule) {
  const test::TempDir dir;
  lsp::ServerOptions options;
  options.settings_file = dir.path() / "settings.json";
  std::ofstream(*options.settings_file) << R"({"incipit":{"completion":{"maxTokens":7}}})";
  TestServer server(options);
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.open("file:///a", "x");
  EXPECT_EQ(max_tokens(server, 1), 7);
  server.client.notify("workspace/didChangeConfiguration",
                       {{"settings", {{"completion", {{"maxTokens", 8}}}}}});
  EXPECT_EQ(max_tokens(server, 2), 8);
}

TEST(SettingsFlow, TellsOfAFileThatCannotBeRead) {
  lsp::ServerOptions options;
  options.settings_file = "/nonexistent/settings.json";
  TestServer server(options);
  server.client.initialize(Json::object());
  EXPECT_THAT(message_of(server), HasSubstr("/nonexistent/settings.json: cannot be read"));
}

TEST(SettingsFlow, TellsOfADirectoryInPlaceOfAFileAndLoadsTheModel) {
  const test::TempDir dir;
  lsp::ServerOptions options;
  options.settings_file = dir.path();
  TestServer server(options);
  server.client.initialize(Json::object());
  EXPECT_THAT(message_of(server), HasSubstr("cannot be read: Is a directory"));
  server.wait_until_ready();
}

}  // namespace
}  // namespace incipit::test
