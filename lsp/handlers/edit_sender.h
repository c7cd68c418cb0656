// EditSender: changes of code on their way to the client: only to the very text that they were made
// for. Answers the command when the client has said what came of it. Io thread only.
#pragma once

#include <string>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/document/document_store.h"
#include "lsp/handlers/client_features.h"
#include "lsp/handlers/code_commands.h"
#include "lsp/protocol/workspace_edit.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/rpc/reply.h"

namespace incipit::lsp {

class EditSender {
 public:
  EditSender(DocumentStore& documents, JsonRpcConnection& connection, const ClientFeatures& client,
             const PositionEncoding& encoding)
      : documents_(documents), connection_(connection), client_(client), encoding_(encoding) {}

  // The outcome's changes of `asked`. Fails with a reason when the document has changed or the
  // client does not apply them.
  void send_changes(const CodeCommand& command, const DocumentSnapshot& asked,
                    const ExplainOutcome& outcome, Reply<Json> reply);

  // The outcome's text as a new file beside `asked`. Where that cannot be, the answer holds the
  // text and the reason.
  void send_new_file(const CodeCommand& command, const DocumentSnapshot& asked,
                     const ExplainOutcome& outcome, Reply<Json> reply);

 private:
  void send(const CodeCommand& command, ApplyWorkspaceEditParams params, EditCommandResult done,
            Reply<Json> reply);

  DocumentStore& documents_;
  JsonRpcConnection& connection_;
  const ClientFeatures& client_;
  const PositionEncoding& encoding_;
};

// The URI of the file that tests of `uri` go to ("src/size.py": "src/test_size.py"); empty when
// `uri` is no file.
std::string test_file_uri(const std::string& uri);

}  // namespace incipit::lsp
