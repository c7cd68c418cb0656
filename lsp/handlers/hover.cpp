// textDocument/hover.
#include <utility>

#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void start_hover(Session& session, const HoverParams& params, const Call& call, Reply<Json> reply) {
  const Document* document = session.documents.find(params.textDocument.uri);
  const Settings& settings = session.settings.current();
  if (!settings.hover || !document || !session.completions.why_file_excluded(*document).empty()) {
    return reply.ok(nullptr);
  }
  ExplainRequest request;
  request.whole_symbol = true;
  request.document = session.documents.snapshot(*document);
  request.start = document->mapper(session.encoding).offset_of(params.position);
  request.end = request.start;
  request.max_tokens = settings.explain_max_tokens;
  request.cancel = call.cancel;
  session.hovers.start(std::move(request), call, std::move(reply));
}

}  // namespace incipit::lsp
