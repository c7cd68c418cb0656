#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/log.h"
#include "engine/kv/page_table.h"
#include "engine/model/open_model.h"
#include "engine/schedule/engine_loop.h"
#include "engine/weights/checksum.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

namespace {

constexpr int32_t kDefaultContextTokens = 8192;
constexpr int32_t kMaxBatch = 256;
constexpr int32_t kMaxPrefillChunk = 4096;
constexpr int32_t kMaxThreads = 1024;

class LocalEngine final : public Engine {
 public:
  LocalEngine(OpenedModel opened, ModelInfo info, std::shared_ptr<const Tokenizer> tokenizer,
              std::optional<PageKeeping> keeping)
      : info_(std::move(info)),
        tokenizer_(std::move(tokenizer)),
        loop_(
            std::move(opened.planned.model), opened.planned.scheduling,
            [tokens = tokenizer_](TokenId token) { return tokens->bytes(token); },
            std::move(opened.supply), std::move(keeping)) {}

  SequenceId submit(GenerateRequest request) override { return loop_.submit(std::move(request)); }
  EngineStats stats() const override { return loop_.stats(); }
  const ModelInfo& info() const override { return info_; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return tokenizer_; }
  DeviceStatus device() const override { return loop_.device(); }
  void watch_device(std::function<void(const DeviceStatus&)> on_fault) override {
    loop_.watch_device(std::move(on_fault));
  }

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
  TRY(parse_kv_disk(options.kv_disk));
  TRY(check_range("n_threads", options.n_threads, 0, kMaxThreads));
  TRY(check_range("max_batch", options.max_batch, 1, kMaxBatch));
  TRY(check_range("prefill_chunk", options.prefill_chunk, 0, kMaxPrefillChunk));
  TRY(check_range("draft_tokens", options.draft_tokens, -1, kMaxDraftTokens));
  TRY(check_range("context_tokens", options.context_tokens, 0,
                  std::numeric_limits<int32_t>::max()));
  return check_range("kv_bytes", options.kv_bytes, 0, std::numeric_limits<int64_t>::max());
}

// May stretch the model's positions.
Result<int32_t> choose_context(const EngineOptions& options, ModelConfig& config) {
  if (options.context_tokens == 0) return std::min(config.max_positions, kDefaultContextTokens);
  const int32_t trained = config.max_positions;
  TRY(extend_context(config, options.context_tokens));
  if (config.max_positions > trained)
    log::warn(
        "engine: a context of {} tokens, {:.1f} times what the model was trained for, by YaRN; it "
        "may write worse than with {}",
        config.max_positions, config.rope_scaling->factor, trained);
  return options.context_tokens;
}

// A tokenizer with more tokens than the model has rows would make prompts that no model can read.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::filesystem::path& directory,
                                                        const ModelConfig& config) {
  const std::filesystem::path file = Tokenizer::find(directory);
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::load(file));
  if (tokenizer->vocab_size() > config.vocab)
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: {} tokens, but config.json has vocab_size {}", file.string(),
                             tokenizer->vocab_size(), config.vocab)};
  return tokenizer;
}

Result<Weights<kernels::CpuTile>> make_weights(const std::filesystem::path& directory,
                                               const EngineOptions& options,
                                               const LoadProgress& progress,
                                               const CancelToken& cancel) {
  if (options.synthetic.empty())
    return load_weights(directory, {options.head_format, options.cache_dir}, progress, cancel);
  progress(0, "making random weights");
  ASSIGN_OR_RETURN(const ModelConfig config, synthetic_model_config(options.synthetic));
  // The tokenizer's vocabulary, so that what is generated is text.
  ASSIGN_OR_RETURN(const ModelConfig theirs, load_model_config(directory));
  ASSIGN_OR_RETURN(auto weights, synthetic_weights(config, options.head_format, 1,
                                                   options.n_threads, theirs.vocab));
  weights.fingerprint = checksum(fmt::format("{} {}", options.synthetic, theirs.vocab));
  return weights;
}

// What the bytes of a page depend on besides its tokens. To be raised when the arithmetic of keys
// and values, or their layout in a page, changes.
constexpr int kPageArithmetic = 1;

