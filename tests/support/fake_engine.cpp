#include "tests/support/fake_engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/sampling/stop_rules.h"

namespace incipit::test {

using engine::FinishReason;
using engine::GenerateRequest;
using engine::SequenceId;
using engine::TokenId;

struct FakeEngine::Run {
  GenerateRequest request;
  engine::StopMatcher matcher;
  std::vector<TokenId> reply;
  std::optional<Error> failure;
  size_t n_replied = 0;         // tokens of the reply that the matcher has seen
  std::vector<TokenId> pushed;  // those that may belong to the result
  size_t n_emitted = 0;
  engine::Generation generation;
  bool finished = false;
};

namespace {

FinishReason reason_of(engine::StopCause cause) {
  switch (cause) {
    case engine::StopCause::kToken:
      return FinishReason::kStopToken;
    case engine::StopCause::kString:
      return FinishReason::kStopString;
    case engine::StopCause::kLines:
      return FinishReason::kLineLimit;
    case engine::StopCause::kLength:
      return FinishReason::kTokenLimit;
  }
  return FinishReason::kError;
}

}  // namespace

FakeEngine::FakeEngine(Options options) : options_(std::move(options)) {
  if (options_.info.name.empty()) options_.info.name = "fake";
  if (options_.info.device.empty()) options_.info.device = "fake";
  if (options_.info.context_tokens == 0) options_.info.context_tokens = 2048;
  script_ = [](const GenerateRequest&) { return std::vector<TokenId>(); };
  if (options_.mode == Mode::kThread) thread_ = std::thread([this] { serve(); });
}

FakeEngine::~FakeEngine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  for (const std::shared_ptr<Run>& run : unfinished()) finish(*run, FinishReason::kCancelled);
}

void FakeEngine::set_script(Script script) {
  set_request_script([script = std::move(script)](const GenerateRequest& request) {
    return script(request.prompt);
  });
}

void FakeEngine::set_request_script(RequestScript script) {
  std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void FakeEngine::reply_with(std::vector<TokenId> tokens) {
  set_script([tokens = std::move(tokens)](const std::vector<TokenId>&) { return tokens; });
}

void FakeEngine::reply_with_text(const std::string& text) {
  CHECK(options_.tokenizer != nullptr);
  reply_with(options_.tokenizer->encode(text));
}

void FakeEngine::be_sure(double probability) {
  std::lock_guard lock(mutex_);
  probability_ = probability;
}

void FakeEngine::fail_with(Error error) {
  std::lock_guard lock(mutex_);
  failure_ = std::move(error);
}

std::vector<GenerateRequest> FakeEngine::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

size_t FakeEngine::n_requests() const {
  std::lock_guard lock(mutex_);
  return requests_.size();
}

size_t FakeEngine::n_unfinished() const {
  std::lock_guard lock(mutex_);
  return runs_.size();
}

void FakeEngine::wait_for_requests(size_t n) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return requests_.size() >= n; });
}

SequenceId FakeEngine::submit(GenerateRequest request) {
  GenerateRequest record = request;
  record.on_token = nullptr;
  record.on_finish = nullptr;
  engine::TokenBytes bytes_of;
  if (options_.tokenizer)
    bytes_of = [tokenizer = options_.tokenizer](TokenId t) { return tokenizer->bytes(t); };
  auto run = std::shared_ptr<Run>(
      new Run{request, engine::StopMatcher(request.stop, bytes_of), {}, {}, 0, {}, 0, {}, false});
  run->generation.timings.n_prompt_tokens = static_cast<int32_t>(request.prompt.size());

  RequestScript script;
  SequenceId id;
  {
    std::lock_guard lock(mutex_);
    run->failure = failure_;
    script = script_;
    requests_.push_back(std::move(record));
    id = static_cast<SequenceId>(requests_.size());
  }
  run->reply = script(request);  // outside the lock: a script may ask this engine
  begin_with(request.forced_text, run->reply);
  {
    std::lock_guard lock(mutex_);
    runs_.push_back(run);
    changed_.notify_all();
  }
  if (options_.mode == Mode::kImmediate)
    while (!run->finished) advance(*run);
  return id;
}

