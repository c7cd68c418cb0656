// SyntaxTree: the immutable parse of one text. DocumentParser: keeps the last tree of one document
// and makes the next one from it. Used by the completion pipeline on its context thread; a
// SyntaxTree may be read from any thread, one thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/cancel_token.h"
#include "lsp/syntax/language.h"

struct TSTree;
struct TSParser;

namespace incipit::lsp {

using Text = std::shared_ptr<const std::string>;

// One contiguous replacement: before[start, old_end) became after[start, new_end). Never cuts a
// UTF-8 sequence.
struct TextDifference {
  size_t start = 0;
  size_t old_end = 0;
  size_t new_end = 0;

  bool empty() const { return old_end == start && new_end == start; }
};
TextDifference difference(std::string_view before, std::string_view after);

class SyntaxTree {
 public:
  SyntaxTree(const Language& language, Text text, TSTree* owned)
      : language_(&language), text_(std::move(text)), tree_(owned) {}
  ~SyntaxTree();
  SyntaxTree(const SyntaxTree&) = delete;
  SyntaxTree& operator=(const SyntaxTree&) = delete;

  const Language& language() const { return *language_; }
  const Text& text() const { return text_; }
  const TSTree* raw() const { return tree_; }
  std::string s_expression() const;

 private:
  const Language* language_;
  Text text_;
  TSTree* tree_;  // owned
};

using Tree = std::shared_ptr<const SyntaxTree>;

class DocumentParser {
 public:
  using Clock = std::chrono::steady_clock;

  // Larger documents are completed from text alone: a tree costs about ten times its text.
  static constexpr size_t kMaxTextBytes = size_t{16} << 20;

  explicit DocumentParser(const Language& language);
  ~DocumentParser();
  DocumentParser(const DocumentParser&) = delete;
  DocumentParser& operator=(const DocumentParser&) = delete;

  // The tree of `text`, made from the last one. Null when it cannot be had before the deadline or
  // the cancellation; the work done so far is kept, and `advance` goes on with it.
  Tree parse(const Text& text, Clock::time_point deadline, const CancelToken& cancel = {});

  // Goes on with a parse that ran out of time. True while there is more to do.
  bool advance(Clock::time_point deadline);
  // The newest finished tree, when it is that of `text`.
  Tree tree_of(const Text& text) const {
    return last_ != nullptr && last_->text() == text ? last_ : nullptr;
  }
  bool unfinished() const { return pending_ != nullptr; }

 private:
  bool resume(Clock::time_point deadline, const CancelToken& cancel);

  const Language* language_;
  TSParser* parser_;                // owned
  Tree last_;                       // newest finished tree
  Text pending_;                    // the text that parser_ is in the middle of
  TSTree* pending_base_ = nullptr;  // owned: the edited old tree of that parse
};

// The tree of a text that differs from `base`'s in one place: a candidate tried where it would go.
// Keeps nothing. Null when the deadline passes first.
Tree reparse(const SyntaxTree& base, Text text, DocumentParser::Clock::time_point deadline);

}  // namespace incipit::lsp
