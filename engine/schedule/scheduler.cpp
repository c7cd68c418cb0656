#include "engine/schedule/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

// Rows of a prompt that ride along with a request of higher priority: enough to get on, few enough
// not to slow that one down noticeably.
constexpr int32_t kRideAlongShare = 8;
constexpr int32_t kFlatRideAlongShare = 2;  // where rows are nearly free

void insert_by_rank(std::vector<std::unique_ptr<Sequence>>& list, std::unique_ptr<Sequence> item) {
  const auto at = std::ranges::find_if(
      list, [&](const std::unique_ptr<Sequence>& other) { return ranks_before(*item, *other); });
  list.insert(at, std::move(item));
}

std::unique_ptr<Sequence> take(std::vector<std::unique_ptr<Sequence>>& list,
                               const Sequence& sequence) {
  const auto at = std::ranges::find_if(
      list, [&](const std::unique_ptr<Sequence>& other) { return other.get() == &sequence; });
  if (at == list.end()) return nullptr;
  std::unique_ptr<Sequence> taken = std::move(*at);
  list.erase(at);
  return taken;
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), allocator_(options.n_pages), cache_(allocator_) {
  CHECK_GE(options.max_batch, 1);
  CHECK_GE(options.prefill_chunk, 1);
  CHECK(options.draft_tokens >= 0 && options.draft_tokens <= options.prefill_chunk);
  // The largest step, so that none allocates.
  const auto n_rows = static_cast<size_t>(options.max_batch + options.prefill_chunk);
  const auto n_sequences = static_cast<size_t>(options.max_batch);
  plan_.rows.reserve(n_sequences);
  plan_.copies.reserve(n_sequences);
  plan_.batch.tokens.reserve(n_rows);
  plan_.batch.positions.reserve(n_rows);
  plan_.batch.sequence_of_row.reserve(n_rows);
  plan_.batch.logit_rows.reserve(n_sequences + static_cast<size_t>(options.draft_tokens));
  plan_.batch.page_tables.reserve(n_sequences *
                                  static_cast<size_t>(pages_for(max_sequence_tokens())));
  plan_.batch.is_unwanted = [this] { return is_unwanted(); };
}

int32_t Scheduler::max_sequence_tokens() const {
  const int64_t pool_tokens = int64_t{options_.n_pages} * kPageTokens;
  return static_cast<int32_t>(std::min<int64_t>(options_.context_tokens, pool_tokens));
}

Result<void> Scheduler::check_fits(int64_t n_prompt_tokens) const {
  if (n_prompt_tokens > options_.context_tokens)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("prompt: {} tokens, but the context holds {}", n_prompt_tokens,
                             options_.context_tokens)};
  if (n_prompt_tokens > max_sequence_tokens())
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("prompt: {} tokens need {} KV pages, but the budget holds {} pages "
                             "({} tokens)",
                             n_prompt_tokens, pages_for(n_prompt_tokens), options_.n_pages,
                             max_sequence_tokens())};
  return {};
}

Sequence& Scheduler::add(std::unique_ptr<Sequence> sequence) {
  sequence->arrival = n_arrived_++;
  Sequence& added = *sequence;
  insert_by_rank(waiting_, std::move(sequence));
  return added;
}

const StepPlan& Scheduler::next() {
  release_copy_sources();  // of a step that was never committed
  plan_.rows.clear();
  preempted_ = false;
  plan_decodes();
  if (!preempted_) admit_waiting();
  plan_prefills();
  build_batch();
  return plan_;
}

void Scheduler::commit() {
  for (const StepPlan::Rows& rows : plan_.rows) {
    Sequence& sequence = *rows.sequence;
    tokens_prefilled_ += std::clamp(sequence.n_prompt - sequence.n_computed, 0, rows.n_rows);
    const int32_t n_certain = rows.n_rows - rows.n_drafted;
    sequence.n_computed += n_certain;
    tokens_computed_ += n_certain;
    if (caching()) publish_full_pages(sequence);
  }
  release_copy_sources();
}

void Scheduler::accept_draft(Sequence& sequence) {
  CHECK_EQ(sequence.n_pending(), 1);  // the guess
  ++sequence.n_computed;
  ++tokens_computed_;
  if (caching()) publish_full_pages(sequence);
}

