// EngineLoop: the engine thread and what it does over and over: take in new requests, drop the
// cancelled ones, let the Scheduler decide a step, run it on the Model, sample, publish. Owns the
// model from construction on and is the only one to touch it. submit() and stats() may be called
// from any thread, submit() also from a callback; callbacks run on the engine thread. Destruction
// (not from a callback) answers every request with kCancelled within one step and joins.
//
// A device that fails (DeviceFault) takes the model down with it: the requests that run get
// kDevice, those that wait stay, and the loop goes on with the model that the ModelSupply makes.
// Without one, or when it has none, every later request is refused with kDevice.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/bounded_queue.h"
#include "engine/engine.h"
#include "engine/model/model.h"
#include "engine/schedule/model_supply.h"
#include "engine/schedule/page_keeper.h"
#include "engine/schedule/scheduler.h"
#include "engine/schedule/stats_board.h"

namespace incipit::engine {

// Requests that may wait at the same time; one more is refused, so that a client gone wild cannot
// fill the memory.
inline constexpr size_t kMaxWaiting = 1024;

class EngineLoop {
 public:
  // options.n_pages is taken from the model; the model must take max_batch + prefill_chunk rows.
  EngineLoop(std::unique_ptr<Model> model, const SchedulerOptions& options, TokenBytes bytes_of,
             ModelSupply supply = {}, std::optional<PageKeeping> keeping = {});
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  SequenceId submit(GenerateRequest request);
  EngineStats stats() const { return stats_.read(); }

  DeviceStatus device() const;
  void watch_device(std::function<void(const DeviceStatus&)> on_fault);

 private:
  struct Submission {
    SequenceId id{};
    GenerateRequest request;
    Sequence::Clock::time_point submitted{};
    int64_t n_steps = 0;  // that the engine had done then
  };

  void run();
  bool take_submissions();
  std::optional<Submission> wait_for_submission();
  void keep_pages(const std::function<void()>& work);
  void accept(Submission submission);
  Result<void> check(const GenerateRequest& request) const;
  void finish_cancelled();
  void finish_prefilled();
  void step();
  void take_tokens(const StepPlan::Rows& rows);
  bool take_token(Sequence& sequence, int32_t logit_index);
  std::optional<TokenId> choose(Sequence& sequence, std::span<const Candidate> candidates);
  void fail_step(const StepPlan& plan, const std::string& what);
  void replace_model(const DeviceFault& fault);
  std::string install(Result<PlannedModel> next);
  void adopt_waiting(std::vector<std::unique_ptr<Sequence>> waiting);
  void report_fault(const std::string& what);
  void emit(Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason, std::optional<Error> error = {},
              Scheduler::Keep keep = Scheduler::Keep::kPages);
  static Error no_device();
  void refuse(Submission submission, FinishReason reason, std::optional<Error> error);
  void publish_stats();

  std::unique_ptr<Model> model_;  // null: its device failed and there is no other
  const ModelConfig config_;      // a copy: submit() may not touch the model
  std::unique_ptr<Scheduler> scheduler_;
  std::optional<PageKeeper> keeper_;  // gone with the model that it was made for
  TokenBytes bytes_of_;
  const ByteTokens byte_tokens_;
  ModelSupply supply_;
  EngineStats totals_;  // the counters that the scheduler does not keep, and those of earlier ones
  StatsBoard stats_;

  mutable std::mutex device_mutex_;  // for the next two, and while on_fault runs
  DeviceStatus device_;
  std::function<void(const DeviceStatus&)> on_fault_;

  BoundedQueue<Submission> submissions_;
  std::atomic<int64_t> n_submitted_{0};
  std::atomic<int64_t> n_steps_{0};  // that have ended, given up or not
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace incipit::engine
