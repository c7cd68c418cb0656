// CompletionPipeline: from a document snapshot and a byte offset to finished suggestions, and from
// a selection to a streamed explanation. The server, `incipit complete` and `incipit explain` all
// come through here. Thread-safe; callbacks run on the pipeline's or the engine's thread and must
// only post.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/engine.h"
#include "lsp/completion/context_pieces.h"
#include "lsp/document/snapshot.h"

namespace incipit::lsp {

struct CompletionOptions {
  int32_t max_tokens = 64;
  int32_t max_lines = 12;
  int32_t context_tokens = 0;  // prompt budget; 0: the model's context less max_tokens
};

struct CompletionRequest {
  DocumentSnapshot document;
  size_t offset = 0;                         // byte offset of the cursor in document.text
  bool invoked = false;                      // asked for by hand, not by typing
  std::optional<std::string> selected_text;  // selectedCompletionInfo: suggestions must extend it
  size_t selected_start = 0;                 // … and replace from here to `offset`
  std::vector<DocumentSnapshot> neighbours;  // other open documents, most recently used first
  CompletionOptions options;
  CancelToken cancel;
};

struct CompletionItem {
  std::string insert_text;
  size_t replace_start =
      0;  // bytes of document.text; start <= offset <= end, all on the cursor's line
  size_t replace_end = 0;
};

struct CompletionTimings {
  std::chrono::microseconds context{0};  // syntax, context, prompt, tokens
  // Request to the first token of what was used: a prompt that had to be asked again counts, too. 0
  // when there is none.
  std::chrono::microseconds first_token{0};
  std::chrono::microseconds total{0};  // request to result
  engine::Timings engine;
  std::string finish;  // why generation stopped
};

struct CompletionOutcome {
  std::vector<CompletionItem> items;
  std::string why_empty;  // for people; set whenever items is empty
  bool cancelled = false;
  CompletionTimings timings;
};

struct ExplainRequest {
  DocumentSnapshot document;
  size_t start = 0;  // bytes
  size_t end = 0;
  int32_t max_tokens = 160;
  CancelToken cancel;
};

struct ExplainOutcome {
  std::string text;
  bool cancelled = false;
  std::optional<Error> error;
  engine::Timings timings;
};

class CompletionPipeline {
 public:
  // `context`: what prompts are told of other files.
  explicit CompletionPipeline(std::shared_ptr<engine::Engine> engine, ContextChoice context = {});
  ~CompletionPipeline();  // cancels and answers everything, then joins

  // `done` is called exactly once for every start, also after cancellation and during destruction.
  void start(CompletionRequest request, std::function<void(CompletionOutcome)> done);
  void explain(ExplainRequest request, std::function<void(std::string_view piece)> on_text,
               std::function<void(ExplainOutcome)> done);

  // Prefills the prompt that a request at this place would need. Best effort; a newer call for the
  // document replaces it.
  void prewarm(DocumentSnapshot document, size_t offset);
  void forget(const std::string& uri);  // the document was closed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace incipit::lsp
