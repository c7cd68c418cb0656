// Alternatives: the suggestions that answer one request by hand. The first comes from greedy
// decoding; beside it others are drawn until there are enough that differ. Owned by the
// PipelineWorker; context thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lsp/completion/document_states.h"
#include "lsp/completion/pipeline_events.h"
#include "lsp/completion/stop_checks.h"

namespace incipit::lsp {

// Suggestions that the request wants, at most.
size_t n_wanted(const CompletionRequest& request);

struct Alternatives {
  StartEvent start;  // what is answered; complete once `first` is there
  std::optional<CompletionOutcome> first;
  PipelineClock::time_point due;  // with `first`: when what there is has to do

  // What a draw is made of. The prompt's pages are in the engine's cache by then.
  Place place;
  StopSite stop_site;
  engine::GenerateRequest asked;
  std::string left_off;  // see Prompt

  std::map<uint64_t, CompletionItem> drawn;  // by seed
  uint64_t last_seed = 0;
  size_t n_running = 0;
  bool is_closed = false;  // nothing is drawn any more: the text has changed

  // Distinct ones: those of `first`, then what was drawn in the order of the seeds, whatever came
  // back first.
  std::vector<CompletionItem> items() const;
  bool needs_another() const;
};

}  // namespace incipit::lsp
