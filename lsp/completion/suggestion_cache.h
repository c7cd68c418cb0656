// SuggestionCache: what was suggested a moment ago and is being typed now needs no model. Owned by
// the pipeline's context thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/completion/stop_checks.h"

namespace incipit::lsp {

// A place in a document, known by the text right around it: what lies further away may change
// without making a suggestion wrong.
struct SuggestionPlace {
  std::string uri;
  std::string before;      // the last bytes before the cursor
  size_t offset = 0;       // of the cursor
  std::string after;       // the first bytes after it; closers on the cursor's line left out
  size_t after_size = 0;   // bytes from there to the end of the document
  int32_t max_tokens = 0;  // how much was asked for: other settings, another suggestion
  int32_t max_lines = 0;
};

SuggestionPlace suggestion_place(std::string_view uri, const CursorSite& site,
                                 const CompletionOptions& options);

// The text typed since `then`, "\n" line ends, when all that happened is typing at its cursor.
std::optional<std::string> typed_since(const SuggestionPlace& then, const SuggestionPlace& now);

// Whether neither is the beginning of the other.
bool contradicts(std::string_view suggested, std::string_view typed);

struct Suggestion {
  // As cut by the stop checks, before postprocess; what was shown where syntax_fit changed it. "\n"
  // line ends.
  std::string candidate;
  CompletionUnit unit = CompletionUnit::kBlock;
  double confidence = 1;                 // see CompletionOptions::min_confidence
  std::vector<ShownPiece> context = {};  // what the model was told of other files
};

// Which of the suggestions of one answer. Those that are drawn keep the order of their seeds.
struct SuggestionDraw {
  uint64_t answer = 0;
  uint64_t seed = 0;  // 0: the greedy one
};

class SuggestionCache {
 public:
  explicit SuggestionCache(size_t capacity = 64) : capacity_(capacity) {}

  // The greedy one becomes the first for its place. A drawn one goes behind those that are known
  // there, if it is not one of them, but before what its answer drew by larger seeds: it does not
  // matter which ended first.
  void remember(SuggestionPlace place, Suggestion suggestion, SuggestionDraw draw = {});

  // What is left of a remembered suggestion when the user has typed its beginning since; the
  // newest that fits and is as sure as that. Nothing when it has been typed to its end.
  std::optional<Suggestion> find(const SuggestionPlace& place, double min_confidence = 0) const;

  // All of them, in the order in which they were first shown; no two the same.
  std::vector<Suggestion> find_all(const SuggestionPlace& place) const;

  void forget(std::string_view uri);

 private:
  struct Entry {
    SuggestionPlace place;
    Suggestion suggestion;
    SuggestionDraw draw;
  };
  static std::optional<Suggestion> rest_of(const Entry& entry, const SuggestionPlace& place);

  const size_t capacity_;
  std::list<Entry> entries_;  // newest first
};

}  // namespace incipit::lsp
