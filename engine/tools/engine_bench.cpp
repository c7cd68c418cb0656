#include "engine/tools/engine_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/kv/page_table.h"
#include "engine/tools/bench_driver.h"
#include "engine/tools/bench_model.h"
#include "engine/weights/weights.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int32_t kShortPrompt = 16;
constexpr int32_t kWindows = 4;           // of the decode figure, the best counts
constexpr int32_t kDefaultCached = 1500;  // a prompt for a file of ordinary length
constexpr int32_t kBatch = 8;             // sequences of the batched step
constexpr int32_t kStepsAfterPrefix = 9;  // decode steps measured at the long context
constexpr int32_t kMaxRepeats = 20;
static_assert(kBenchDecodeTokens.low >= kWindows);

int64_t int4_macs_per_token(const ModelConfig& c) {
  const int64_t hidden = c.hidden;
  return c.n_layers * (c.qkv_rows() * hidden + hidden * c.attention_dim() + 3 * hidden * c.ffn);
}

// Of a whole prompt: each position's scores and values over itself and what came before.
int64_t attention_macs(const ModelConfig& c, int64_t n_tokens) {
  return int64_t{c.n_layers} * c.attention_dim() * n_tokens * (n_tokens + 1);
}

int64_t head_macs(const ModelConfig& c) {
  return int64_t{c.vocab} * c.hidden;
}

// Bytes of weights that a decode step reads: all but the embedding, of which it reads one row,
// unless the head is that table.
int64_t step_weight_bytes(const Weights<kernels::CpuTile>& w) {
  const bool embedding_is_head = w.head_f16 != nullptr && w.head_f16 == w.embedding;
  if (embedding_is_head) return w.bytes;
  return w.bytes - int64_t{w.config.vocab} * w.config.hidden * 2;
}

Error out_of_range(const char* name, int64_t low, int64_t high, const std::string& why,
                   int64_t found) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("bench: {}: want {}..{}{}, found {}", name, low, high, why, found)};
}

Result<void> check_setting(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return out_of_range(name, low, high, "", value);
}

Result<void> check_setting(const char* name, int64_t value, CountRange range) {
  return check_setting(name, value, range.low, range.high);
}

// What else must fit in the context beside `value` is `others`.
Result<void> check_fits(const char* name, int64_t value, CountRange range,
                        const ModelConfig& config, int64_t others) {
  const int64_t high = std::min<int64_t>(range.high, config.max_positions - others);
  if (value <= high) return {};
  return out_of_range(name, range.low, high,
                      fmt::format(" (the model's context is {})", config.max_positions), value);
}

Result<void> check_counts(const EngineBenchOptions& options) {
  TRY(check_setting("prompt-tokens", options.prompt_tokens, kBenchPromptTokens));
  TRY(check_setting("decode-tokens", options.decode_tokens, kBenchDecodeTokens));
  TRY(check_setting("cached-tokens", options.cached_tokens.value_or(kDefaultCached),
                    kBenchCachedTokens));
  TRY(check_setting("new-tokens", options.new_tokens, kBenchNewTokens));
  TRY(check_setting("threads", options.engine.n_threads, 0, 1024));
  TRY(check_setting("max_batch", options.engine.max_batch, 1, 256));
  return check_setting("prefill_chunk", options.engine.prefill_chunk, 0, 4096);
}

struct Lengths {
  int32_t context_tokens = 0;
  int32_t n_pages = 0;
  int32_t n_cached = 0;
};

// Enough context and pages for the longest run of each figure. The prefix that nobody asked for
// gives way to a short context; what the model cannot hold otherwise is an error.
Result<Lengths> choose_lengths(const EngineBenchOptions& options, const ModelConfig& config) {
  const int32_t after_prefix = options.new_tokens + kStepsAfterPrefix + 1;
  const int32_t decoding = kShortPrompt + options.decode_tokens + 1;
  TRY(check_fits("prompt-tokens", options.prompt_tokens, kBenchPromptTokens, config, 1));
  TRY(check_fits("decode-tokens", options.decode_tokens, kBenchDecodeTokens, config,
                 decoding - options.decode_tokens));
  TRY(check_fits("new-tokens", options.new_tokens, kBenchNewTokens, config,
                 after_prefix - options.new_tokens + 1));
  TRY(check_fits("cached-tokens", options.cached_tokens.value_or(1), kBenchCachedTokens, config,
                 after_prefix));
  Lengths lengths;
  lengths.n_cached =
      options.cached_tokens.value_or(std::min(kDefaultCached, config.max_positions - after_prefix));
  lengths.context_tokens =
      std::min(config.max_positions,
               std::max({options.prompt_tokens + 1, decoding, lengths.n_cached + after_prefix}));
  // Twice the longest: what earlier runs left in the cache is evicted, the prefix stays.
  lengths.n_pages = 2 * pages_for(lengths.context_tokens) +
                    std::min(kBatch, options.engine.max_batch) * pages_for(decoding);
  return lengths;
}

