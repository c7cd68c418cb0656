// ExplainService: questions about code in flight. Pieces of the answer go out as $/progress while
// the request runs; its result is the whole text, or what came of the changes that it makes. Io
// thread only; the pipeline's callbacks post.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/handlers/code_commands.h"
#include "lsp/handlers/edit_sender.h"
#include "lsp/handlers/model_host.h"
#include "lsp/protocol/basic.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/dispatcher.h"

namespace incipit::lsp {

class ExplainService {
 public:
  ExplainService(ModelHost& model, JsonRpcConnection& connection, Post post, EditSender edits)
      : model_(model), connection_(connection), post_(std::move(post)), edits_(edits) {}

  // Waits for the model if need be: the user asked for this one by hand.
  void start(const CodeCommand& command, ExplainRequest request,
             std::optional<ProgressToken> progress, const Call& call, Reply<Json> reply);
  void cancel(const ProgressToken& token);  // window/workDoneProgress/cancel
  void cancel_all();
  void model_changed();

 private:
  struct Pending {
    const CodeCommand* command;
    ExplainRequest request;
    std::optional<ProgressToken> progress;
    Reply<Json> reply;
    bool waiting = true;  // for the model
  };

  void submit(RequestSerial serial, Pending& pending);
  void send(const Pending& pending, const WorkDoneProgress& progress);
  void piece(RequestSerial serial, const std::string& text);
  void finished(RequestSerial serial, ExplainOutcome outcome);
  void answer(Pending pending, const ExplainOutcome& outcome);
  void fail(std::map<RequestSerial, Pending>::iterator place, const std::string& why);

  ModelHost& model_;
  JsonRpcConnection& connection_;
  const Post post_;
  EditSender edits_;
  std::map<RequestSerial, Pending> pending_;
};

}  // namespace incipit::lsp