std::string page_identity(const Weights<kernels::CpuTile>& weights, const ModelConfig& config,
                          const Model& model, kernels::KvType kv_type) {
  std::string text =
      fmt::format("arithmetic {} weights {:016x} layers {} kv {} x {} {} theta {} eps {}",
                  kPageArithmetic, weights.fingerprint, config.n_layers, config.n_kv_heads,
                  config.head_dim, name_of(kv_type), config.rope_theta, config.norm_eps);
  if (const auto& rope = config.rope_scaling)
    text += fmt::format(" rope {} {} {} {} {} {} {} {}", name_of(rope->type), rope->factor,
                        rope->original_max_positions, rope->low_freq_factor, rope->high_freq_factor,
                        rope->beta_fast, rope->beta_slow, rope->attention_factor);
  // Not the number of threads: "cpu (avx2, 2 threads)".
  const std::string_view device = model.device_name();
  return fmt::format("{} on {}", text, device.substr(0, device.rfind(", ")));
}

// Where the pages of this model are kept between two runs; nothing when they are not.
Result<std::optional<PageKeeping>> page_keeping(const EngineOptions& options,
                                                const std::string& name, uint64_t fingerprint,
                                                std::string identity) {
  ASSIGN_OR_RETURN(const int64_t max_bytes, parse_kv_disk(options.kv_disk));
  if (max_bytes == 0) return std::optional<PageKeeping>();
  std::filesystem::path directory = options.cache_dir;
  if (directory.empty()) {
    const auto usual = default_cache_dir();
    if (usual) directory = *usual;
  }
  if (fingerprint == 0 || directory.empty()) {
    log::warn("kv-disk: off: {}", directory.empty() ? "there is no cache directory"
                                                    : "the weights are not in a packed file");
    return std::optional<PageKeeping>();
  }
  const auto file = fmt::format("{}-{:016x}.pages", name, checksum(std::string_view(identity)));
  return std::optional(PageKeeping{directory / "kv" / file, std::move(identity), max_bytes});
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
  ASSIGN_OR_RETURN(auto weights, make_weights(
                                     directory, options,
                                     [&](double fraction, const std::string& what) {
                                       report(kWeightsShare * fraction, what);
                                     },
                                     cancel));
  TRY(check_cancel(cancel));
  ASSIGN_OR_RETURN(const int32_t context_tokens, choose_context(options, weights.config));
  const ModelConfig config = weights.config;

  report(kWeightsShare, "reading the tokenizer");
  ASSIGN_OR_RETURN(auto tokenizer, load_tokenizer(directory, config));
  ASSIGN_OR_RETURN(auto prompt, load_prompt_format(directory, *tokenizer));
  TRY(choose_prompt_layout(options.prompt_layout, prompt));

  report(kWeightsShare, "taking memory");
  ASSIGN_OR_RETURN(OpenedModel opened, open_model(weights, options, context_tokens));
  const Model& model = *opened.planned.model;
  TRY(check_cancel(cancel));

  ModelInfo info;
  info.directory = std::filesystem::absolute(directory).lexically_normal().string();
  info.name = std::filesystem::path(info.directory).filename().string();
  info.device = model.device_name();
  info.device_note = opened.note;
  info.head_format = options.head_format == HeadFormat::kInt8 ? "int8" : "f16";
  info.weight_bytes = model.weight_bytes();
  info.kv_bytes = model.kv_bytes();
  info.context_tokens = static_cast<int32_t>(
      std::min<int64_t>(context_tokens, int64_t{model.n_pages()} * kPageTokens));
  info.config = config;
  info.prompt = std::move(prompt);
  log::info("engine: {} on {}, {} MB of weights, {} KV pages ({} tokens), context {}", info.name,
            info.device, info.weight_bytes / 1000000, model.n_pages(),
            int64_t{model.n_pages()} * kPageTokens, info.context_tokens);

  ASSIGN_OR_RETURN(const kernels::KvType wanted_kv, choose_kv_type(options));
  const bool is_cpu = info.device.starts_with("cpu");
  const kernels::KvType kv_type = is_cpu ? kernels::KvType::kF16 : wanted_kv;
  ASSIGN_OR_RETURN(auto keeping, page_keeping(options, info.name, weights.fingerprint,
                                              page_identity(weights, config, model, kv_type)));

  report(1, "ready");
  return std::unique_ptr<Engine>(std::make_unique<LocalEngine>(
      std::move(opened), std::move(info), std::move(tokenizer), std::move(keeping)));
}

}  // namespace incipit::engine
