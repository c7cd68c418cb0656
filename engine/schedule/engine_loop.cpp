#include "engine/schedule/engine_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/sampling/sampler.h"
#include "engine/schedule/guarded_call.h"
#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

FinishReason reason_of(StopCause cause) {
  switch (cause) {
    case StopCause::kToken:
      return FinishReason::kStopToken;
    case StopCause::kString:
      return FinishReason::kStopString;
    case StopCause::kLines:
      return FinishReason::kLineLimit;
    case StopCause::kLength:
      return FinishReason::kTokenLimit;
  }
  return FinishReason::kError;
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

}  // namespace

EngineLoop::EngineLoop(std::unique_ptr<Model> model, const SchedulerOptions& options,
                       TokenBytes bytes_of, ModelSupply supply, std::optional<PageKeeping> keeping)
    : model_(std::move(model)),
      config_(model_->config()),
      scheduler_(std::make_unique<Scheduler>(options.with_pages(model_->n_pages()))),
      bytes_of_(std::move(bytes_of)),
      byte_tokens_(find_byte_tokens(bytes_of_, config_.vocab)),
      supply_(std::move(supply)),
      device_{model_->device_name(), 0, ""},
      submissions_(std::numeric_limits<size_t>::max()) {
  CHECK_LE(options.max_batch + options.prefill_chunk, model_->max_rows());
  if (keeping && options.prefix_caching == PrefixCaching::kOn) keeper_.emplace(std::move(*keeping));
  publish_stats();
  thread_ = std::thread([this] { run(); });
}

EngineLoop::~EngineLoop() {
  stopping_ = true;
  submissions_.close();
  thread_.join();
}

SequenceId EngineLoop::submit(GenerateRequest request) {
  const SequenceId id{++n_submitted_};
  Submission submission{id, std::move(request), Sequence::Clock::now(), n_steps_};
  // The queue has no limit of its own, so only a closed one refuses: the engine is going away.
  if (!submissions_.try_push(submission)) {
    Generation generation;
    generation.reason = FinishReason::kCancelled;
    generation.timings.n_prompt_tokens = static_cast<int32_t>(submission.request.prompt.size());
    call_guarded("on_finish", submission.request.on_finish, generation);
  }
  return id;
}

void EngineLoop::run() {
  if (keeper_) keep_pages([&] { keeper_->read_at_start(*scheduler_, *model_); });
  publish_stats();
  while (take_submissions()) {
    finish_cancelled();
    step();
    publish_stats();
  }
  while (!scheduler_->running().empty())
    finish(*scheduler_->running().front(), FinishReason::kCancelled);
  while (!scheduler_->waiting().empty())
    finish(*scheduler_->waiting().front(), FinishReason::kCancelled);
  while (std::optional<Submission> submission = submissions_.try_pop())
    refuse(std::move(*submission), FinishReason::kCancelled, {});
  if (keeper_) keep_pages([&] { keeper_->write_all(*scheduler_, *model_); });
}

// Waits only when there is nothing else to do. False: the engine is to stop.
bool EngineLoop::take_submissions() {
  if (scheduler_->idle()) {
    std::optional<Submission> first = wait_for_submission();
    if (!first) return false;
    accept(std::move(*first));
  }
  while (!stopping_) {
    std::optional<Submission> next = submissions_.try_pop();
    if (!next) return true;
    accept(std::move(*next));
  }
  return false;
}

// The time without requests belongs to the pages on disk.
std::optional<EngineLoop::Submission> EngineLoop::wait_for_submission() {
  if (keeper_) keeper_->interrupt();
  while (keeper_) {
    const auto due = keeper_->due(*scheduler_);
    if (!due) break;
    if (std::optional<Submission> submission = submissions_.pop_until(*due)) {
      keeper_->interrupt();
      return submission;
    }
    if (stopping_) return std::nullopt;
    keep_pages([&] { keeper_->work(*scheduler_, *model_); });
    publish_stats();
  }
  return submissions_.pop();
}

// A device that fails here is found out by the next step.
void EngineLoop::keep_pages(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& e) {
    log::warn("kv-disk: {}", e.what());
    keeper_.reset();
  }
}

