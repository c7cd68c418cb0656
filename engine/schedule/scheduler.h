// Scheduler: decides the rows of the next step and nothing else. Owns the sequences, the pages and
// the prefix cache. A step holds one row of every decoding sequence and, in what is left of the
// chunk, rows of prompts, by rank (priority, then arrival). Runs without a model: the tests drive
// it by hand. Engine thread alone.
//
//   add()  ->  waiting  --next()-->  running  --next()/commit()...-->  remove()
//                 ^------ preempted ----'
//
// When pages run out: cached leaves are evicted, then the lowest ranking sequence is preempted (its
// pages stay in the cache, it waits again); a request that can never fit is refused before add().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/kv/page_allocator.h"
#include "engine/kv/prefix_cache.h"
#include "engine/model/forward_batch.h"
#include "engine/schedule/sequence.h"

namespace incipit::engine {

struct SchedulerOptions {
  int32_t n_pages = 0;
  int32_t context_tokens = 0;  // longest sequence
  int32_t max_batch = 8;       // sequences running at the same time
  int32_t prefill_chunk = 64;  // prompt rows in one step
  PrefixCaching prefix_caching = PrefixCaching::kOn;
  // Where steps of up to so many rows cost little more than one of a single row (0: nowhere), a
  // prompt goes in such steps until so many of its rows wait that a whole chunk is faster.
  int32_t flat_rows = 0;
  int32_t large_step_rows = 0;
  // Tokens that a step may guess ahead, of all sequences together; at most prefill_chunk.
  int32_t draft_tokens = 0;

  SchedulerOptions with_pages(int32_t n) const {
    SchedulerOptions options = *this;
    options.n_pages = n;
    return options;
  }
};

struct PageCopy {
  PageId from{};
  PageId to{};
  int32_t n_tokens = 0;
};

// What the engine does next: the copies, then the batch.
struct StepPlan {
  struct Rows {
    Sequence* sequence = nullptr;
    int32_t n_rows = 0;
    int32_t first_row = 0;
    int32_t logit_index = -1;  // in batch.logit_rows; -1: the prompt does not end in this step
    // Rows at the end whose tokens are guesses (Sequence::draft); they have logits, too, which
    // count while the guesses come true.
    int32_t n_drafted = 0;
  };
  std::vector<PageCopy> copies;
  std::vector<Rows> rows;
  ForwardBatch batch;
  bool empty() const { return rows.empty(); }
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);
  Scheduler(const Scheduler&) = delete;  // its plan refers to it
  Scheduler& operator=(const Scheduler&) = delete;

  // Tokens a sequence may hold at most: the context, or all pages if that is less.
  int32_t max_sequence_tokens() const;

  // Whether a prompt of that length can ever run; the error names what it needs and what there is.
  Result<void> check_fits(int64_t n_prompt_tokens) const;

  Sequence& add(std::unique_ptr<Sequence> sequence);

  // The next step. Valid until the next call; followed by commit() when the model has run it, and
  // by the next next() when it has given the step up.
  const StepPlan& next();

  // The step has been computed: its tokens count, but for guesses; full pages may be shared from
  // now on.
  void commit();

  // The next guess of the sequence's rows came true and is its last token now: its row counts.
  void accept_draft(Sequence& sequence);

  // Takes a sequence out between two steps and gives back its pages.
  enum class Keep { kPages, kNothing };  // kNothing: what was computed last cannot be trusted
  std::unique_ptr<Sequence> remove(Sequence& sequence, Keep keep = Keep::kPages);

  // The sequences that wait, by rank: they hold no pages, so another scheduler can go on with them.
  std::vector<std::unique_ptr<Sequence>> take_waiting() { return std::exchange(waiting_, {}); }

  // In no particular order; invalidated by add(), next() and remove().
  const std::vector<std::unique_ptr<Sequence>>& running() const { return running_; }
  const std::vector<std::unique_ptr<Sequence>>& waiting() const { return waiting_; }
  const SchedulerOptions& options() const { return options_; }
  bool idle() const { return running_.empty() && waiting_.empty(); }

  const PageAllocator& allocator() const { return allocator_; }
  const PrefixCache& cache() const { return cache_; }
  int64_t tokens_reused() const { return tokens_reused_; }
  int64_t tokens_prefilled() const { return tokens_prefilled_; }
  int64_t tokens_computed() const { return tokens_computed_; }  // prefilled and decoded

  // Pages that were computed elsewhere (schedule/page_keeper.h). A free one, with a reference;
  // nothing when there is none that nobody uses.
  std::optional<PageId> take_free_page() { return allocator_.allocate(); }
  // It has been filled with the keys and values of these tokens, which follow `parent`, itself
  // adopted and not given back yet. Returns the page to go on with, with a reference: this one, or
  // the cache's own.
  PageId adopt_page(std::optional<PageId> parent, std::span<const TokenId> tokens, PageId page);
  void give_back_page(PageId page) { cache_.release(page); }

 private:
  bool caching() const { return options_.prefix_caching == PrefixCaching::kOn; }

  void plan_decodes();
  int32_t draft_for(Sequence& sequence, int32_t limit) const;
  void admit_waiting();
  void plan_prefills();
  struct PrefillBudget {
    int32_t n_rows = 0;        // of prompts in this step
    int32_t n_ride_along = 0;  // of one that ranks below the first of the step
  };
  PrefillBudget prefill_budget() const;
  bool is_unwanted() const;
  void build_batch();
  void add_rows(StepPlan::Rows& rows, int32_t sequence_idx);

  bool admit(Sequence& sequence);
  void match_prefix(Sequence& sequence);
  void skip_published(Sequence& sequence);
  bool room_for(int32_t n_pages) const;
  Sequence* preemptable_below(const Sequence& sequence, bool lower_priority_only);
  void preempt(Sequence& sequence);
  void release_pages(Sequence& sequence, Keep keep);
  void forget_copies_to(Sequence& sequence);
  void release_copy_sources();
  std::optional<PageId> allocate();
  int32_t grow(Sequence& sequence, int32_t n_rows);
  void publish_full_pages(Sequence& sequence);

  SchedulerOptions options_;
  PageAllocator allocator_;
  PrefixCache cache_;
  std::vector<std::unique_ptr<Sequence>> waiting_;  // by rank
  std::vector<std::unique_ptr<Sequence>> running_;  // by rank
  StepPlan plan_;
  bool preempted_ = false;  // in this step: then nobody is admitted
  int64_t n_arrived_ = 0;
  int64_t tokens_reused_ = 0;
  int64_t tokens_prefilled_ = 0;
  int64_t tokens_computed_ = 0;
};

}  // namespace incipit::engine