engine::EngineStats FakeEngine::stats() const {
  std::lock_guard lock(mutex_);
  engine::EngineStats stats = stats_;
  stats.sequences_running = static_cast<int32_t>(runs_.size());
  return stats;
}

// As the engine does it: what the script says comes after the forced text, unless it says that,
// too.
void FakeEngine::begin_with(const std::string& forced, std::vector<TokenId>& reply) const {
  if (forced.empty() || options_.tokenizer == nullptr) return;
  if (options_.tokenizer->decode(reply).starts_with(forced)) return;
  const std::vector<TokenId> tokens = options_.tokenizer->encode(forced);
  reply.insert(reply.begin(), tokens.begin(), tokens.end());
}

bool FakeEngine::step() {
  const std::vector<std::shared_ptr<Run>> runs = unfinished();
  for (const std::shared_ptr<Run>& run : runs)
    if (!run->finished) advance(*run);
  return !runs.empty();
}

void FakeEngine::run() {
  while (step()) {
  }
}

// One token, or the end.
void FakeEngine::advance(Run& run) {
  const GenerateRequest& request = run.request;
  if (request.cancel.cancelled()) return finish(run, FinishReason::kCancelled);
  if (run.failure) {
    run.generation.error = run.failure;
    return finish(run, FinishReason::kError);
  }
  if (request.stop.max_new_tokens == 0) return finish(run, FinishReason::kPrefilled);
  if (run.n_replied == run.reply.size())  // the script has said all: as if the limit was reached
    return finish(run, FinishReason::kTokenLimit);
  const TokenId token = run.reply[run.n_replied++];
  const std::optional<engine::StopCause> cause = run.matcher.push(token);
  if (cause != engine::StopCause::kToken) run.pushed.push_back(token);
  if (cause) return finish(run, reason_of(*cause));
  emit(run);
}

// Streams what has become certain.
void FakeEngine::emit(Run& run) {
  const auto n_released = static_cast<size_t>(run.matcher.n_released());
  for (; run.n_emitted < n_released; ++run.n_emitted)
    if (run.request.on_token) run.request.on_token(run.pushed[run.n_emitted]);
}

void FakeEngine::finish(Run& run, FinishReason reason) {
  if (reason != FinishReason::kStopString) run.matcher.finish();
  emit(run);
  run.pushed.resize(static_cast<size_t>(run.matcher.n_released()));
  engine::Generation& generation = run.generation;
  generation.tokens = run.pushed;
  generation.reason = reason;
  generation.n_overhang_bytes = run.matcher.n_overhang_bytes();
  generation.timings.n_generated = static_cast<int32_t>(generation.tokens.size());
  {
    std::lock_guard lock(mutex_);
    run.finished = true;
    if (probability_) {
      generation.log_probabilities.assign(generation.tokens.size(),
                                          static_cast<float>(std::log(*probability_)));
    }
    std::erase_if(runs_, [&](const std::shared_ptr<Run>& other) { return other.get() == &run; });
    ++stats_.requests_finished;
    if (reason == FinishReason::kCancelled) ++stats_.requests_cancelled;
    stats_.tokens_prefilled += generation.timings.n_prompt_tokens;
    stats_.tokens_generated += generation.timings.n_generated;
    changed_.notify_all();
  }
  if (run.request.on_finish) run.request.on_finish(generation);
}

std::vector<std::shared_ptr<FakeEngine::Run>> FakeEngine::unfinished() const {
  std::lock_guard lock(mutex_);
  return {runs_.begin(), runs_.end()};
}

void FakeEngine::serve() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !runs_.empty(); });
      if (stopping_) return;
    }
    step();
  }
}

void FakeEngine::fail_device(engine::DeviceStatus status) {
  std::function<void(const engine::DeviceStatus&)> on_fault;
  {
    const std::lock_guard lock(mutex_);
    device_ = status;
    on_fault = on_fault_;
  }
  if (on_fault) on_fault(status);
}

engine::DeviceStatus FakeEngine::device() const {
  const std::lock_guard lock(mutex_);
  return device_.value_or(engine::DeviceStatus{options_.info.device, 0, ""});
}

void FakeEngine::watch_device(std::function<void(const engine::DeviceStatus&)> on_fault) {
  const std::lock_guard lock(mutex_);
  on_fault_ = std::move(on_fault);
}

}  // namespace incipit::test
