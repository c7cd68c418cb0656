// textDocument/inlineCompletion, and textDocument/completion for clients without it.
#include <utility>

#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void start_inline_completion(Session& session, const InlineCompletionParams& params,
                             const Call& call, Reply<InlineCompletionList> reply) {
  const InlineCompletionContext context = params.context.value_or(InlineCompletionContext());
  const bool invoked = context.triggerKind.value_or(kTriggerAutomatic) != kTriggerAutomatic;
  session.completions.start(
      {params.textDocument.uri, params.position, invoked, context.selectedCompletionInfo},
      session.encoding, call, std::move(reply));
}

void start_completion(Session& session, const CompletionParams& params, const Call& call,
                      Reply<CompletionList> reply) {
  session.completions.start({params.textDocument.uri, params.position, false, std::nullopt},
                            session.encoding, call, std::move(reply));
}

}  // namespace incipit::lsp
