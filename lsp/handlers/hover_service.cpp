#include "lsp/handlers/hover_service.h"

#include <utility>

#include "engine/base/log.h"
#include "lsp/protocol/code_action.h"

namespace incipit::lsp {

void HoverService::start(ExplainRequest request, const Call& call, Reply<Json> reply) {
  if (model_.state() != ModelHost::State::kReady) return reply.ok(nullptr);
  for (const auto& [older, ignored] : pending_) {
    connection_.cancel(older, {RpcCode::kRequestCancelled, "superseded by a newer request"});
  }
  const RequestSerial serial = call.serial;
  pending_.emplace(serial, std::move(reply));
  model_.pipeline()->explain(
      std::move(request), {}, [this, serial, post = post_](ExplainOutcome outcome) {
        post([this, serial, outcome = std::move(outcome)] { finished(serial, outcome); });
      });
}

void HoverService::finished(RequestSerial serial, const ExplainOutcome& outcome) {
  const auto found = pending_.find(serial);
  if (found == pending_.end()) return;
  Reply<Json> reply = std::move(found->second);
  pending_.erase(found);
  if (outcome.error) log::debug("hover: {}", outcome.error->message);
  const bool empty = outcome.error || outcome.cancelled || outcome.text.empty();
  reply.ok(empty ? Json() : write_fields(Hover{{"plaintext", outcome.text}}));
}

void HoverService::cancel_all() {
  for (const auto& [serial, reply] : pending_) {
    connection_.cancel(serial, {RpcCode::kRequestCancelled, "the server shuts down"});
  }
}

}  // namespace incipit::lsp
