// CompletionPipeline: from a document snapshot and a byte offset to finished suggestions, and from
// a selection to a streamed explanation or to changes of the code. The server, `incipit complete`
// and `incipit explain` all come through here. Thread-safe; callbacks run on the pipeline's or the
// engine's thread and must only post.
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
#include "lsp/completion/code_task.h"
#include "lsp/completion/context_pieces.h"
#include "lsp/completion/conversation.h"
#include "lsp/completion/prompt_context.h"
#include "lsp/document/open_documents.h"
#include "lsp/document/snapshot.h"

namespace incipit::lsp {

// Where the text before the cursor ends in a prompt; what is left off is forced upon the model, in
// tokens of its own. Models have learned " x" and "return" as one token each: after a prompt that
// ends in the middle of one they are lost.
enum class PromptEnd {
  kBeforeToken,  // before the last blank, else before the last token of the cursor's line
  kBeforeBlank   // before the last blank, else at the cursor: to see what the other is worth
};

struct CompletionOptions {
  int32_t max_tokens = 64;
  int32_t max_lines = 12;
  int32_t context_tokens = 0;  // prompt budget; 0: the model's context less max_tokens
  // With a suggestion on its way to the user: already ask, at the lowest priority, for the one that
  // would follow if it is taken.
  bool prepare_next = false;
  // Distinct suggestions for a request by hand: the one that greedy decoding gives and others,
  // which are drawn. As many as there are when the first has been ready for kAlternativesWait.
  int32_t alternatives = 1;
  PromptEnd prompt_end = PromptEnd::kBeforeToken;
  // Of a suggestion that was not asked for by hand: the least mean probability of its tokens
  // (geometric, 0..1) with which it is shown.
  double min_confidence = 0;
};

inline constexpr std::chrono::milliseconds kAlternativesWait{300};

struct CompletionRequest {
  DocumentSnapshot document;
  size_t offset = 0;                         // byte offset of the cursor in document.text
  bool invoked = false;                      // asked for by hand, not by typing
  std::optional<std::string> selected_text;  // selectedCompletionInfo: suggestions must extend it
  size_t selected_start = 0;                 // … and replace from here to `offset`
  OpenDocumentsPtr open;                     // what prompts may be told of; null: nothing
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
  // Request to first token; 0 when there is none.
  std::chrono::microseconds first_token{0};
  std::chrono::microseconds total{0};  // request to result
  engine::Timings engine;
  int32_t n_steps_to_first_token = 0;  // as in `engine`
  std::string finish;                  // why generation stopped
  // Of the tokens of what was shown, or would have been but for a rule of postprocess: the mean of
  // log P(token). Those of the text before the cursor do not count.
  std::optional<double> mean_log_probability = {};
};

// The rule of CompletionOptions::min_confidence.
inline constexpr const char* kConfidenceRule = "confidence";

// What a rule made of a suggestion on its way from the model to the editor.
struct RuleStep {
  std::string rule;    // "end of the block", "indentation", "syntax: cut", …
  std::string before;  // the text from the cursor on, as the rule found it; "\n" line ends
};

struct CompletionOutcome {
  std::vector<CompletionItem> items;  // the likeliest first
  std::vector<RuleStep> steps;        // of rules that changed something, in their order
  std::string why_empty;              // for people; set whenever items is empty
  bool cancelled = false;
  CompletionTimings timings;
  std::vector<ShownPiece> context;  // what the model was told of other files
};

// A question about code: what it does, or another task; or the next one of a conversation.
struct ExplainRequest {
  CodeTask task = CodeTask::kExplain;
  bool whole_symbol = false;      // about the function or type whose name stands at `start`
  std::vector<Problem> problems;  // kFix
  std::string instruction;        // kRewrite
  Conversation conversation;      // kChat: in place of a document; why_no_question() has nothing
  DocumentSnapshot document;
  size_t start = 0;  // bytes
  size_t end = 0;
  int32_t max_tokens = 160;
  CancelToken cancel;
};

struct ExplainOutcome {
  std::string text;                 // the explanation, the answer, the documentation or the code
  std::vector<TextChange> changes;  // kDocument, kFix, kRewrite: of the request's document
  bool cut_off = false;             // at max_tokens
  size_t n_left_out = 0;            // kChat: oldest messages that the model was not shown
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
  void prewarm(DocumentSnapshot document, size_t offset, OpenDocumentsPtr open = nullptr) {
    follow(std::move(document), offset, true, std::move(open));
  }
  // The document is this now, and the cursor probably there: what is being made for an older text
  // ends unless the user is typing it. With `prefill` what prewarm() does, too.
  void follow(DocumentSnapshot document, size_t offset, bool prefill,
              OpenDocumentsPtr open = nullptr);
  void forget(const std::string& uri);  // the document was closed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace incipit::lsp