// A step is not worth its time when most of it is for requests that were cancelled meanwhile: what
// it holds for others is computed again, in less. remove() takes those away before the next step.
bool Scheduler::is_unwanted() const {
  int32_t n_unwanted = 0;
  for (const StepPlan::Rows& rows : plan_.rows)
    if (rows.sequence->request.cancel.cancelled()) n_unwanted += rows.n_rows;
  return 2 * n_unwanted > plan_.batch.n_rows();
}

std::unique_ptr<Sequence> Scheduler::remove(Sequence& sequence, Keep keep) {
  release_pages(sequence, keep);
  if (std::unique_ptr<Sequence> taken = take(running_, sequence)) return taken;
  return take(waiting_, sequence);
}

void Scheduler::plan_decodes() {
  int32_t n_drafts_left = options_.draft_tokens;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.decoding()) continue;
    int32_t n_drafted = draft_for(sequence, n_drafts_left);
    // grow() preempts only sequences of lower rank, which come later in the list.
    const int32_t n_rows = grow(sequence, 1 + n_drafted);
    if (n_rows == 0) {
      preempt(sequence);
      --i;
      continue;
    }
    n_drafted = n_rows - 1;
    sequence.draft.resize(static_cast<size_t>(n_drafted));
    n_drafts_left -= n_drafted;
    plan_.rows.push_back({.sequence = &sequence, .n_rows = n_rows, .n_drafted = n_drafted});
  }
}

// Guesses what comes next, at most `limit` tokens. What others wait for comes first: nobody is
// preempted for a guess, and none leaves the sequence's limits.
int32_t Scheduler::draft_for(Sequence& sequence, int32_t limit) const {
  sequence.draft.clear();
  if (sequence.drafter == nullptr || limit <= 0) return 0;
  if (!sequence.drafter->follow(sequence.tokens)) return 0;
  const int32_t n_free_slots =
      static_cast<int32_t>(sequence.pages.size()) * kPageTokens - sequence.n_tokens();
  const bool may_grow = allocator_.n_free() > static_cast<int32_t>(running_.size());
  limit = std::min({limit, max_sequence_tokens() - sequence.n_tokens() - 1,
                    sequence.request.stop.max_new_tokens - sequence.n_generated() - 1,
                    may_grow ? limit : n_free_slots});
  const std::span<const TokenId> draft = sequence.drafter->draft(limit);
  sequence.draft.assign(draft.begin(), draft.end());
  return static_cast<int32_t>(draft.size());
}

// In strict order: nobody overtakes a request that waits for pages, or it would wait for ever.
void Scheduler::admit_waiting() {
  while (!waiting_.empty()) {
    Sequence& sequence = *waiting_.front();
    if (static_cast<int32_t>(running_.size()) >= options_.max_batch) {
      Sequence* victim = preemptable_below(sequence, /*lower_priority_only=*/true);
      if (victim == nullptr) return;
      preempt(*victim);
    }
    if (!admit(sequence)) return;
    insert_by_rank(running_, take(waiting_, sequence));
  }
}

bool Scheduler::admit(Sequence& sequence) {
  match_prefix(sequence);
  for (;;) {
    const int32_t n_wanted =
        pages_for(sequence.n_tokens()) - static_cast<int32_t>(sequence.pages.size());
    if (sequence.n_pending() == 0 || room_for(n_wanted)) break;
    if (Sequence* victim = preemptable_below(sequence, /*lower_priority_only=*/true)) {
      preempt(*victim);
      continue;
    }
    release_pages(sequence, Keep::kNothing);
    return false;
  }
  if (!sequence.admitted_before) {
    sequence.n_cached = std::min(sequence.n_computed, sequence.n_prompt);
    tokens_reused_ += sequence.n_cached;
  }
  sequence.admitted_before = true;
  return true;
}

Scheduler::PrefillBudget Scheduler::prefill_budget() const {
  const int32_t chunk = options_.prefill_chunk;
  const PrefillBudget whole = {chunk, std::max(1, chunk / kRideAlongShare)};
  if (options_.flat_rows == 0 || running_.empty()) return whole;
  const auto n_decodes = static_cast<int32_t>(plan_.rows.size());  // planned first, one row each
  int64_t n_pending = 0;  // of the highest priority; what ranks below it takes what is left
  for (const std::unique_ptr<Sequence>& sequence : running_)
    if (!sequence->decoding() && sequence->request.priority == running_.front()->request.priority)
      n_pending += sequence->n_pending();
  if (n_pending >= options_.large_step_rows) return whole;
  const int32_t n_rows = std::clamp(options_.flat_rows - n_decodes, 1, chunk);
  return {n_rows, std::max(1, n_rows / kFlatRideAlongShare)};
}