void EngineLoop::accept(Submission submission) {
  if (submission.request.cancel.cancelled())
    return refuse(std::move(submission), FinishReason::kCancelled, {});
  if (!model_) return refuse(std::move(submission), FinishReason::kError, no_device());
  if (Result<void> checked = check(submission.request); !checked)
    return refuse(std::move(submission), FinishReason::kError, checked.error());

  auto sequence =
      std::make_unique<Sequence>(submission.id, std::move(submission.request), bytes_of_);
  sequence->submitted = submission.submitted;
  sequence->n_steps_at_submit = submission.n_steps;
  // All that the sequence can ever hold, so that no step allocates for it.
  const int64_t most = std::min(int64_t{sequence->n_prompt} + sequence->request.stop.max_new_tokens,
                                int64_t{scheduler_->max_sequence_tokens()});
  sequence->tokens.reserve(static_cast<size_t>(most));
  sequence->log_probabilities.reserve(static_cast<size_t>(most - sequence->n_prompt) + 1);
  if (const int32_t n = scheduler_->options().draft_tokens; n > 0 && !sequence->prefill_only()) {
    sequence->draft.reserve(static_cast<size_t>(n));
    sequence->drafter =
        std::make_unique<Drafter>(sequence->request.draft_texts, static_cast<int32_t>(most), n);
  }
  sequence->pages.reserve(static_cast<size_t>(pages_for(most)));
  scheduler_->add(std::move(sequence));
}

Result<void> EngineLoop::check(const GenerateRequest& request) const {
  if (request.prompt.empty()) return invalid("prompt: want at least one token, found none");
  for (size_t i = 0; i < request.prompt.size(); ++i)
    if (request.prompt[i] < 0 || request.prompt[i] >= config_.vocab)
      return invalid(fmt::format("prompt[{}]: want a token id in 0..{}, found {}", i,
                                 config_.vocab - 1, request.prompt[i]));
  const SamplingParams& sampling = request.sampling;
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0)
    return invalid(fmt::format("temperature: want a number >= 0, found {}", sampling.temperature));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    return invalid(fmt::format("top_p: want a number in (0, 1], found {}", sampling.top_p));
  const StopRules& stop = request.stop;
  if (stop.max_new_tokens < 0)
    return invalid(fmt::format("max_new_tokens: want >= 0, found {}", stop.max_new_tokens));
  if (stop.max_lines < 0)
    return invalid(fmt::format("max_lines: want >= 0, found {}", stop.max_lines));
  if (std::ranges::any_of(stop.stop_strings, &std::string::empty))
    return invalid("stop_strings: an empty string would end every answer at once");
  for (const char c : request.forced_text)
    if (byte_tokens_[static_cast<unsigned char>(c)] < 0)
      return invalid(fmt::format("forced_text: the vocabulary has no token for the byte {:#04x}",
                                 static_cast<unsigned>(static_cast<unsigned char>(c))));
  if (scheduler_->waiting().size() >= kMaxWaiting)
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("{} requests are waiting already", kMaxWaiting)};
  return scheduler_->check_fits(static_cast<int64_t>(request.prompt.size()));
}

void EngineLoop::finish_cancelled() {
  // finish() changes the lists, so look again from the start after each.
  const auto find = [](const std::vector<std::unique_ptr<Sequence>>& list) -> Sequence* {
    const auto at = std::ranges::find_if(
        list, [](const auto& sequence) { return sequence->request.cancel.cancelled(); });
    return at == list.end() ? nullptr : at->get();
  };
  for (;;) {
    Sequence* cancelled = find(scheduler_->running());
    if (cancelled == nullptr) cancelled = find(scheduler_->waiting());
    if (cancelled == nullptr) return;
    finish(*cancelled, FinishReason::kCancelled);
  }
}

void EngineLoop::finish_prefilled() {
  for (;;) {
    const auto at = std::ranges::find_if(scheduler_->running(), [](const auto& sequence) {
      return sequence->prefill_only() && sequence->n_pending() == 0;
    });
    if (at == scheduler_->running().end()) return;
    finish(**at, FinishReason::kPrefilled);
  }
}

