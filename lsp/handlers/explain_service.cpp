#include "lsp/handlers/explain_service.h"

#include <fmt/core.h>

#include <utility>

#include "engine/base/log.h"
#include "lsp/protocol/chat.h"

namespace incipit::lsp {

void ExplainService::start(const CodeCommand& command, ExplainRequest request,
                           std::optional<ProgressToken> progress, const Call& call,
                           Reply<Json> reply) {
  const RequestSerial serial = call.serial;
  const auto place = pending_
                         .emplace(serial, Pending{&command, std::move(request), std::move(progress),
                                                  std::move(reply), true})
                         .first;
  const bool loading =
      model_.state() == ModelHost::State::kLoading || model_.state() == ModelHost::State::kIdle;
  send(place->second, {"begin",
                       std::string(command.progress),
                       true,
                       loading ? std::optional<std::string>("waiting for the model") : std::nullopt,
                       {}});
  // A token may be used until the response and no longer, so its end goes out before the error.
  connection_.on_cancel(serial, [this, serial] {
    const auto found = pending_.find(serial);
    if (found == pending_.end()) return;
    send(found->second, {"end", {}, {}, "cancelled", {}});
    found->second.progress.reset();
  });
  if (model_.state() == ModelHost::State::kReady) return submit(serial, place->second);
  if (model_.state() == ModelHost::State::kFailed) return fail(place, model_.failure());
}

void ExplainService::submit(RequestSerial serial, Pending& pending) {
  pending.waiting = false;
  model_.pipeline()->explain(
      pending.request,
      [this, serial, post = post_](std::string_view text) {
        post([this, serial, text = std::string(text)] { piece(serial, text); });
      },
      [this, serial, post = post_](ExplainOutcome outcome) {
        post([this, serial, outcome = std::move(outcome)] { finished(serial, outcome); });
      });
}

void ExplainService::send(const Pending& pending, const WorkDoneProgress& progress) {
  if (pending.progress) connection_.notify<method::Progress>({*pending.progress, progress});
}

void ExplainService::piece(RequestSerial serial, const std::string& text) {
  const auto found = pending_.find(serial);
  if (found == pending_.end() || text.empty()) return;
  send(found->second, {"report", {}, {}, text, {}});
}

void ExplainService::finished(RequestSerial serial, ExplainOutcome outcome) {
  const auto found = pending_.find(serial);
  if (found == pending_.end()) return;
  if (found->second.request.cancel.cancelled()) {  // answered when it was cancelled
    pending_.erase(found);
  } else if (outcome.error) {
    fail(found, outcome.error->message);
  } else if (outcome.cancelled) {
    fail(found, "the model was taken away meanwhile");
  } else {
    send(found->second, {"end", {}, {}, {}, {}});
    log::info("{}: {} tokens in {:.1f} ms, first token {:.1f} ms, {} of {} prompt tokens cached",
              found->second.command->name, outcome.timings.n_generated,
              outcome.timings.total.count() / 1e3, outcome.timings.first_token.count() / 1e3,
              outcome.timings.n_cached_tokens, outcome.timings.n_prompt_tokens);
    Pending pending = std::move(found->second);
    pending_.erase(found);
    answer(std::move(pending), outcome);
  }
}

void ExplainService::answer(Pending pending, const ExplainOutcome& outcome) {
  const CodeCommand& command = *pending.command;
  const DocumentSnapshot& asked = pending.request.document;
  switch (command.task) {
    case CodeTask::kExplain:
      return pending.reply.ok(outcome.text);
    case CodeTask::kChat:
      return pending.reply.ok(
          write_fields(ChatResult{outcome.text, outcome.cut_off ? "length" : "stop",
                                  static_cast<int32_t>(outcome.n_left_out)}));
    case CodeTask::kTests:
      return edits_.send_new_file(command, asked, outcome, std::move(pending.reply));
    case CodeTask::kDocument:
    case CodeTask::kFix:
    case CodeTask::kRewrite:
      return edits_.send_changes(command, asked, outcome, std::move(pending.reply));
  }
}

void ExplainService::fail(std::map<RequestSerial, Pending>::iterator place,
                          const std::string& why) {
  send(place->second, {"end", {}, {}, why, {}});
  place->second.reply.fail(
      {RpcCode::kRequestFailed, fmt::format("{}: {}", place->second.command->name, why)});
  pending_.erase(place);
}

void ExplainService::cancel(const ProgressToken& token) {
  for (const auto& [serial, pending] : pending_) {
    if (!pending.progress || pending.progress->value != token.value) continue;
    return connection_.cancel(
        serial, {RpcCode::kRequestCancelled, fmt::format("{}: cancelled", pending.command->name)});
  }
}

void ExplainService::cancel_all() {
  for (const auto& [serial, pending] : pending_) {
    connection_.cancel(serial, {RpcCode::kRequestCancelled, "the server shuts down"});
  }
}

void ExplainService::model_changed() {
  const ModelHost::State state = model_.state();
  if (state != ModelHost::State::kReady && state != ModelHost::State::kFailed) return;
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto place = next++;
    if (!place->second.waiting) continue;
    if (place->second.request.cancel.cancelled()) {
      pending_.erase(place);
    } else if (state == ModelHost::State::kReady) {
      submit(place->first, place->second);
    } else {
      fail(place, model_.failure());
    }
  }
}

}  // namespace incipit::lsp
