// initialize, shutdown, exit.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/base/log.h"
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {
namespace {

// utf-8 is what the documents are kept in, so it costs nothing; utf-16 is what every client knows.
PositionEncoding negotiate_encoding(const InitializeParams& params) {
  if (!params.capabilities || !params.capabilities->general ||
      !params.capabilities->general->positionEncodings) {
    return PositionEncoding::kUtf16;
  }
  const auto& offered = *params.capabilities->general->positionEncodings;
  for (const auto encoding :
       {PositionEncoding::kUtf8, PositionEncoding::kUtf16, PositionEncoding::kUtf32}) {
    if (std::find(offered.begin(), offered.end(), name_of(encoding)) != offered.end()) {
      return encoding;
    }
  }
  return PositionEncoding::kUtf16;
}

void watch_parent(Session& session, const InitializeParams& params) {
  if (!params.processId) return;
  const int64_t pid = *params.processId;
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) {
    return log::warn("initialize: params.processId: {} is no process id, not watched", pid);
  }
  session.parent_watch = std::make_unique<ParentWatch>(static_cast<pid_t>(pid), [&session] {
    session.post([&session] { session.end("the parent process is gone"); });
  });
}

bool lacks_inline_completion(const InitializeParams& params) {
  return !params.capabilities || !params.capabilities->textDocument ||
         !params.capabilities->textDocument->inlineCompletion;
}

}  // namespace

RpcResult<InitializeResult> handle_initialize(Session& session, const InitializeParams& params) {
  session.phase = Session::Phase::kRunning;
  session.encoding = negotiate_encoding(params);
  watch_parent(session, params);

  InitializeResult result;
  ServerCapabilities& offered = result.capabilities;
  offered.positionEncoding = name_of(session.encoding);
  if (lacks_inline_completion(params)) offered.completionProvider.emplace();
  result.serverInfo = {"incipit", INCIPIT_VERSION};
  return result;
}

RpcResult<Nothing> handle_shutdown(Session& session, const Nothing&) {
  session.phase = Session::Phase::kShutDown;
  session.shutdown_seen = true;
  return Nothing{};
}

void on_exit(Session& session, const Nothing&) {
  session.end("exit");
}

}  // namespace incipit::lsp