void EngineLoop::step() {
  const StepPlan& plan = scheduler_->next();
  if (!plan.empty()) {
    const auto now = Sequence::Clock::now();
    for (const StepPlan::Rows& rows : plan.rows)
      if (rows.sequence->first_step == Sequence::Clock::time_point{})
        rows.sequence->first_step = now;
    try {
      for (const PageCopy& copy : plan.copies) model_->copy_page(copy.from, copy.to, copy.n_tokens);
      const bool done = model_->forward(plan.batch);
      ++n_steps_;
      if (!done) return;  // its requests go before the next step is planned
    } catch (const DeviceFault& fault) {
      return replace_model(fault);
    } catch (const std::exception& e) {
      return fail_step(plan, e.what());
    }
    scheduler_->commit();
    for (const StepPlan::Rows& rows : plan.rows) take_tokens(rows);
  }
  finish_prefilled();
}

// The sequence has its next token, unless its prompt goes on in the next step; and one more for
// each guess that came true.
void EngineLoop::take_tokens(const StepPlan::Rows& rows) {
  Sequence& sequence = *rows.sequence;
  if (rows.logit_index >= 0) ++sequence.n_decode_steps;
  sequence.n_drafted += rows.n_drafted;
  int32_t n_accepted = 0;
  while (take_token(sequence, rows.logit_index + (rows.logit_index < 0 ? 0 : n_accepted))) {
    const bool came_true =
        n_accepted < rows.n_drafted &&
        sequence.tokens.back() == sequence.draft[static_cast<size_t>(n_accepted)];
    if (!came_true) {
      if (rows.n_drafted > 0) sequence.drafter->report(rows.n_drafted, n_accepted);
      return;
    }
    scheduler_->accept_draft(sequence);
    ++n_accepted;
    ++sequence.n_accepted;
  }
}

// False: nothing follows in this step, or at all; then the sequence may be gone. Cancellation is
// looked at first: nobody is handed a token that is no longer wanted.
bool EngineLoop::take_token(Sequence& sequence, int32_t logit_index) {
  const auto end = [&](FinishReason reason) {
    finish(sequence, reason);
    return false;
  };
  if (sequence.request.cancel.cancelled()) return end(FinishReason::kCancelled);
  if (logit_index < 0) return false;
  if (sequence.n_tokens() >= scheduler_->max_sequence_tokens())
    return end(FinishReason::kContextFull);
  const std::optional<TokenId> token = choose(sequence, model_->candidates(logit_index));
  if (!token) {
    finish(
        sequence, FinishReason::kError,
        Error{ErrorCode::kInternal, fmt::format("the model's logits at position {} are not finite",
                                                sequence.n_tokens() - 1)},
        Scheduler::Keep::kNothing);
    return false;
  }
  if (sequence.n_generated() == 0) {
    sequence.first_token = Sequence::Clock::now();
    sequence.n_steps_at_first_token = n_steps_;
  }
  const std::optional<StopCause> cause = sequence.matcher.push(*token);
  if (cause != StopCause::kToken) {
    sequence.tokens.push_back(*token);
    ++totals_.tokens_generated;
  }
  if (cause) return end(reason_of(*cause));
  if (sequence.n_tokens() >= scheduler_->max_sequence_tokens())
    return end(FinishReason::kContextFull);
  emit(sequence);
  return true;
}

std::optional<TokenId> EngineLoop::choose(Sequence& sequence,
                                          std::span<const Candidate> candidates) {
  const SamplingParams& sampling = sequence.request.sampling;
  std::optional<TokenId> token;
  if (sequence.forced.done()) {
    token = sample_token(candidates, sampling, sequence.n_tokens());
  } else {
    token =
        sequence.forced.sample(candidates, sampling, sequence.n_tokens(), bytes_of_, byte_tokens_);
    if (token) sequence.forced.take(bytes_of_(*token));
  }
  if (token) sequence.log_probabilities.push_back(log_probability(candidates, *token));
  return token;
}

void EngineLoop::fail_step(const StepPlan& plan, const std::string& what) {
  log::error("engine: a step of {} rows failed: {}", plan.batch.n_rows(), what);
  for (const StepPlan::Rows& rows : plan.rows)
    finish(*rows.sequence, FinishReason::kError,
           Error{ErrorCode::kInternal, "the model failed: " + what}, Scheduler::Keep::kNothing);
}

