// HoverService: explanations under the mouse, if the user wants them: of the function or type of
// this file whose name is pointed at. One at a time; the pipeline remembers them. Io thread only.
#pragma once

#include <map>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/handlers/model_host.h"
#include "lsp/rpc/dispatcher.h"

namespace incipit::lsp {

class HoverService {
 public:
  HoverService(ModelHost& model, JsonRpcConnection& connection, Post post)
      : model_(model), connection_(connection), post_(std::move(post)) {}

  // Null when there is nothing to say, and when the model is not there: nobody waits for a hover.
  void start(ExplainRequest request, const Call& call, Reply<Json> reply);
  void cancel_all();

 private:
  void finished(RequestSerial serial, const ExplainOutcome& outcome);

  ModelHost& model_;
  JsonRpcConnection& connection_;
  const Post post_;
  std::map<RequestSerial, Reply<Json>> pending_;
};

}  // namespace incipit::lsp