void Scheduler::plan_prefills() {
  const PrefillBudget limits = prefill_budget();
  int32_t budget = limits.n_rows;
  for (const StepPlan::Rows& rows : plan_.rows) budget -= rows.n_drafted;  // their rows are taken
  std::optional<Priority> first;  // the highest priority in this step
  for (const StepPlan::Rows& rows : plan_.rows)
    first = std::min(first.value_or(Priority::kPrewarm), rows.sequence->request.priority);
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& sequence = *running_[i];
    const auto is_planned = [&](const StepPlan::Rows& r) { return r.sequence == &sequence; };
    if (std::ranges::any_of(plan_.rows, is_planned)) continue;
    skip_published(sequence);
    if (sequence.n_pending() == 0) continue;
    int32_t n_rows = std::min(budget, sequence.n_pending());
    if (first && sequence.request.priority > *first) n_rows = std::min(n_rows, limits.n_ride_along);
    n_rows = grow(sequence, n_rows);
    if (n_rows == 0) {
      preempt(sequence);
      --i;
      continue;
    }
    plan_.rows.push_back({.sequence = &sequence, .n_rows = n_rows});
    budget -= n_rows;
    first = std::min(first.value_or(Priority::kPrewarm), sequence.request.priority);
  }
}

Sequence* Scheduler::preemptable_below(const Sequence& sequence, bool lower_priority_only) {
  if (running_.empty()) return nullptr;
  Sequence& last = *running_.back();
  if (&last == &sequence || !ranks_before(sequence, last)) return nullptr;
  if (lower_priority_only && last.request.priority == sequence.request.priority) return nullptr;
  return &last;
}

void Scheduler::preempt(Sequence& sequence) {
  preempted_ = true;
  std::erase_if(plan_.rows, [&](const StepPlan::Rows& r) { return r.sequence == &sequence; });
  release_pages(sequence, Keep::kPages);
  insert_by_rank(waiting_, take(running_, sequence));
}

void Scheduler::build_batch() {
  ForwardBatch& batch = plan_.batch;
  batch.tokens.clear();
  batch.positions.clear();
  batch.sequence_of_row.clear();
  batch.logit_rows.clear();
  size_t stride = 0;
  for (const StepPlan::Rows& rows : plan_.rows)
    stride = std::max(stride, rows.sequence->pages.size());
  batch.page_table_stride = static_cast<int32_t>(stride);
  batch.page_tables.assign(stride * plan_.rows.size(), -1);

  for (size_t s = 0; s < plan_.rows.size(); ++s) {
    StepPlan::Rows& rows = plan_.rows[s];
    const Sequence& sequence = *rows.sequence;
    add_rows(rows, static_cast<int32_t>(s));
    std::ranges::transform(sequence.pages,
                           batch.page_tables.begin() + static_cast<std::ptrdiff_t>(s * stride),
                           index_of);
  }
}

// The rows' tokens: those of the sequence that are pending, then its guesses.
void Scheduler::add_rows(StepPlan::Rows& rows, int32_t sequence_idx) {
  ForwardBatch& batch = plan_.batch;
  const Sequence& sequence = *rows.sequence;
  rows.first_row = batch.n_rows();
  for (int32_t i = 0; i < rows.n_rows; ++i) {
    const int32_t position = sequence.n_computed + i;
    const int32_t guess = position - sequence.n_tokens();
    batch.tokens.push_back(guess < 0 ? sequence.tokens[static_cast<size_t>(position)]
                                     : sequence.draft[static_cast<size_t>(guess)]);
    batch.positions.push_back(position);
    batch.sequence_of_row.push_back(sequence_idx);
  }
  const bool ends = rows.n_rows - rows.n_drafted == sequence.n_pending();
  if (!ends || sequence.prefill_only()) return;
  rows.logit_index = static_cast<int32_t>(batch.logit_rows.size());
  for (int32_t i = rows.n_drafted; i >= 0; --i) batch.logit_rows.push_back(batch.n_rows() - 1 - i);
}

}  // namespace incipit::engine
