// A message body: parsed, read as the params of every message that clients send, and given to a
// connection. Nothing crashes; what was read is written and read again unchanged; no message gets
// two answers.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/log.h"
#include "kernels/common/check.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/settings.h"

namespace {

using namespace incipit::lsp;

template <class T>
void read_write_read(const Json& value) {
  const auto first = read_fields<T>(value, "params");
  if (!first) {
    CHECK(!first.error().message.empty());
    return;
  }
  const Json written = write_fields(*first);
  const auto second = read_fields<T>(written, "params");
  CHECK(second.ok());
  CHECK(write_fields(*second) == written);
}

void read_all(const Json& value) {
  read_write_read<InitializeParams>(value);
  read_write_read<DidOpenParams>(value);
  read_write_read<DidChangeParams>(value);
  read_write_read<DidCloseParams>(value);
  read_write_read<InlineCompletionParams>(value);
  read_write_read<CompletionParams>(value);
  read_write_read<CodeActionParams>(value);
  read_write_read<ExecuteCommandParams>(value);
  read_write_read<DidChangeConfigurationParams>(value);
  read_write_read<DidChangeWorkspaceFoldersParams>(value);
  read_write_read<WorkDoneProgressCancelParams>(value);
}

void give_to_connection(const std::string& body) {
  size_t n_sent = 0;
  JsonRpcConnection connection([&n_sent](std::string_view) { ++n_sent; },
                               [](IncomingRequest request) { request.reply.finish(Json("done")); },
                               [](const IncomingNotification&) {});
  connection.receive(body);
  CHECK_LE(n_sent, 1u);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  CHECK(incipit::log::configure(incipit::log::Level::kOff, "").ok());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  give_to_connection(body);
  const auto parsed = parse_json(body);
  if (!parsed) return 0;
  print_json(*parsed);
  read_all(*parsed);
  if (parsed->is_object() && parsed->contains("params")) read_all((*parsed)["params"]);
  SettingsStack settings;
  settings.set(SettingsLayer::kPushed, *parsed);
  settings.set(SettingsLayer::kFile, *parsed);
  return 0;
}