// Measures one figure after the other and fills the report. The probe measures between them.
class Bench {
 public:
  Bench(const EngineBenchOptions& options, const ModelConfig& config, int32_t n_cached,
        BenchDriver& driver, const MeasureMachine& measure, EngineBenchReport& report)
      : options_(options),
        config_(config),
        n_cached_(n_cached),
        driver_(driver),
        measure_(measure),
        report_(report) {}

  Result<void> run(const BenchProgress& say, const CancelToken& cancel) {
    const struct {
      const char* what;
      Result<void> (Bench::*measure)();
    } figures[] = {{"prefill", &Bench::prefill},
                   {"decoding", &Bench::decode},
                   {"decoding several sequences", &Bench::decode_together},
                   {"first token after a cached prefix", &Bench::cached_first_token}};
    double fraction = 0.3;
    for (const auto& figure : figures) {
      if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "the bench was cancelled"};
      say(fraction, figure.what);
      measure_();  // between the figures the engine is idle
      TRY((this->*figure.measure)());
      fraction += 0.17;
    }
    write_rows();
    say(1, "done");
    return {};
  }

 private:
  Result<void> prefill() {
    const int32_t n = options_.prompt_tokens;
    return repeat([&]() -> Result<void> {
      ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(driver_.random_tokens(n), 1));
      keep_best(prefill_s_, run.first_token_s());
      return {};
    });
  }

  Result<void> decode() {
    return repeat([&]() -> Result<void> {
      ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(driver_.random_tokens(kShortPrompt),
                                                          options_.decode_tokens + 1));
      keep_best(decode_s_, run.best_step_s(kWindows));
      return {};
    });
  }

  Result<void> decode_together() {
    n_together_ = std::min(kBatch, options_.engine.max_batch);
    const int32_t n_new = std::max(8, options_.decode_tokens / kWindows) + 1;
    return repeat([&]() -> Result<void> {
      std::vector<std::vector<TokenId>> prompts;
      for (int32_t i = 0; i < n_together_; ++i) {
        // One page of prompt each: all are prefilled within a few steps of each other.
        prompts.push_back(driver_.random_tokens(kShortPrompt / 2));
      }
      ASSIGN_OR_RETURN(const std::vector<ObservedRun> runs, driver_.run(prompts, n_new));
      keep_best(together_s_, shared_step_s(runs));
      return {};
    });
  }

  Result<void> cached_first_token() {
    const std::vector<TokenId> prefix = driver_.random_tokens(n_cached_);
    // Once to fill the cache; a prompt must hold a token, so the prefix itself is the prompt.
    TRY(driver_.run(prefix, 0));
    return repeat([&]() -> Result<void> {
      std::vector<TokenId> prompt = prefix;
      const std::vector<TokenId> tail = driver_.random_tokens(options_.new_tokens);
      prompt.insert(prompt.end(), tail.begin(), tail.end());
      ASSIGN_OR_RETURN(const ObservedRun run, driver_.run(prompt, kStepsAfterPrefix));
      keep_best(cached_first_s_, run.first_token_s());
      keep_best(cached_step_s_, run.best_step_s(1));
      n_reused_ = run.n_cached_tokens;
      return {};
    });
  }

  static void keep_best(double& best, double seconds) {
    if (seconds > 0 && (best == 0 || seconds < best)) best = seconds;
  }

  template <class Figure>
  Result<void> repeat(Figure figure) {
    const Clock::time_point start = Clock::now();
    for (int32_t i = 0; i < kMaxRepeats; ++i) {
      TRY(figure());
      if (std::chrono::duration<double>(Clock::now() - start).count() > options_.seconds_a_figure) {
        break;
      }
    }
    return {};
  }

  using Level = EngineBenchRow::Level;

  void add_detail(const std::string& name, double value, const char* unit) {
    report_.rows.push_back({name, value, unit, std::nullopt, std::nullopt, "", Level::kDetail});
  }
  // A rate has a highest possible value, a time a lowest.
  void add_rate(const std::string& name, double value, const char* unit, double limit,
                std::string note, Level level = Level::kFigure) {
    report_.rows.push_back({name, value, unit, limit, value / limit, std::move(note), level});
  }
  void add_time(const std::string& name, double value, const char* unit, double limit,
                std::string note) {
    report_.rows.push_back(
        {name, value, unit, limit, limit / value, std::move(note), Level::kFigure});
  }
  void write_prefill_rows();
  void write_rows();

  const EngineBenchOptions& options_;
  const ModelConfig& config_;
  int32_t n_cached_;
  BenchDriver& driver_;
  const MeasureMachine& measure_;
  EngineBenchReport& report_;

  double prefill_s_ = 0;
  double decode_s_ = 0;
  double together_s_ = 0;
  int32_t n_together_ = 0;
  double cached_first_s_ = 0;
  double cached_step_s_ = 0;
  int32_t n_reused_ = 0;
};