// Hands out what has become certain.
void EngineLoop::emit(Sequence& sequence) {
  for (; sequence.n_emitted < sequence.matcher.n_released(); ++sequence.n_emitted)
    call_guarded("on_token", sequence.request.on_token,
                 sequence.tokens[static_cast<size_t>(sequence.n_prompt + sequence.n_emitted)]);
}

void EngineLoop::finish(Sequence& sequence, FinishReason reason, std::optional<Error> error,
                        Scheduler::Keep keep) {
  const std::unique_ptr<Sequence> gone = scheduler_->remove(sequence, keep);
  if (reason != FinishReason::kStopString) gone->matcher.finish();
  ++totals_.requests_finished;
  if (reason == FinishReason::kCancelled) ++totals_.requests_cancelled;
  publish_stats();  // before the callback: who asks in it sees this request as finished
  emit(*gone);

  const auto now = Sequence::Clock::now();
  Generation generation;
  const auto first = gone->tokens.begin() + gone->n_prompt;
  generation.tokens.assign(first, first + gone->matcher.n_released());
  const size_t n_chosen =
      generation.tokens.size() + (reason == FinishReason::kStopToken ? size_t{1} : size_t{0});
  generation.log_probabilities = std::move(gone->log_probabilities);
  generation.log_probabilities.resize(std::min(n_chosen, generation.log_probabilities.size()));
  generation.reason = reason;
  generation.n_overhang_bytes = gone->matcher.n_overhang_bytes();
  generation.error = std::move(error);
  Timings& timings = generation.timings;
  const bool started = gone->first_step != Sequence::Clock::time_point{};
  timings.queued =
      duration_cast<microseconds>((started ? gone->first_step : now) - gone->submitted);
  if (gone->first_token != Sequence::Clock::time_point{})
    timings.first_token = duration_cast<microseconds>(gone->first_token - gone->submitted);
  timings.total = duration_cast<microseconds>(now - gone->submitted);
  timings.n_prompt_tokens = gone->n_prompt;
  timings.n_cached_tokens = gone->n_cached;
  timings.n_generated = gone->n_generated();
  timings.n_decode_steps = gone->n_decode_steps;
  timings.n_drafted = gone->n_drafted;
  timings.n_accepted = gone->n_accepted;
  timings.n_steps_to_first_token = static_cast<int32_t>(
      std::max<int64_t>(0, gone->n_steps_at_first_token - gone->n_steps_at_submit));
  log::debug(
      "engine: sequence {} {}: prompt {} (cached {}), generated {}, first token {} us, total {} us",
      static_cast<int64_t>(gone->id), name_of(reason), timings.n_prompt_tokens,
      timings.n_cached_tokens, timings.n_generated, timings.first_token.count(),
      timings.total.count());
  call_guarded("on_finish", gone->request.on_finish, generation);
}

void EngineLoop::refuse(Submission submission, FinishReason reason, std::optional<Error> error) {
  ++totals_.requests_finished;
  if (reason == FinishReason::kCancelled) ++totals_.requests_cancelled;
  publish_stats();
  Generation generation;
  generation.reason = reason;
  generation.error = std::move(error);
  generation.timings.n_prompt_tokens = static_cast<int32_t>(submission.request.prompt.size());
  generation.timings.queued =
      duration_cast<microseconds>(Sequence::Clock::now() - submission.submitted);
  generation.timings.total = generation.timings.queued;
  call_guarded("on_finish", submission.request.on_finish, generation);
}

void EngineLoop::publish_stats() {
  EngineStats stats = totals_;
  stats.pages_total = scheduler_->allocator().n_pages();
  stats.pages_free = scheduler_->allocator().n_free();
  stats.pages_cached = scheduler_->cache().n_evictable();
  stats.tokens_reused += scheduler_->tokens_reused();
  stats.tokens_prefilled += scheduler_->tokens_prefilled();
  stats.pages_restored = keeper_ ? keeper_->n_restored() : 0;
  stats.sequences_running = static_cast<int32_t>(scheduler_->running().size());
  stats.sequences_waiting = static_cast<int32_t>(scheduler_->waiting().size());
  stats_.write(stats);
}

}  // namespace incipit::engine
