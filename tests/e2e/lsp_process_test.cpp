// The real binary with the real model, as an editor runs it: over pipes. INCIPIT_BINARY names it.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/lsp_client.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace incipit::test {
namespace {

using ::testing::HasSubstr;
using Clock = LspClient::Clock;

const char* const kUri = "file:///work/shapes.py";
const char* const kInline = "textDocument/inlineCompletion";
const char* const kCode =
    "class Circle:\n"
    "    def __init__(self, radius):\n"
    "        self.radius = radius\n"
    "\n"
    "    def area(self):\n"
    "        return ";

// The packed weights are made once for all tests.
const std::filesystem::path& cache_dir() {
  static const test::TempDir dir;
  return dir.path();
}

Json position(uint32_t line, uint32_t character) {
  return {{"line", line}, {"character", character}};
}

Json at(uint32_t line, uint32_t character) {
  return {{"textDocument", {{"uri", kUri}}},
          {"position", position(line, character)},
          {"context", {{"triggerKind", 2}}}};
}

class LspProcess : public ::testing::Test {
 protected:
  explicit LspProcess(std::vector<std::string> more = {})
      : process(command(std::move(more)), {{"XDG_CACHE_HOME", cache_dir().string()}},
                cache_dir() / "stderr.txt"),
        client([this](const std::string& bytes) { process.write(bytes, patience()); },
               [this](Clock::time_point deadline) { return process.read(deadline); }) {}

