// DocumentStates: what the context thread remembers of each document between two requests: its
// syntax tree and its prompt window. Context thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "lsp/completion/prompt_builder.h"
#include "lsp/document/snapshot.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

// A place in a document, read: everything that one completion needs to know about it.
struct Place {
  DocumentSnapshot document;
  const Language* language = nullptr;
  Tree tree;  // null: unknown language, or not parsed in time
  CursorSite site;
};

class DocumentStates {
 public:
  // How long a request may wait for its tree; then it goes on with text alone. Less when the
  // document is known to take longer: then the time between requests is used.
  static constexpr std::chrono::milliseconds kParseBudget{60};
  static constexpr std::chrono::milliseconds kResumeBudget{10};
  // A changed document takes about a tenth of its first parse: above this size more than a request
  // should wait, so that large files usually go on with text alone while one types.
  static constexpr size_t kLargeBytes = size_t{1} << 20;
  static constexpr size_t kMaxDocuments = 64;

  explicit DocumentStates(const engine::Engine& engine, ContextChoice context = {});

  Place read(const DocumentSnapshot& document, size_t offset);
  // The tree of a place that went without, when it was finished since.
  Tree late_tree(const Place& place);
  // For a request: the next prompt of this document starts from the window of this one.
  Result<Prompt> prompt(const Place& place, int32_t budget_tokens, PromptEnd where,
                        const OpenDocuments* open = nullptr);
  // What `prompt` would give now. Leaves no trace, so that prompts depend on the requests alone and
  // not on what ran ahead of them.
  Result<Prompt> prompt_ahead(const Place& place, int32_t budget_tokens, PromptEnd where,
                              const OpenDocuments* open = nullptr);

  // True when the engine was asked with these very tokens last for this document; notes them.
  bool repeats_last_prompt(const std::string& uri, const std::vector<engine::TokenId>& tokens);

  void forget_last_prompt(const std::string& uri);  // it was not computed to its end

  // Finishes a tree that was not ready in time, for at most `slice`. False: there is none.
  bool work_in_background(std::chrono::milliseconds slice);
  bool has_background_work() const;

  void forget(const std::string& uri);

 private:
  struct State {
    const Language* language = nullptr;
    std::unique_ptr<DocumentParser> parser;
    std::unique_ptr<PromptBuilder> prompts;
    std::vector<engine::TokenId> last_prompt;
    uint64_t last_used = 0;
  };
  State& state_of(const DocumentSnapshot& document);

  std::shared_ptr<const engine::Tokenizer> tokenizer_;
  engine::PromptFormat format_;
  ContextChoice context_;
  std::map<std::string, State> states_;  // by URI
  uint64_t clock_ = 0;
};

}  // namespace incipit::lsp
