#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "engine/base/log.h"
#include "engine/kv/kv_budget.h"
#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/schedule/engine_loop.h"
#include "engine/weights/memory_block.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

namespace {

constexpr int32_t kDefaultContextTokens = 8192;
constexpr int32_t kMaxBatch = 256;
constexpr int32_t kMaxPrefillChunk = 4096;
constexpr int32_t kMaxThreads = 1024;

class LocalEngine final : public Engine {
 public:
  LocalEngine(std::unique_ptr<Model> model, const SchedulerOptions& options, ModelInfo info,
              std::shared_ptr<const Tokenizer> tokenizer)
      : info_(std::move(info)),
        tokenizer_(std::move(tokenizer)),
        loop_(std::move(model), options,
              [tokenizer = tokenizer_](TokenId token) { return tokenizer->bytes(token); }) {}

  SequenceId submit(GenerateRequest request) override { return loop_.submit(std::move(request)); }
  EngineStats stats() const override { return loop_.stats(); }
  const ModelInfo& info() const override { return info_; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }

 private:
  ModelInfo info_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  EngineLoop loop_;
};

Result<void> check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{}: want {}..{}, found {}", name, low, high, value)};
}

Result<void> check_options(const EngineOptions& options) {
  TRY(check_range("n_threads", options.n_threads, 0, kMaxThreads));
  TRY(check_range("max_batch", options.max_batch, 1, kMaxBatch));
  TRY(check_range("prefill_chunk", options.prefill_chunk, 1, kMaxPrefillChunk));
  TRY(check_range("context_tokens", options.context_tokens, 0,
                  std::numeric_limits<int32_t>::max()));
  return check_range("kv_bytes", options.kv_bytes, 0, std::numeric_limits<int64_t>::max());
}

Result<int32_t> choose_context(const EngineOptions& options, const ModelConfig& config) {
  if (options.context_tokens == 0) return std::min(config.max_positions, kDefaultContextTokens);
  if (options.context_tokens > config.max_positions)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("context_tokens: the model knows {} positions, found {}",
                             config.max_positions, options.context_tokens)};
  return options.context_tokens;
}

// A tokenizer with more tokens than the model has rows would make prompts that no model can read.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::filesystem::path& directory,
                                                        const ModelConfig& config) {
  const std::filesystem::path file = directory / "tokenizer.json";
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::load(file));
  if (tokenizer->vocab_size() > config.vocab)
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: {} tokens, but config.json has vocab_size {}", file.string(),
                             tokenizer->vocab_size(), config.vocab)};
  return tokenizer;
}

Result<void> check_cancel(const CancelToken& cancel) {
  if (!cancel.cancelled()) return {};
  return Error{ErrorCode::kCancelled, "loading the model was cancelled"};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options,
                                               const Progress& progress,
                                               const CancelToken& cancel) {
  // Reading the weights is nearly all of the time.
  constexpr double kWeightsShare = 0.9;
  const auto report = [&](double fraction, const std::string& what) {
    if (progress) progress(fraction, what);
  };
  TRY(check_options(options));
  TRY(check_cancel(cancel));
  report(0, "finding the model");
  ASSIGN_OR_RETURN(const std::filesystem::path directory, find_model(options.model));
  const LoadOptions load_options{options.head_format, options.cache_dir};
  ASSIGN_OR_RETURN(auto weights, load_weights(
                                     directory, load_options,
                                     [&](double fraction, const std::string& what) {
                                       report(kWeightsShare * fraction, what);
                                     },
                                     cancel));
  TRY(check_cancel(cancel));
  const ModelConfig config = weights.config;
  ASSIGN_OR_RETURN(const int32_t context_tokens, choose_context(options, config));

  report(kWeightsShare, "reading the tokenizer");
  ASSIGN_OR_RETURN(auto tokenizer, load_tokenizer(directory, config));
  ASSIGN_OR_RETURN(auto prompt, load_prompt_format(directory, *tokenizer));

  report(kWeightsShare, "taking memory");
  ASSIGN_OR_RETURN(const int32_t n_pages, kv_pages_for(config, options.kv_bytes, context_tokens,
                                                       available_memory_bytes()));
  const ModelLimits limits = {.n_pages = n_pages,
                              .context_tokens = context_tokens,
                              .max_rows = options.max_batch + options.prefill_chunk,
                              .max_sequences = options.max_batch};
  ASSIGN_OR_RETURN(auto model,
                   create_cpu_model(std::move(weights), limits, {options.n_threads, options.isa}));
  TRY(check_cancel(cancel));

  ModelInfo info;
  info.directory = std::filesystem::absolute(directory).lexically_normal().string();
  info.name = std::filesystem::path(info.directory).filename().string();
  info.device = model->device_name();
  info.head_format = options.head_format == HeadFormat::kInt8 ? "int8" : "f16";
  info.weight_bytes = model->weight_bytes();
  info.kv_bytes = model->kv_bytes();
  info.context_tokens =
      static_cast<int32_t>(std::min<int64_t>(context_tokens, int64_t{n_pages} * kPageTokens));
  info.config = config;
  info.prompt = std::move(prompt);
  log::info("engine: {} on {}, {} MB of weights, {} KV pages ({} tokens), context {}", info.name,
            info.device, info.weight_bytes / 1000000, n_pages, int64_t{n_pages} * kPageTokens,
            info.context_tokens);

  const SchedulerOptions scheduling = {.n_pages = n_pages,
                                       .context_tokens = context_tokens,
                                       .max_batch = options.max_batch,
                                       .prefill_chunk = options.prefill_chunk,
                                       .prefix_caching = options.prefix_caching};
  report(1, "ready");
  return std::unique_ptr<Engine>(std::make_unique<LocalEngine>(
      std::move(model), scheduling, std::move(info), std::move(tokenizer)));
}

}  // namespace incipit::engine