void Bench::write_prefill_rows() {
  const MachineFigures& machine = report_.machine;
  const int64_t n = options_.prompt_tokens;
  const int64_t int4 = int4_macs_per_token(config_) * n;
  const double useful =
      2.0 * static_cast<double>(int4 + attention_macs(config_, n) + head_macs(config_));
  if (machine.is_gpu()) {
    add_rate(fmt::format("prefill, {} tokens", n), static_cast<double>(n) / prefill_s_, "tok/s",
             machine.tensor_flops_per_s * static_cast<double>(n) / useful,
             "limit: the multiply-adds of the model at the fp16 tensor peak of mma.m16n8k16");
    add_detail("useful arithmetic", useful / prefill_s_ / 1e12, "TFLOP/s");
    return;
  }
  const double planes = 4.0 * static_cast<double>(int4);  // two int8 planes an activation
  add_rate(fmt::format("prefill, {} tokens", n), static_cast<double>(n) / prefill_s_, "tok/s",
           machine.fma_flops_per_s * static_cast<double>(n) / useful,
           "limit: the multiply-adds of the model at the float FMA peak");
  add_rate("useful arithmetic", useful / prefill_s_ / 1e9, "Gop/s", machine.int8_ops_per_s / 1e9,
           "limit: int8 peak; each multiply-add counted once (two operations)", Level::kDetail);
  add_rate("executed int8 arithmetic", planes / prefill_s_ / 1e9, "Gop/s",
           machine.int8_ops_per_s / 1e9,
           "limit: int8 peak; projections only, both int8 planes of an activation counted",
           Level::kDetail);
}

void Bench::write_rows() {
  report_.machine = measure_();
  const double read = report_.machine.read_bytes_per_s;
  const auto step_bytes = static_cast<double>(report_.step_weight_bytes);
  const auto kv = static_cast<double>(report_.kv_bytes_per_token);
  write_prefill_rows();

  // Then a share above 1 is no wonder.
  const bool in_cache = step_bytes < static_cast<double>(report_.machine.cache_bytes);
  const char* const beyond = in_cache ? " of memory; they fit the last-level cache" : " of memory";
  const double short_kv = kv * (kShortPrompt + options_.decode_tokens / 2.0);
  add_rate(
      "decode, one sequence", 1 / decode_s_, "tok/s", read / (step_bytes + short_kv),
      fmt::format("limit: {:.1f} MB a step at the read bandwidth{}", step_bytes / 1e6, beyond));
  if (together_s_ > 0) {
    add_rate(fmt::format("decode, {} sequences together", n_together_), n_together_ / together_s_,
             "tok/s", n_together_ * read / step_bytes, "limit: the same bytes serve all of them");
    add_detail(fmt::format("step of {} sequences / step of one", n_together_),
               together_s_ / decode_s_, "x");
  }

  const double long_bytes = step_bytes + kv * (n_cached_ + options_.new_tokens);
  const std::string note = fmt::format("limit: weights and {:.1f} MB of keys and values, read once",
                                       (long_bytes - step_bytes) / 1e6);
  add_time(fmt::format("first token, {} tokens cached, {} new", n_reused_,
                       n_cached_ + options_.new_tokens - n_reused_),
           cached_first_s_ * 1e3, "ms", long_bytes / read * 1e3, note);
  add_time("decode step at that context", cached_step_s_ * 1e3, "ms", long_bytes / read * 1e3,
           note);
  add_detail("first token / decode step", cached_first_s_ / cached_step_s_, "x");
}

}  // namespace

Result<EngineBenchReport> run_engine_bench(const EngineBenchOptions& options,
                                           const BenchProgress& progress,
                                           const CancelToken& cancel) {
  const BenchProgress say = [&](double fraction, const std::string& what) {
    if (progress) progress(fraction, what);
  };
  TRY(check_counts(options));
  const int32_t n_threads =
      options.engine.n_threads > 0 ? options.engine.n_threads : kernels::physical_cores_available();
  ASSIGN_OR_RETURN(const BenchWeights loaded, load_bench_weights(options, n_threads, say, cancel));
  const ModelConfig config = loaded.weights.config;
  EngineBenchReport report;
  report.model = loaded.name;
  report.n_threads = n_threads;
  report.weight_bytes = loaded.weights.bytes;
  report.step_weight_bytes = step_weight_bytes(loaded.weights);

  ASSIGN_OR_RETURN(const Lengths lengths, choose_lengths(options, config));
  say(0.25, "measuring the machine");
  ASSIGN_OR_RETURN(BenchModel opened, open_bench_model(options, loaded.weights, n_threads,
                                                       lengths.context_tokens, lengths.n_pages));
  report.device = opened.planned.model->device_name();
  report.isa = opened.isa;
  report.kv_bytes_per_token = config.kv_bytes_per_token(opened.kv_type);
  BenchDriver driver(std::move(opened.planned.model), opened.planned.scheduling);
  Bench bench(options, config, lengths.n_cached, driver, opened.measure, report);
  TRY(bench.run(say, cancel));
  return report;
}

}  // namespace incipit::engine
