// textDocument/codeAction: which commands are offered for a selection and its diagnostics.
#include <algorithm>
#include <utility>

#include "lsp/handlers/code_commands.h"
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {
namespace {

// LSP 3.18, CodeActionContext.only: a kind asks for itself and everything below it; "" for all.
bool asks_for_kind(const std::string& asked, std::string_view kind) {
  return asked.empty() || kind == asked ||
         (kind.starts_with(asked) && kind.substr(asked.size()).starts_with('.'));
}

bool wants_kind(const CodeActionContext& context, std::string_view kind) {
  if (!context.only) return true;
  return std::any_of(context.only->begin(), context.only->end(),
                     [&](const std::string& asked) { return asks_for_kind(asked, kind); });
}

bool touches(const Range& a, const Range& b) {
  const auto before = [](const Position& x, const Position& y) {
    return x.line != y.line ? x.line < y.line : x.character < y.character;
  };
  return !before(a.end, b.start) && !before(b.end, a.start);
}

// Those at the range that can be read.
std::vector<Json> diagnostics_at(const CodeActionContext& context, const Range& range) {
  std::vector<Json> found;
  for (const Json& one : context.diagnostics.value_or(std::vector<Json>())) {
    const auto diagnostic = read_fields<Diagnostic>(one, "diagnostic");
    if (diagnostic && touches(diagnostic->range, range)) found.push_back(one);
  }
  return found;
}

// What the loaded model cannot do, or the client; empty as long as no model is loaded.
std::string why_unavailable(const Session& session, CodeTask task) {
  if (task == CodeTask::kExplain || !session.model.engine()) return {};
  return why_not(task, session.model.engine()->info().prompt);
}

class ActionList {
 public:
  ActionList(const Session& session, const CodeActionParams& params)
      : session_(session),
        params_(params),
        context_(params.context.value_or(CodeActionContext())),
        diagnostics_(diagnostics_at(context_, params.range)) {}

  // `has_code`: the range holds more than blanks.
  std::vector<Json> make(bool has_code) {
    const bool by_hand = context_.triggerKind == static_cast<int32_t>(CodeActionTrigger::kInvoked);
    for (const CodeCommand& command : kCodeCommands) {
      switch (command.task) {
        case CodeTask::kExplain:
          if (has_code) add(command);
          break;
        case CodeTask::kDocument:
          // A cursor alone stands for the function around it, but is no reason for a light bulb.
          if (session_.client.versioned_edits && (has_code || by_hand)) add(command);
          break;
        case CodeTask::kTests:
          if (has_code) add(command);
          break;
        case CodeTask::kFix:
          if (session_.client.versioned_edits && !diagnostics_.empty()) add(command);
          break;
        case CodeTask::kRewrite:
          // A server cannot ask for a text; such a client does and puts it into the arguments.
          if (session_.client.versioned_edits && session_.client.asks_instruction && has_code) {
            add(command);
          }
          break;
        case CodeTask::kChat:
          break;
      }
    }
    return std::move(actions_);
  }

 private:
  void add(const CodeCommand& row) {
    if (!wants_kind(context_, row.kind)) return;
    const std::string why = why_unavailable(session_, row.task);
    if (!why.empty() && !session_.client.disabled_actions) return;
    Command command{std::string(row.title),
                    std::string(row.name),
                    {params_.textDocument.uri, write_fields(params_.range)}};
    if (row.task == CodeTask::kFix) command.arguments.emplace_back(diagnostics_);
    if (!session_.client.code_action_literals) {
      if (why.empty()) actions_.push_back(write_fields(command));
      return;
    }
    CodeAction action{command.title, std::string(row.kind), command, {}, {}};
    if (row.task == CodeTask::kFix) action.diagnostics = diagnostics_;
    if (!why.empty()) action.disabled = DisabledAction{why};
    actions_.push_back(write_fields(action));
  }

  const Session& session_;
  const CodeActionParams& params_;
  const CodeActionContext context_;
  const std::vector<Json> diagnostics_;
  std::vector<Json> actions_;
};

}  // namespace

bool holds_code(std::string_view text, size_t start, size_t end) {
  return text.substr(start, end - start).find_first_not_of(" \t\r\n\f\v") != text.npos;
}

RpcResult<std::vector<Json>> handle_code_actions(Session& session, const CodeActionParams& params) {
  const Document* document = session.documents.find(params.textDocument.uri);
  if (!document) return std::vector<Json>();
  const PositionMapper positions = document->mapper(session.encoding);
  const size_t one = positions.offset_of(params.range.start);
  const size_t other = positions.offset_of(params.range.end);
  session.warm_later(*document, other);  // many editors ask whenever the cursor moves
  return ActionList(session, params)
      .make(holds_code(document->text(), std::min(one, other), std::max(one, other)));
}

}  // namespace incipit::lsp
