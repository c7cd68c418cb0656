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

// A caller's callback must not take the engine down with it.
template <class Callback, class... Args>
void call_guarded(const char* name, const Callback& callback, const Args&... args) {
  if (!callback) return;
  try {
    callback(args...);
  } catch (const std::exception& e) {
    log::error("engine: {} threw: {}", name, e.what());
  } catch (...) {
    log::error("engine: {} threw something that is not a std::exception", name);
  }
}

SchedulerOptions with_pages(SchedulerOptions options, int32_t n_pages) {
  options.n_pages = n_pages;
  return options;
}

Error invalid(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message)};
}

Error no_device() {
  return Error{ErrorCode::kDevice, "the device failed and the model could not be loaded again"};
}

}  // namespace

EngineLoop::EngineLoop(std::unique_ptr<Model> model, const SchedulerOptions& options,
                       TokenBytes bytes_of, ModelSupply supply)
    : model_(std::move(model)),
      config_(model_->config()),
      scheduler_(std::make_unique<Scheduler>(with_pages(options, model_->n_pages()))),
      bytes_of_(std::move(bytes_of)),
      supply_(std::move(supply)),
      device_{model_->device_name(), 0, ""},
      submissions_(std::numeric_limits<size_t>::max()) {
  CHECK_LE(options.max_batch + options.prefill_chunk, model_->max_rows());
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
  Submission submission{id, std::move(request), Sequence::Clock::now()};
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
}

// Waits only when there is nothing else to do. False: the engine is to stop.
bool EngineLoop::take_submissions() {
  if (scheduler_->idle()) {
    std::optional<Submission> first = submissions_.pop();
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

void EngineLoop::accept(Submission submission) {
  if (submission.request.cancel.cancelled())
    return refuse(std::move(submission), FinishReason::kCancelled, {});
  if (!model_) return refuse(std::move(submission), FinishReason::kError, no_device());
  if (Result<void> checked = check(submission.request); !checked)
    return refuse(std::move(submission), FinishReason::kError, checked.error());

  auto sequence =
      std::make_unique<Sequence>(submission.id, std::move(submission.request), bytes_of_);
  sequence->submitted = submission.submitted;
  // All that the sequence can ever hold, so that no step allocates for it.
  const int64_t most = std::min(int64_t{sequence->n_prompt} + sequence->request.stop.max_new_tokens,
                                int64_t{scheduler_->max_sequence_tokens()});
  sequence->tokens.reserve(static_cast<size_t>(most));
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
      if (!model_->forward(plan.batch)) return;  // its requests go before the next step is planned
    } catch (const DeviceFault& fault) {
      return replace_model(fault);
    } catch (const std::exception& e) {
      return fail_step(plan, e.what());
    }
    scheduler_->commit();
    for (const StepPlan::Rows& rows : plan.rows) take_token(rows);
  }
  finish_prefilled();
}

// The sequence has its next token, unless its prompt goes on in the next step. Cancellation is
// looked at first: nobody is handed a token that is no longer wanted.
void EngineLoop::take_token(const StepPlan::Rows& rows) {
  Sequence& sequence = *rows.sequence;
  if (sequence.request.cancel.cancelled()) return finish(sequence, FinishReason::kCancelled);
  if (rows.logit_index < 0) return;
  if (sequence.n_tokens() >= scheduler_->max_sequence_tokens())
    return finish(sequence, FinishReason::kContextFull);
  const std::optional<TokenId> token = sample_token(model_->candidates(rows.logit_index),
                                                    sequence.request.sampling, sequence.n_tokens());
  if (!token)
    return finish(
        sequence, FinishReason::kError,
        Error{ErrorCode::kInternal, fmt::format("the model's logits at position {} are not finite",
                                                sequence.n_tokens() - 1)},
        Scheduler::Keep::kNothing);
  if (sequence.n_generated() == 0) sequence.first_token = Sequence::Clock::now();
  const std::optional<StopCause> cause = sequence.matcher.push(*token);
  if (cause != StopCause::kToken) {
    sequence.tokens.push_back(*token);
    ++totals_.tokens_generated;
  }
  if (cause) return finish(sequence, reason_of(*cause));
  if (sequence.n_tokens() >= scheduler_->max_sequence_tokens())
    return finish(sequence, FinishReason::kContextFull);
  emit(sequence);
}

