// PipelineWorker: the context thread's side of the CompletionPipeline. Takes events one at a time,
// never waits for the engine: a generation is a Flight that later events find by its id.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lsp/completion/alternatives.h"
#include "lsp/completion/answer_cache.h"
#include "lsp/completion/code_block.h"
#include "lsp/completion/document_states.h"
#include "lsp/completion/explain_stream.h"
#include "lsp/completion/pipeline_events.h"
#include "lsp/completion/stop_checks.h"
#include "lsp/completion/suggestion_cache.h"
#include "lsp/completion/task_prompt.h"
#include "lsp/completion/trigger_policy.h"

namespace incipit::lsp {

class PipelineWorker {
 public:
  PipelineWorker(std::shared_ptr<engine::Engine> engine, std::shared_ptr<PipelineInbox> inbox,
                 ContextChoice context);

  // Until the inbox is closed; then everything that is open is answered as cancelled.
  void run(const std::atomic<bool>& closing);

 private:
  struct CompletionFlight {
    StartEvent start;
    Place place;
    StopSite stop_site;
    StopChecks checks;
    engine::StreamingDecoder decoder;
    engine::GenerateRequest asked;             // without its callbacks
    std::string left_off;                      // see Prompt
    std::vector<engine::TokenId> tokens = {};  // generated so far
    std::string text = {};
    uint64_t group = 0;                    // in groups_, of a request that wants several; else 0
    uint64_t seed = 0;                     // of a draw; 0: the greedy one
    std::vector<ShownPiece> context = {};  // see Prompt
    std::chrono::microseconds context_time{0};
    PipelineClock::time_point submitted{};  // to the engine
    size_t suggested_at = 0;   // when asked ahead: where the suggestion before it begins
    std::string typed = {};    // by the user since the request; the answer has to begin with it
    bool is_outdated = false;  // the user went on otherwise
  };
  struct ExplainFlight {
    ExplainEvent event;
    ExplainStream stream;
    size_t n_tokens = 0;  // already in the stream
    Place place;
    CodeBlock block;
    size_t n_left_out = 0;  // of a conversation
    std::string note = {};  // behind the answer
  };
  struct Flight {
    std::string uri;
    CancelToken engine_cancel;
    std::unique_ptr<CompletionFlight> completion;  // one of the two, or neither: pre-warming
    std::unique_ptr<ExplainFlight> explain;
  };

  void handle(PipelineEvent event);
  void on(StartEvent event);
  void on(ExplainEvent event);
  void on(PrewarmEvent event);
  void on(const ForgetEvent& event);
  void on(const TokensEvent& event);
  void on(FinishedEvent event);

  std::optional<PipelineEvent> next_event();
  PipelineEvent take_next();
  bool superseded(const PrewarmEvent& event) const;
  CompletionFlight& start_generation(StartEvent event, Place place, Prompt prompt,
                                     PipelineClock::time_point t0);
  engine::GenerateRequest generate_request(const StartEvent& event, const StopSite& site,
                                           const Prompt& prompt) const;
  CompletionFlight& launch(StartEvent start, Place place, StopSite site, std::string left_off,
                           engine::GenerateRequest request);
  std::optional<CompletionOutcome> known_outcome(const StartEvent& event, const Place& place);
  void deliver(const StartEvent& start, CompletionOutcome outcome);
  // pipeline_alternatives.cpp
  enum class Unfinished { kKeepLines, kDrop };
  void begin_alternatives(CompletionFlight& flight);
  void draw_beside(StartEvent event, Place place, const Prompt& prompt, CompletionOutcome known);
  void take_first(uint64_t group_id, StartEvent start, CompletionOutcome first);
  void draw(uint64_t group_id, Alternatives& group);
  void take_alternative(CompletionFlight& flight, const engine::Generation& generation);
  void settle(uint64_t group_id);
  void cut_draws(uint64_t group_id, Unfinished unfinished);
  std::optional<PipelineClock::time_point> next_due() const;
  void settle_overdue();
  // pipeline_ahead.cpp
  void prepare_next(const CompletionRequest& request, const CompletionItem& shown);
  bool adopt_prepared(StartEvent& event, const Place& place);
  void drop_outdated(const DocumentSnapshot& document, size_t offset);
  bool is_outdated(CompletionFlight& flight, const DocumentSnapshot& document, size_t offset) const;
  void submit(uint64_t id, engine::GenerateRequest request);
  void finish(CompletionFlight flight, engine::Generation generation);
  void finish(ExplainFlight flight, engine::Generation generation);
  std::string generated_text(const CompletionFlight& flight) const;
  int32_t answer_tokens(const ExplainRequest& request) const;
  void on_chat(ExplainEvent event);
  void ask(std::unique_ptr<ExplainFlight> flight, TaskPrompt prompt);
  Result<CodeBlock> block_of(const ExplainRequest& request, const Place& place) const;
  std::optional<Error> take_answer(const ExplainFlight& flight,
                                   const engine::Generation& generation, ExplainOutcome& outcome);
  static void add_note(const ExplainFlight& flight, ExplainOutcome& outcome);
  void look(CompletionFlight& flight, const std::vector<engine::TokenId>& tokens,
            const CancelToken& engine_cancel);
  Result<Prompt> prompt_of(const StartEvent& event, const Place& place);
  CompletionOutcome outcome_of(CompletionFlight& flight, const engine::Generation& generation);
  void stream(ExplainFlight& flight, const std::vector<engine::TokenId>& tokens, size_t from,
              const CancelToken& engine_cancel);
  void cancel_prewarming();
  void cancel_everything();
  int32_t prompt_budget(int32_t wanted, int32_t max_tokens) const;

  std::shared_ptr<engine::Engine> engine_;
  std::shared_ptr<PipelineInbox> inbox_;
  std::shared_ptr<const engine::Tokenizer> tokenizer_;
  DocumentStates documents_;
  SuggestionCache cache_;
  AnswerCache symbols_;  // explanations of whole symbols
  TriggerPolicy policy_;
  CompletionOptions options_;  // of the last completion: pre-warming must build the same prompt
  std::deque<PipelineEvent> ready_;
  std::map<uint64_t, Flight> flights_;
  std::map<uint64_t, Alternatives> groups_;
  uint64_t next_id_ = 1;
};

}  // namespace incipit::lsp
