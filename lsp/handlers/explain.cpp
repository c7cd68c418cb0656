// "Explain selection": the code action that offers it and the command that does it.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "lsp/handlers/handlers.h"

namespace incipit::lsp {
namespace {

// LSP 3.18, CodeActionContext.only: a kind asks for itself and everything below it; "" for all.
bool asks_for_kind(const std::string& asked, std::string_view kind) {
  return asked.empty() || kind == asked ||
         (kind.starts_with(asked) && kind.substr(asked.size()).starts_with('.'));
}

bool wants_explain(const CodeActionParams& params) {
  if (!params.context || !params.context->only) return true;
  const auto& only = *params.context->only;
  return std::any_of(only.begin(), only.end(),
                     [](const std::string& asked) { return asks_for_kind(asked, kExplainKind); });
}

// Of blanks alone there is nothing to explain.
bool holds_code(std::string_view text, size_t start, size_t end) {
  return text.substr(start, end - start).find_first_not_of(" \t\r\n\f\v") != text.npos;
}

struct ExplainArguments {
  const Document* document = nullptr;
  size_t start = 0;
  size_t end = 0;
};

RpcResult<ExplainArguments> read_arguments(const Session& session,
                                           const ExecuteCommandParams& params) {
  const auto wrong = [](std::string message) {
    return RpcError{RpcCode::kInvalidParams, std::move(message)};
  };
  const std::vector<Json> given = params.arguments.value_or(std::vector<Json>());
  if (given.size() != 2) {
    return wrong(
        fmt::format("params.arguments: want [uri, range], found {} arguments", given.size()));
  }
  const auto uri = read_fields<std::string>(given[0], "params.arguments[0]");
  if (!uri) return wrong(uri.error().message);
  const auto range = read_fields<Range>(given[1], "params.arguments[1]");
  if (!range) return wrong(range.error().message);

  ExplainArguments arguments;
  arguments.document = session.documents.find(*uri);
  if (!arguments.document) {
    return wrong(fmt::format("params.arguments[0]: want an open document, found {}", *uri));
  }
  const PositionMapper positions = arguments.document->mapper(session.encoding);
  const size_t one = positions.offset_of(range->start);
  const size_t other = positions.offset_of(range->end);
  arguments.start = std::min(one, other);
  arguments.end = std::max(one, other);
  if (!holds_code(arguments.document->text(), arguments.start, arguments.end)) {
    return wrong("params.arguments[1]: want a range that holds text, found a blank one");
  }
  return arguments;
}

}  // namespace

RpcResult<std::vector<Json>> handle_code_actions(Session& session, const CodeActionParams& params) {
  std::vector<Json> actions;
  const Document* document = session.documents.find(params.textDocument.uri);
  if (!document) return actions;
  const PositionMapper positions = document->mapper(session.encoding);
  // Many editors ask whenever the cursor moves.
  session.warm_later(*document, positions.offset_of(params.range.end));
  if (!wants_explain(params)) return actions;
  const size_t one = positions.offset_of(params.range.start);
  const size_t other = positions.offset_of(params.range.end);
  if (!holds_code(document->text(), std::min(one, other), std::max(one, other))) return actions;
  const Command command{"Explain selection",
                        std::string(kExplainCommand),
                        {params.textDocument.uri, write_fields(params.range)}};
  actions.push_back(
      session.client.code_action_literals
          ? write_fields(CodeAction{command.title, std::string(kExplainKind), command})
          : write_fields(command));
  return actions;
}

void start_command(Session& session, const ExecuteCommandParams& params, const Call& call,
                   Reply<std::string> reply) {
  if (params.command != kExplainCommand) {
    return reply.fail(
        {RpcCode::kInvalidParams, fmt::format("params.command: want \"{}\", found \"{}\"",
                                              kExplainCommand, params.command)});
  }
  RpcResult<ExplainArguments> arguments = read_arguments(session, params);
  if (auto* error = std::get_if<RpcError>(&arguments)) return reply.fail(std::move(*error));
  const auto& [document, start, end] = std::get<ExplainArguments>(arguments);
  ExplainRequest request;
  request.document = session.documents.snapshot(*document);
  request.start = start;
  request.end = end;
  request.max_tokens = session.settings.current().explain_max_tokens;
  request.cancel = call.cancel;
  session.explanations.start(std::move(request), params.workDoneToken, call, std::move(reply));
}

void on_progress_cancel(Session& session, const WorkDoneProgressCancelParams& params) {
  session.explanations.cancel(params.token);
}

}  // namespace incipit::lsp
