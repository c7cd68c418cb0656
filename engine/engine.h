// Engine: token ids in, token ids out, streamed. Owns the model, its KV pages, the prefix cache and
// one engine thread. Thread-safe: submit, cancel and stats may be called from any thread. Callbacks
// run on the engine thread and must be quick (post and return). Destroying the engine cancels what
// runs, answers every request, and joins its thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/config/model_config.h"
#include "engine/config/prompt_format.h"
#include "engine/sampling/sampling_params.h"
#include "engine/sampling/stop_rules.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::engine {

enum class Priority {
  kInteractive,
  kBackground,
  kPrewarm
};  // completion > explanation, chat > pre-warming

enum class FinishReason {
  kStopToken,
  kStopString,
  kLineLimit,
  kTokenLimit,
  kContextFull,
  kCancelled,
  kPrefilled,
  kError
};
const char* name_of(FinishReason reason);

struct Timings {
  std::chrono::microseconds queued{0};       // submit to first step
  std::chrono::microseconds first_token{0};  // submit to first token id
  std::chrono::microseconds total{0};        // submit to finish
  int32_t n_prompt_tokens = 0;
  int32_t n_cached_tokens = 0;  // prompt tokens taken from the prefix cache
  int32_t n_generated = 0;
  // Steps of the engine that ended between submit and first token, whoever they were for; one that
  // ran at submit counts, too. 0: there is no token.
  int32_t n_steps_to_first_token = 0;
  // Steps of the model that gave a token. With speculative decoding one can give several.
  int32_t n_decode_steps = 0;
  int32_t n_drafted = 0;   // tokens guessed ahead
  int32_t n_accepted = 0;  // … that the model then chose
};

struct Generation {
  std::vector<TokenId> tokens;  // without the stop token
  // log_probability() of each of them when it was chosen. One more at the end when reason is
  // kStopToken: that of the stop token.
  std::vector<float> log_probabilities;
  FinishReason reason = FinishReason::kError;
  // Bytes at the end of the decoded tokens that are not text: the last token can hold the end of
  // the text and the beginning of the stop string. 0 for every reason but kStopString.
  int32_t n_overhang_bytes = 0;
  std::optional<Error> error;  // set when reason is kError
  Timings timings;
};

struct GenerateRequest {
  std::vector<TokenId> prompt;  // at least one token
  // The result's text begins with these bytes: the part of a word before the cursor, taken off the
  // prompt so that the model can write the word in its own tokens.
  std::string forced_text;
  // Texts beside the prompt that the answer may repeat, for speculative decoding; the likeliest
  // last. They change how fast tokens come, never which.
  std::vector<std::vector<TokenId>> draft_texts;
  SamplingParams sampling;
  StopRules stop;
  Priority priority = Priority::kInteractive;
  CancelToken cancel;
  std::function<void(TokenId)> on_token;  // optional; each token of Generation::tokens, in order
  std::function<void(const Generation&)>
      on_finish;  // exactly once, also for refused and cancelled requests
};

struct EngineStats {
  int32_t pages_total = 0;
  int32_t pages_free = 0;     // not referenced by anything
  int32_t pages_cached = 0;   // held by the prefix cache alone, can be evicted
  int64_t tokens_reused = 0;  // prompt tokens served from the prefix cache since start
  int64_t tokens_prefilled = 0;
  int64_t tokens_generated = 0;
  int64_t requests_finished = 0;
  int64_t requests_cancelled = 0;
  int32_t pages_restored = 0;  // read back from the disk (EngineOptions::kv_disk)
  int32_t sequences_running = 0;
  int32_t sequences_waiting = 0;
};

struct ModelInfo {
  std::string name;  // "pocket"
  std::string directory;
  std::string device;       // "cpu (avx512-vnni, 2 threads)": where it was loaded
  std::string device_note;  // why there, when it was not asked for by name; may be empty
  std::string head_format;  // "int8" or "f16"
  int64_t weight_bytes = 0;
  int64_t kv_bytes = 0;
  int32_t context_tokens = 0;  // longest prompt plus answer
  ModelConfig config;
  PromptFormat prompt;
};

inline constexpr const char* kNoDevice = "none";

// Where the model runs now, or kNoDevice. Another device than ModelInfo's takes over when that one
// fails.
struct DeviceStatus {
  std::string device;
  int32_t n_faults = 0;
  std::string last_fault;  // what failed and what came of it; empty: nothing did
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Loads the model; blocks for as long as that takes. `progress` may be called with a fraction
  // 0..1 and a short text.
  using Progress = std::function<void(double fraction, const std::string& what)>;
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options,
                                                const Progress& progress = {},
                                                const CancelToken& cancel = {});

  virtual SequenceId submit(GenerateRequest request) = 0;
  virtual EngineStats stats() const = 0;
  virtual const ModelInfo& info() const = 0;
  virtual std::shared_ptr<const Tokenizer> tokenizer() const = 0;

  virtual DeviceStatus device() const { return {info().device, 0, ""}; }
  // `on_fault` runs on the engine thread after each fault of the device, when it is known what came
  // of it. One at a time; an empty one ends it. It must not call the engine.
  virtual void watch_device(std::function<void(const DeviceStatus&)> on_fault) { (void)on_fault; }
};

}  // namespace incipit::engine
