// workspace/executeCommand: the commands about code, and the conversation.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "lsp/handlers/code_commands.h"
#include "lsp/handlers/handlers.h"
#include "lsp/protocol/chat.h"

namespace incipit::lsp {
namespace {

RpcError wrong_params(std::string message) {
  return RpcError{RpcCode::kInvalidParams, std::move(message)};
}

const CodeCommand* find_command(std::string_view name) {
  const auto* found = std::find_if(kCodeCommands.begin(), kCodeCommands.end(),
                                   [&](const CodeCommand& row) { return row.name == name; });
  return found == kCodeCommands.end() ? nullptr : found;
}

std::string command_names() {
  std::string names;
  for (const CodeCommand& row : kCodeCommands) {
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", row.name);
  }
  return names;
}

// What stands behind [uri, range] in the arguments of a command.
const char* third_argument(CodeTask task) {
  if (task == CodeTask::kFix) return "[uri, range] or [uri, range, diagnostics]";
  return task == CodeTask::kRewrite ? "[uri, range, instruction]" : "[uri, range]";
}

std::optional<RpcError> read_third_argument(const std::vector<Json>& given,
                                            ExplainRequest& request) {
  constexpr const char* kWhere = "params.arguments[2]";
  if (request.task == CodeTask::kRewrite) {
    auto text = read_fields<std::string>(given[2], kWhere);
    if (!text) return wrong_params(text.error().message);
    if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
      return wrong_params(fmt::format("{}: want an instruction, found a blank text", kWhere));
    }
    request.instruction = std::move(*text);
  } else if (given.size() > 2) {
    const auto diagnostics = read_fields<std::vector<Diagnostic>>(given[2], kWhere);
    if (!diagnostics) return wrong_params(diagnostics.error().message);
    for (const Diagnostic& one : *diagnostics) {
      request.problems.push_back({one.range.start.line, one.message});
    }
  }
  return std::nullopt;
}

RpcResult<ExplainRequest> read_command(const Session& session, const CodeCommand& row,
                                       const std::vector<Json>& given) {
  const size_t fewest = row.task == CodeTask::kRewrite ? 3 : 2;
  const size_t most = row.task == CodeTask::kFix ? 3 : fewest;
  if (given.size() < fewest || given.size() > most) {
    return wrong_params(fmt::format("params.arguments: want {}, found {} arguments",
                                    third_argument(row.task), given.size()));
  }
  const auto uri = read_fields<std::string>(given[0], "params.arguments[0]");
  if (!uri) return wrong_params(uri.error().message);
  const auto range = read_fields<Range>(given[1], "params.arguments[1]");
  if (!range) return wrong_params(range.error().message);
  const Document* document = session.documents.find(*uri);
  if (!document) {
    return wrong_params(fmt::format("params.arguments[0]: want an open document, found {}", *uri));
  }
  const PositionMapper positions = document->mapper(session.encoding);
  const size_t one = positions.offset_of(range->start);
  const size_t other = positions.offset_of(range->end);
  ExplainRequest request;
  request.task = row.task;
  request.start = std::min(one, other);
  request.end = std::max(one, other);
  // For the others a cursor alone stands for the function around it.
  const bool needs_text = row.task == CodeTask::kExplain;
  if (needs_text && !holds_code(document->text(), request.start, request.end)) {
    return wrong_params("params.arguments[1]: want a range that holds text, found a blank one");
  }
  if (auto error = read_third_argument(given, request)) return std::move(*error);
  request.document = session.documents.snapshot(*document);
  return request;
}

RpcResult<ExplainRequest> read_chat(const std::vector<Json>& given) {
  if (given.size() != 1) {
    return wrong_params(
        fmt::format("params.arguments: want [{{messages}}], found {} arguments", given.size()));
  }
  auto params = read_fields<ChatParams>(given[0], "params.arguments[0]");
  if (!params) return wrong_params(params.error().message);
  ExplainRequest request;
  request.task = CodeTask::kChat;
  for (ChatMessageParams& message : params->messages) {
    ChatMessage& one = request.conversation.emplace_back(
        ChatMessage{std::move(message.role), std::move(message.content)});
    for (ChatContextParams& context : message.context.value_or(std::vector<ChatContextParams>())) {
      one.context.push_back(
          {std::move(context.path), context.languageId.value_or(""), std::move(context.text)});
    }
  }
  if (const auto why = why_no_question(request.conversation)) {
    return wrong_params(
        fmt::format("params.arguments[0].messages{}{}", why->starts_with("[") ? "" : ": ", *why));
  }
  return request;
}

int32_t max_tokens_of(CodeTask task, const Settings& settings) {
  if (task == CodeTask::kChat) return settings.chat_max_tokens;
  const bool is_prose = task == CodeTask::kExplain || task == CodeTask::kDocument;
  return is_prose ? settings.explain_max_tokens : settings.edit_max_tokens;
}

bool changes_documents(CodeTask task) {
  return task == CodeTask::kDocument || task == CodeTask::kFix || task == CodeTask::kRewrite;
}

}  // namespace

void start_command(Session& session, const ExecuteCommandParams& params, const Call& call,
                   Reply<Json> reply) {
  const CodeCommand* row = find_command(params.command);
  if (row == nullptr) {
    return reply.fail(wrong_params(fmt::format("params.command: want one of {}, found \"{}\"",
                                               command_names(), params.command)));
  }
  const std::vector<Json> given = params.arguments.value_or(std::vector<Json>());
  RpcResult<ExplainRequest> read =
      row->task == CodeTask::kChat ? read_chat(given) : read_command(session, *row, given);
  if (auto* error = std::get_if<RpcError>(&read)) return reply.fail(std::move(*error));
  if (changes_documents(row->task) && !session.client.versioned_edits) {
    return reply.fail({RpcCode::kRequestFailed,
                       fmt::format("{}: this editor does not take edits of a version of a document "
                                   "(workspace.applyEdit and workspaceEdit.documentChanges)",
                                   row->name)});
  }
  auto& request = std::get<ExplainRequest>(read);
  request.max_tokens = max_tokens_of(row->task, session.settings.current());
  request.cancel = call.cancel;
  session.explanations.start(*row, std::move(request), params.workDoneToken, call,
                             std::move(reply));
}

void on_progress_cancel(Session& session, const WorkDoneProgressCancelParams& params) {
  session.explanations.cancel(params.token);
}

}  // namespace incipit::lsp