void EngineLoop::fail_step(const StepPlan& plan, const std::string& what) {
  log::error("engine: a step of {} rows failed: {}", plan.batch.n_rows(), what);
  for (const StepPlan::Rows& rows : plan.rows)
    finish(*rows.sequence, FinishReason::kError,
           Error{ErrorCode::kInternal, "the model failed: " + what}, Scheduler::Keep::kNothing);
}

// Everything that runs has its keys and values on the device that failed.
void EngineLoop::replace_model(const DeviceFault& fault) {
  const std::string name = model_->device_name();
  log::error("engine: {} failed: {}", name, fault.what());
  while (!scheduler_->running().empty())
    finish(*scheduler_->running().front(), FinishReason::kError,
           Error{ErrorCode::kDevice, fmt::format("{} failed: {}", name, fault.what())},
           Scheduler::Keep::kNothing);
  // What does not answer is left alone: giving its memory back would wait for it.
  if (fault.kind() == DeviceFault::Kind::kDoesNotAnswer) {
    (void)model_.release();
  } else {
    model_.reset();
  }
  const std::string outcome =
      install(supply_ ? supply_(fault) : Error{ErrorCode::kDevice, "there is no other device"});
  report_fault(fmt::format("{} failed ({}); {}", name, fault.what(), outcome));
}

// Goes on with that model, under a scheduler with nothing in its cache; or without any. Returns
// what to tell the user of it.
std::string EngineLoop::install(Result<PlannedModel> next) {
  totals_.tokens_reused += scheduler_->tokens_reused();
  totals_.tokens_prefilled += scheduler_->tokens_prefilled();
  std::vector<std::unique_ptr<Sequence>> waiting = scheduler_->take_waiting();
  SchedulerOptions options = scheduler_->options();
  if (next) {
    model_ = std::move(next->model);
    options = with_pages(next->scheduling, model_->n_pages());
    CHECK_LE(options.max_batch + options.prefill_chunk, model_->max_rows());
  }
  scheduler_ = std::make_unique<Scheduler>(options);
  adopt_waiting(std::move(waiting));
  if (next) return fmt::format("the model was loaded again and runs on {}", model_->device_name());
  while (!scheduler_->waiting().empty())
    finish(*scheduler_->waiting().front(), FinishReason::kError, no_device());
  return fmt::format("the model cannot be loaded again: {}", next.error().message);
}

void EngineLoop::adopt_waiting(std::vector<std::unique_ptr<Sequence>> waiting) {
  for (std::unique_ptr<Sequence>& sequence : waiting) {
    const Result<void> fits = scheduler_->check_fits(sequence->n_tokens());
    Sequence& added = scheduler_->add(std::move(sequence));
    if (!fits) finish(added, FinishReason::kError, fits.error());
  }
}

void EngineLoop::report_fault(const std::string& what) {
  log::warn("engine: {}", what);
  publish_stats();
  const std::lock_guard lock(device_mutex_);
  device_.device = model_ ? model_->device_name() : kNoDevice;
  ++device_.n_faults;
  device_.last_fault = what;
  call_guarded("on_fault", on_fault_, device_);
}

DeviceStatus EngineLoop::device() const {
  const std::lock_guard lock(device_mutex_);
  return device_;
}

void EngineLoop::watch_device(std::function<void(const DeviceStatus&)> on_fault) {
  const std::lock_guard lock(device_mutex_);
  on_fault_ = std::move(on_fault);
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
  stats.sequences_running = static_cast<int32_t>(scheduler_->running().size());
  stats.sequences_waiting = static_cast<int32_t>(scheduler_->waiting().size());
  stats_.write(stats);
}

}  // namespace incipit::engine
