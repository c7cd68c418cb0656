#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "engine/base/bounded_queue.h"
#include "tests/support/fake_engine.h"
#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

using ::testing::HasSubstr;

Json with_progress() {
  return {{"capabilities", {{"window", {{"workDoneProgress", true}}}}}};
}

// A loader that the test drives: each step is a progress text; "fail" and "done" end it.
struct SlowLoader {
  BoundedQueue<std::string> steps{100};
  BoundedQueue<engine::EngineOptions> asked{100};
  BoundedQueue<bool> given_up{100};

  lsp::EngineFactory factory() {
    return [this](const engine::EngineOptions& options, const engine::Engine::Progress& progress,
                  const CancelToken& cancel) -> Result<std::unique_ptr<engine::Engine>> {
      asked.push(options);
      while (auto step = steps.pop()) {
        if (*step == "done") return make_fake_engine(options, {}, cancel);
        if (*step == "fail") return Error{ErrorCode::kNotFound, "config.json: not there"};
        if (*step == "throw") throw std::bad_alloc();
        progress(0.25, *step);
        if (cancel.cancelled()) break;
      }
      given_up.push(true);
      return Error{ErrorCode::kCancelled, "cancelled"};
    };
  }
  ~SlowLoader() { steps.close(); }
};

TEST(ModelLoading, DoesNotHoldUpInitialize) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  loader.asked.pop();
  const Json status = server.client.call("incipit/status", nullptr)["result"];
  EXPECT_EQ(status["state"], "loading");
  EXPECT_FALSE(status.contains("model"));
  loader.steps.close();
}

TEST(ModelLoading, LetsAnEarlyRequestWait) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  FakePipeline::control().answer_with_insert("y");
  server.open(kUri, "x");
  const int64_t completion = server.client.start(kInline, params());
  const int64_t explain = server.client.start(
      "workspace/executeCommand",
      {{"command", "incipit.explain"}, {"arguments", {kUri, range(0, 0, 0, 1)}}});
  loader.steps.push("done");
  EXPECT_EQ(server.client.reply_to(completion)["result"]["items"].size(), 1u);
  FakePipeline::control().wait_for_explain(1);
  lsp::ExplainOutcome outcome;
  outcome.text = "text";
  FakePipeline::control().explain_finish(1, outcome);
  EXPECT_EQ(server.client.reply_to(explain)["result"], "text");
}

TEST(ModelLoading, AnswersAnEarlyRequestEmptyWhenItTakesTooLong) {
  SlowLoader loader;
  lsp::ServerOptions options;
  options.load_wait = std::chrono::milliseconds(1);
  TestServer server(options, loader.factory());
  server.client.initialize(Json::object());
  server.open(kUri, "x");
  EXPECT_EQ(server.client.call(kInline, params())["result"]["items"], Json::array());
  EXPECT_THAT(server.client.call("incipit/status", nullptr)["result"]["lastCompletion"]["whyEmpty"]
                  .get<std::string>(),
              HasSubstr("still loading"));
  loader.steps.close();
}

// Those were answered with an error, which is no suggestion that failed to come.
TEST(ModelLoading, ARequestThatEndedWhileItWaitedIsNotListedAsSuppressed) {
  SlowLoader loader;
  lsp::ServerOptions options;
  options.load_wait = std::chrono::milliseconds(300);
  TestServer server(options, loader.factory());
  server.client.initialize(Json::object());
  server.open(kUri, "x");
  const int64_t cancelled = server.client.start(kInline, params());
  server.client.notify("$/cancelRequest", {{"id", cancelled}});
  const int64_t superseded = server.client.start(kInline, params());
  const int64_t last = server.client.start(kInline, params());
  size_t n_empty = 0;
  for (const int64_t id : {cancelled, superseded, last}) {
    if (server.client.reply_to(id).contains("result")) ++n_empty;
  }
  EXPECT_EQ(server.client.call("incipit/status", nullptr)["result"]["suppressed"].size(), n_empty);
  loader.steps.close();
}

