// TestServer: the language server on a thread of its own, over memory, with a fake engine and the
// FakePipeline. The test is the editor.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "lsp/server.h"
#include "tests/support/fake_pipeline.h"
#include "tests/support/in_memory_transport.h"
#include "tests/support/lsp_client.h"

namespace incipit::test {

// An engine that is there at once, named "fake".
Result<std::unique_ptr<engine::Engine>> make_fake_engine(const engine::EngineOptions& options,
                                                         const engine::Engine::Progress& progress,
                                                         const CancelToken& cancel);

class TestServer {
 public:
  explicit TestServer(lsp::ServerOptions options = {},
                      lsp::EngineFactory make_engine = make_fake_engine);
  ~TestServer();  // ends the input and waits

  LspClient client;

  int wait_for_exit();  // the exit code
  void end_input() { transport_.end_input(); }
  void break_output() { transport_.break_output(); }

  // Opens a document, version 1.
  void open(const std::string& uri, const std::string& text,
            const std::string& language = "python");
  // Waits until status says that the model is ready.
  void wait_until_ready();

 private:
  InMemoryTransport transport_;
  std::atomic<int> exit_code_{-1};
  std::thread thread_;
};

// The document that a test opens, and what asks for a completion in it.
inline constexpr const char* kUri = "file:///work/a.py";
inline constexpr const char* kInline = "textDocument/inlineCompletion";
Json params(const std::string& uri = kUri, uint32_t line = 0, uint32_t character = 0);

Json position(uint32_t line, uint32_t character);
Json range(uint32_t line, uint32_t from, uint32_t end_line, uint32_t to);

}  // namespace incipit::test
