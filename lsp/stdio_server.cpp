// Apart from server.cpp, so that tests with a fake engine do not link the real one.
#include <csignal>

#include "lsp/rpc/stdio_transport.h"
#include "lsp/server.h"

namespace incipit::lsp {

int run_stdio_server(const ServerOptions& options) {
  // A closed pipe is an error of write(), not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  StdioTransport transport;
  Server server(options, transport, &engine::Engine::create);
  return server.run();
}

}  // namespace incipit::lsp