TEST(ModelLoading, AWaitingRequestCanBeCancelledAndSuperseded) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  FakePipeline::control().answer_with_insert("y");
  server.open(kUri, "x");
  const int64_t first = server.client.start(kInline, params());
  const int64_t second = server.client.start(kInline, params());
  EXPECT_EQ(server.client.reply_to(first)["error"]["code"], -32800);
  server.client.notify("$/cancelRequest", {{"id", second}});
  EXPECT_EQ(server.client.reply_to(second)["error"]["code"], -32800);
  loader.steps.push("done");
  server.wait_until_ready();
  EXPECT_EQ(FakePipeline::control().n_started(), 0u);
}

TEST(ModelLoading, AFailureIsToldOnceWithWhatToDo) {
  for (const char* how : {"fail", "throw"}) {
    SlowLoader loader;
    TestServer server({}, loader.factory());
    server.client.initialize(Json::object());
    server.open(kUri, "x");
    const int64_t early = server.client.start(kInline, params());
    loader.steps.push(how);
    const Json message = server.client.notification("window/showMessage")["params"];
    EXPECT_EQ(message["type"], 1);
    EXPECT_THAT(message["message"].get<std::string>(), HasSubstr("incipit doctor"));
    EXPECT_EQ(server.client.reply_to(early)["result"]["items"], Json::array());
    EXPECT_EQ(server.client.call(kInline, params())["result"]["items"], Json::array());
    const Json status = server.client.call("incipit/status", nullptr)["result"];
    EXPECT_EQ(status["state"], "failed");
    EXPECT_EQ(status["lastCompletion"]["whyEmpty"], status["message"]);
    const Json explain = server.client.call(
        "workspace/executeCommand",
        {{"command", "incipit.explain"}, {"arguments", {kUri, range(0, 0, 0, 1)}}});
    EXPECT_EQ(explain["error"]["code"], -32803);
    server.client.call("shutdown", nullptr);
    server.client.notify("exit", nullptr);
    EXPECT_EQ(server.wait_for_exit(), 0);
    for (const Json& rest : server.client.drain()) {
      EXPECT_NE(rest.value("method", ""), "window/showMessage");
    }
  }
}

TEST(ModelLoading, ShowsProgressThroughATokenOfItsOwn) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(with_progress());
  const Json create = server.client.request_of_server("window/workDoneProgress/create");
  const Json token = create["params"]["token"];
  server.client.respond(create, nullptr);
  const auto progress = [&] { return server.client.notification("$/progress")["params"]; };
  const Json begin = progress();
  EXPECT_EQ(begin["token"], token);
  EXPECT_EQ(begin["value"]["kind"], "begin");
  EXPECT_EQ(begin["value"]["title"], "Loading the model");
  loader.steps.push("packing");
  EXPECT_EQ(progress()["value"],
            Json::parse(R"({"kind":"report","message":"packing","percentage":25})"));
  loader.steps.push("packing");  // nothing new to tell
  loader.steps.push("packing: a detail");
  loader.steps.push("reading: a detail");
  EXPECT_EQ(progress()["value"],
            Json::parse(R"({"kind":"report","message":"reading: a detail","percentage":25})"));
  loader.steps.push("done");
  EXPECT_EQ(progress()["value"], Json::parse(R"({"kind":"end","message":"ready"})"));
}

TEST(ModelLoading, ShowsNoProgressToAClientThatRefusesTheToken) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(with_progress());
  const Json create = server.client.request_of_server("window/workDoneProgress/create");
  server.client.send(
      {{"jsonrpc", "2.0"}, {"id", create["id"]}, {"error", {{"code", -32601}, {"message", "no"}}}});
  loader.steps.push("packing");
  loader.steps.push("done");
  server.wait_until_ready();
  server.client.call("shutdown", nullptr);
  server.client.notify("exit", nullptr);
  for (const Json& message : server.client.drain()) {
    EXPECT_NE(message.value("method", ""), "$/progress");
  }
}

TEST(ModelLoading, AsksForNoTokenOfAClientThatCannot) {
  TestServer server;
  server.client.initialize(Json::object());
  server.wait_until_ready();
  server.client.call("shutdown", nullptr);
  server.client.notify("exit", nullptr);
  for (const Json& message : server.client.drain()) EXPECT_FALSE(message.contains("method"));
}

