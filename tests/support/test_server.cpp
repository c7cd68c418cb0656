#include "tests/support/test_server.h"

#include <utility>

#include "tests/support/fake_engine.h"

namespace incipit::test {

Result<std::unique_ptr<engine::Engine>> make_fake_engine(const engine::EngineOptions& options,
                                                         const engine::Engine::Progress& progress,
                                                         const CancelToken&) {
  FakeEngine::Options fake;
  fake.info.name = options.model;
  fake.info.device = "fake";
  fake.info.context_tokens = 2048;
  if (progress) progress(0.5, "half of it");
  return std::unique_ptr<engine::Engine>(std::make_unique<FakeEngine>(std::move(fake)));
}

TestServer::TestServer(lsp::ServerOptions options, lsp::EngineFactory make_engine)
    : client([this](std::string bytes) { transport_.feed(std::move(bytes)); },
             [this](LspClient::Clock::time_point deadline) { return transport_.take(deadline); }) {
  FakePipeline::control().reset();
  thread_ = std::thread([this, options = std::move(options), make = std::move(make_engine)] {
    lsp::Server server(options, transport_, make);
    exit_code_ = server.run();
  });
}

TestServer::~TestServer() {
  transport_.end_input();
  if (thread_.joinable()) thread_.join();
}

int TestServer::wait_for_exit() {
  thread_.join();
  return exit_code_;
}

void TestServer::open(const std::string& uri, const std::string& text,
                      const std::string& language) {
  client.notify(
      "textDocument/didOpen",
      {{"textDocument", {{"uri", uri}, {"languageId", language}, {"version", 1}, {"text", text}}}});
}

void TestServer::wait_until_ready() {
  // Each status is answered after what was posted before it, so this needs no sleep between.
  while (client.call("incipit/status", nullptr)["result"]["state"] == "loading") {
  }
}

Json position(uint32_t line, uint32_t character) {
  return {{"line", line}, {"character", character}};
}

Json params(const std::string& uri, uint32_t line, uint32_t character) {
  return {{"textDocument", {{"uri", uri}}}, {"position", position(line, character)}};
}

Json range(uint32_t line, uint32_t from, uint32_t end_line, uint32_t to) {
  return {{"start", position(line, from)}, {"end", position(end_line, to)}};
}

}  // namespace incipit::test
