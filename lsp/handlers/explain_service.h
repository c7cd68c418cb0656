// ExplainService: explanations in flight. Pieces go out as $/progress while the request runs, the
// whole text is its result. Io thread only; the pipeline's callbacks post.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/handlers/model_host.h"
#include "lsp/protocol/basic.h"
#include "lsp/protocol/methods.h"
#include "lsp/rpc/dispatcher.h"

namespace incipit::lsp {

class ExplainService {
 public:
  ExplainService(ModelHost& model, JsonRpcConnection& connection, Post post)
      : model_(model), connection_(connection), post_(std::move(post)) {}

  // Waits for the model if need be: the user asked for this one by hand.
  void start(ExplainRequest request, std::optional<ProgressToken> progress, const Call& call,
             Reply<std::string> reply);
  void cancel(const ProgressToken& token);  // window/workDoneProgress/cancel
  void cancel_all();
  void model_changed();

 private:
  struct Pending {
    ExplainRequest request;
    std::optional<ProgressToken> progress;
    Reply<std::string> reply;
    bool waiting = true;  // for the model
  };

  void submit(RequestSerial serial, Pending& pending);
  void send(const Pending& pending, const WorkDoneProgress& progress);
  void piece(RequestSerial serial, const std::string& text);
  void finished(RequestSerial serial, ExplainOutcome outcome);
  void fail(std::map<RequestSerial, Pending>::iterator place, const std::string& why);

  ModelHost& model_;
  JsonRpcConnection& connection_;
  const Post post_;
  std::map<RequestSerial, Pending> pending_;
};

}  // namespace incipit::lsp