TEST(ModelLoading, AnotherModelReplacesTheOneInUse) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  loader.steps.push("done");
  server.wait_until_ready();
  server.open(kUri, "x");
  const int64_t in_flight = server.client.start(kInline, params());
  FakePipeline::control().wait_for_start(1);
  loader.asked.pop();
  server.client.notify("workspace/didChangeConfiguration",
                       {{"settings", {{"model", "other"}, {"threads", 3}}}});
  const auto options = loader.asked.pop();
  EXPECT_EQ(options->model, "other");
  EXPECT_EQ(options->n_threads, 3);
  EXPECT_EQ(server.client.reply_to(in_flight)["result"]["items"], Json::array());
  loader.steps.push("done");
  server.wait_until_ready();
  EXPECT_EQ(server.client.call("incipit/status", nullptr)["result"]["model"]["name"], "other");
}

TEST(ModelLoading, IsGivenUpWhenTheServerEnds) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  loader.asked.pop();
  server.client.call("shutdown", nullptr);
  loader.steps.push("a step, after which the token is looked at");
  EXPECT_TRUE(loader.given_up.pop());
  server.client.notify("exit", nullptr);
  EXPECT_EQ(server.wait_for_exit(), 0);
}

TEST(ModelLoading, HandsTheEngineTheSettingsOfTheDevice) {
  SlowLoader loader;
  TestServer server({}, loader.factory());
  server.client.initialize(Json::object());
  loader.steps.push("done");
  server.wait_until_ready();
  EXPECT_EQ(loader.asked.pop()->device, "auto");
  server.client.notify("workspace/didChangeConfiguration", {{"settings",
                                                             {{"device", "cuda:1"},
                                                              {"gpuMemory", "11GiB"},
                                                              {"kvType", "int8"},
                                                              {"contextTokens", 4096}}}});
  const auto options = loader.asked.pop();
  EXPECT_EQ(options->device, "cuda:1");
  EXPECT_EQ(options->gpu_memory, "11GiB");
  EXPECT_EQ(options->kv_type, "int8");
  EXPECT_EQ(options->context_tokens, 4096);
  loader.steps.push("done");
  server.wait_until_ready();
}

TEST(ModelLoading, TellsOfADeviceThatFailedAndGoesOn) {
  FakeEngine* fake = nullptr;  // set before the server is ready
  TestServer server({}, [&](const engine::EngineOptions& options,
                            const engine::Engine::Progress& progress, const CancelToken& cancel) {
    auto made = make_fake_engine(options, progress, cancel);
    fake = static_cast<FakeEngine*>(made->get());
    return made;
  });
  server.client.initialize(Json::object());
  server.wait_until_ready();
  const Json before = server.client.call("incipit/status", nullptr)["result"]["device"];
  EXPECT_EQ(before, (Json{{"name", "fake"}, {"faults", 0}}));

  fake->fail_device({"cpu (2 threads)", 1, "cuda:0 failed (too hot); the CPU takes over"});
  const Json told = server.client.notification("window/showMessage")["params"];
  EXPECT_EQ(told["type"], 2);
  EXPECT_EQ(told["message"], "incipit: cuda:0 failed (too hot); the CPU takes over");
  const Json after = server.client.call("incipit/status", nullptr)["result"]["device"];
  EXPECT_EQ(after["name"], "cpu (2 threads)");
  EXPECT_EQ(after["faults"], 1);
  EXPECT_EQ(after["lastFault"], "cuda:0 failed (too hot); the CPU takes over");

  FakePipeline::control().answer_with_insert("y");
  server.open(kUri, "x");
  EXPECT_EQ(server.client.call(kInline, params())["result"]["items"].size(), 1u);

  fake->fail_device({engine::kNoDevice, 2, "the CPU failed; nothing is left"});
  EXPECT_EQ(server.client.notification("window/showMessage")["params"]["type"], 1);
}

}  // namespace
}  // namespace incipit::test