  static Clock::time_point patience() { return Clock::now() + LspClient::kPatience; }
  static std::vector<std::string> command(std::vector<std::string> more) {
    std::vector<std::string> words = {INCIPIT_BINARY, "lsp", "--log-level", "debug"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  void open(const std::string& text) {
    client.notify("textDocument/didOpen",
                  {{"textDocument",
                    {{"uri", kUri}, {"languageId", "python"}, {"version", 1}, {"text", text}}}});
  }
  void wait_until_ready() {
    while (status()["state"] == "loading") {
    }
    ASSERT_EQ(status()["state"], "ready") << status();
  }
  Json status() { return client.call("incipit/status", nullptr)["result"]; }
  int exit_code() {
    const auto ended = process.wait(patience());
    EXPECT_TRUE(ended.has_value()) << "still running";
    EXPECT_EQ(ended ? ended->signal : 0, 0);
    return ended ? ended->code : -1;
  }
  void quit() {
    client.call("shutdown", nullptr);
    client.notify("exit", nullptr);
    EXPECT_EQ(exit_code(), 0);
  }

  Process process;
  LspClient client;
};

TEST_F(LspProcess, CompletesAndExplainsWithTheRealModel) {
  client.initialize({{"processId", ::getpid()}, {"capabilities", Json::object()}});
  open(kCode);
  const Json first = client.call(kInline, at(5, 15))["result"];
  ASSERT_EQ(first["items"].size(), 1u) << status();
  EXPECT_FALSE(first["items"][0]["insertText"].get<std::string>().empty());
  EXPECT_EQ(first["items"][0]["range"]["start"]["line"], 5);
  EXPECT_EQ(first["items"][0]["range"]["end"]["line"], 5);

  const Json before = status();
  client.call(kInline, at(5, 15));
  client.notify(
      "textDocument/didChange",
      {{"textDocument", {{"uri", kUri}, {"version", 2}}},
       {"contentChanges",
        {{{"range", {{"start", position(5, 15)}, {"end", position(5, 15)}}}, {"text", "3 * "}}}}});
  client.call(kInline, at(5, 19));
  const Json after = status();
  EXPECT_GT(after["tokens"]["reused"], before["tokens"]["reused"]);
  EXPECT_EQ(after["model"]["name"], "pocket");
  EXPECT_GT(after["pages"]["total"], 0);

  const Json text = client.call(
      "workspace/executeCommand",
      {{"command", "incipit.explain"},
       {"arguments", {kUri, {{"start", position(0, 0)}, {"end", position(3, 0)}}}}})["result"];
  EXPECT_TRUE(text.is_string());
  EXPECT_FALSE(text.get<std::string>().empty());
  quit();
}

TEST_F(LspProcess, ExitCodesTellHowItEnded) {
  client.initialize(Json::object());
  process.close_input();
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(LspProcess, AnInputThatEndsAfterShutdownIsNoError) {
  client.initialize(Json::object());
  client.call("shutdown", nullptr);
  process.close_input();
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(LspProcess, EndsWhenTheEditorDies) {
  const pid_t editor = ::fork();
  if (editor == 0) {
    ::pause();
    ::_exit(0);
  }
  client.initialize({{"processId", editor}});
  open(kCode);
  client.start(kInline, at(5, 15));
  ::kill(editor, SIGKILL);
  EXPECT_EQ(exit_code(), 1);
  ::waitpid(editor, nullptr, 0);
}

TEST_F(LspProcess, ABrokenOutputEndsItWithoutASignal) {
  client.initialize(Json::object());
  process.close_output();
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(LspProcess, AClientThatDoesNotReadCannotHoldUpTheEnd) {
  client.initialize(Json::object());
  for (int i = 0; i < 3000; ++i) client.start("incipit/status", nullptr);
  process.close_input();
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(LspProcess, GoesOnAfterGarbage) {
  client.send_bytes("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
  EXPECT_EQ(client.reply_to(nullptr)["error"]["code"], -32700);
  client.send_bytes(std::string("\x00\x01\xFE\xFF{{{{\r\n\r\n", 12));
  EXPECT_EQ(client.reply_to(nullptr)["error"]["code"], -32700);
  client.send_bytes(frame(std::string(100'000, '[')));
  EXPECT_EQ(client.reply_to(nullptr)["error"]["code"], -32700);
  client.initialize(Json::object());
  wait_until_ready();
  quit();
}

TEST_F(LspProcess, AThousandRequestsAndCancelsGetOneAnswerEach) {
  client.initialize(Json::object());
  open(kCode);
  std::map<int64_t, int> answers;
  for (int i = 0; i < 1000; ++i) {
    const int64_t id = client.start(kInline, at(5, 15));
    answers[id] = 0;
    if (i % 2 == 0) client.notify("$/cancelRequest", {{"id", id}});
    if (i % 7 == 0) {
      client.notify(
          "textDocument/didChange",
          {{"textDocument", {{"uri", kUri}, {"version", i + 2}}},
           {"contentChanges",
            {{{"range", {{"start", position(5, 15)}, {"end", position(5, 15)}}}, {"text", "x"}}}}});
    }
  }
  const Json last = client.call(kInline, at(0, 0));
  EXPECT_TRUE(last.contains("result"));
  client.call("shutdown", nullptr);
  client.notify("exit", nullptr);
  for (const Json& message : client.drain()) {
    const auto found =
        message.contains("id") ? answers.find(message["id"].get<int64_t>()) : answers.end();
    if (found != answers.end()) ++found->second;
  }
  for (const auto& [id, n] : answers) EXPECT_EQ(n, 1) << "request " << id;
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(LspProcess, OpensNoSocket) {
  client.initialize(Json::object());
  open(kCode);
  client.call(kInline, at(5, 15));
  const std::filesystem::path fds = "/proc/" + std::to_string(process.pid()) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(fds)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    EXPECT_FALSE(target.starts_with("socket:")) << target;
  }
  quit();
}

TEST_F(LspProcess, KeepsUpWithABigDocument) {
  client.initialize(Json::object());
  std::string text;
  for (int line = 0; line < 100'000; ++line)
    text += "total = total + value[" + std::to_string(line) + "]\n";
  text += "wide = \"" + std::string(1 << 20, 'x') + "\"\n";
  open(text + kCode);
  for (int i = 0; i < 50; ++i) {
    client.notify(
        "textDocument/didChange",
        {{"textDocument", {{"uri", kUri}, {"version", i + 2}}},
         {"contentChanges",
          {{{"range", {{"start", position(50, 0)}, {"end", position(50, 0)}}}, {"text", "y"}}}}});
  }
  EXPECT_TRUE(client.call(kInline, at(100'006, 15)).contains("result"));
  EXPECT_TRUE(client.call(kInline, at(100'000, 900'000)).contains("result"));
  quit();
}

class LspProcessWithoutModel : public LspProcess {
 protected:
  LspProcessWithoutModel() : LspProcess({"--model", "/nonexistent/model"}) {}
};

TEST_F(LspProcessWithoutModel, SaysSoAndAnswersEmpty) {
  client.initialize(Json::object());
  open(kCode);
  EXPECT_EQ(client.call(kInline, at(5, 15))["result"]["items"], Json::array());
  const Json message = client.notification("window/showMessage")["params"];
  EXPECT_EQ(message["type"], 1);
  EXPECT_THAT(message["message"].get<std::string>(), HasSubstr("/nonexistent/model"));
  EXPECT_EQ(status()["state"], "failed");
  quit();
}

}  // namespace
}  // namespace incipit::test
