// Speculative decoding from the text at hand: steps and time with and without.
//   git log -p -W | speculation_bench MODEL_DIR [SHAPE]
// Real edits come as a diff with whole functions as context. Each hunk is a function before and
// after somebody changed it. First a model that writes the new function whatever it is asked stands
// in for one that follows an instruction: its steps say what guessing saves, not what any model
// would write. Then the model of MODEL_DIR goes on with the functions by itself, which says what
// guessing costs, or saves, in time on this machine.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <iostream>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/engine.h"
#include "engine/model/create_model.h"
#include "engine/schedule/engine_loop.h"
#include "engine/weights/weights.h"

namespace {

using namespace incipit::engine;
using Clock = std::chrono::steady_clock;
using Tokens = std::vector<TokenId>;

constexpr int32_t kDrafts[] = {0, 3, 7, 15, 31};
constexpr int32_t kContextTokens = 8192;

struct Rewrite {
  std::string before;
  std::string after;
  int n_lines = 0;
  int n_changed = 0;
};

// Functions of 8 to 120 lines of which at most half changed.
std::vector<Rewrite> read_rewrites(std::istream& diff, size_t at_most) {
  std::vector<Rewrite> found;
  Rewrite hunk;
  const auto end = [&] {
    const bool counts = hunk.n_changed > 0 && hunk.n_lines >= 8 && hunk.n_lines <= 120 &&
                        2 * hunk.n_changed <= hunk.n_lines && !hunk.before.empty();
    if (counts && found.size() < at_most) found.push_back(hunk);
    hunk = {};
  };
  bool in_hunk = false;
  for (std::string line; std::getline(diff, line);) {
    const char mark = line.empty() ? ' ' : line[0];
    const bool body = mark == ' ' || mark == '-' || mark == '+' || mark == '\\';
    if (!body || line.starts_with("--- ") || line.starts_with("+++ ")) {
      end();
      in_hunk = mark == '@';
      continue;
    }
    if (!in_hunk || mark == '\\') continue;
    const std::string text = (line.empty() ? line : line.substr(1)) + "\n";
    if (mark != '+') hunk.before += text;
    if (mark != '-') {
      hunk.after += text;
      ++hunk.n_lines;
    }
    if (mark == '+') ++hunk.n_changed;
  }
  end();
  return found;
}

// Says the token of its script at every position, whatever stands before. With a worker, that one
// computes every step first.
class ScriptedModel final : public Model {
 public:
  ScriptedModel(int32_t vocab, Tokens script, Model* worker)
      : worker_(worker), script_(std::move(script)) {
    config_.vocab = vocab;
    config_.max_positions = 1 << 20;
    if (worker_ != nullptr) config_ = worker_->config();
  }
  const ModelConfig& config() const override { return config_; }
  const char* device_name() const override { return "script"; }
  int32_t n_pages() const override { return worker_ ? worker_->n_pages() : 1024; }
  int32_t max_rows() const override { return worker_ ? worker_->max_rows() : 1024; }
  int64_t weight_bytes() const override { return 0; }
  int64_t kv_bytes() const override { return 0; }
  bool forward(const ForwardBatch& batch) override {
    if (worker_ != nullptr && !worker_->forward(batch)) return false;
    said_.clear();
    for (const int32_t row : batch.logit_rows) {
      const auto next = static_cast<size_t>(batch.positions[static_cast<size_t>(row)]) + 1;
      said_.push_back({next < script_.size() ? script_[next] : 0, 1});
    }
    return true;
  }
  std::span<const Candidate> candidates(int32_t i) const override {
    return std::span(said_).subspan(static_cast<size_t>(i), 1);
  }
  std::span<const float> logits(int32_t) const override { return {}; }
  void copy_page(PageId from, PageId to, int32_t n) override {
    if (worker_ != nullptr) worker_->copy_page(from, to, n);
  }

 private:
  Model* worker_;
  ModelConfig config_;
  Tokens script_;
  std::vector<Candidate> said_;
};

template <class Submit>
Generation run(Submit submit, GenerateRequest request) {
  std::promise<Generation> done;
  request.on_finish = [&](const Generation& generation) { done.set_value(generation); };
  submit(std::move(request));
  return done.get_future().get();
}

Generation rewrite_by_script(const Tokenizer& tokenizer, const Rewrite& rewrite, int32_t n_drafts,
                             Model* worker) {
  GenerateRequest request;
  request.prompt = tokenizer.encode("Rewritten:\n" + (worker ? rewrite.before : ""));
  request.draft_texts = {tokenizer.encode(rewrite.before)};
  const Tokens answer = tokenizer.encode(rewrite.after);
  request.stop.max_new_tokens = static_cast<int32_t>(answer.size());
  Tokens script = request.prompt;
  script.insert(script.end(), answer.begin(), answer.end());
  const int32_t vocab = tokenizer.vocab_size();
  EngineLoop loop(std::make_unique<ScriptedModel>(vocab, std::move(script), worker),
                  {.context_tokens = kContextTokens, .max_batch = 1, .draft_tokens = n_drafts},
                  [&](TokenId token) { return tokenizer.bytes(token); });
  Generation got = run([&](GenerateRequest r) { loop.submit(std::move(r)); }, std::move(request));
  if (got.tokens != answer) {
    fmt::print(stderr, "the script was not followed\n");
    std::exit(1);
  }
  return got;
}

double percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void measure_rewrites(const Tokenizer& tokenizer, std::span<const Rewrite> rewrites,
                      Model* worker) {
  fmt::print("{:>7} {:>9} {:>8} {:>12} {:>14} {:>16} {:>12}\n", "guesses", "tokens", "steps",
             "fewer", "fewer, median", "guesses right", "ms a token");
  for (const int32_t n_drafts : kDrafts) {
    int64_t n_tokens = 0, n_steps = 0, n_guessed = 0, n_right = 0;
    double seconds = 0;
    std::vector<double> factors;
    for (const Rewrite& rewrite : rewrites) {
      const Generation got = rewrite_by_script(tokenizer, rewrite, n_drafts, worker);
      n_tokens += got.timings.n_generated;
      n_steps += got.timings.n_decode_steps;
      n_guessed += got.timings.n_drafted;
      n_right += got.timings.n_accepted;
      seconds += std::chrono::duration<double>(got.timings.total - got.timings.first_token).count();
      factors.push_back(static_cast<double>(got.timings.n_generated) / got.timings.n_decode_steps);
    }
    std::ranges::sort(factors);
    fmt::print("{:>7} {:>9} {:>8} {:>11.2f}x {:>13.2f}x {:>15.1f}% {:>12}\n", n_drafts, n_tokens,
               n_steps, static_cast<double>(n_tokens) / static_cast<double>(n_steps),
               factors[factors.size() / 2], percent(n_right, n_guessed),
               worker ? fmt::format("{:.3f}", 1e3 * seconds / static_cast<double>(n_tokens)) : "");
  }
}

// The script once more, and all the work of a model of a known shape with random weights on a GPU.
void measure_on_gpu(const Tokenizer& tokenizer, std::span<const Rewrite> rewrites,
                    const std::string& shape) {
  const auto model = [&]() -> incipit::Result<std::unique_ptr<Model>> {
    ASSIGN_OR_RETURN(const ModelConfig config, synthetic_model_config(shape));
    ASSIGN_OR_RETURN(const auto weights, synthetic_weights(config, HeadFormat::kInt8, 1, 8));
    const ModelLimits limits{.context_tokens = kContextTokens,
                             .max_rows = 1024,
                             .max_sequences = 1,
                             .max_logit_rows = 1 + kDrafts[std::size(kDrafts) - 1]};
    return create_cuda_model(weights, limits, {});
  }();
  if (!model) {
    fmt::print("\n{} on a GPU: {}\n", shape, model.error().message);
    return;
  }
  fmt::print("\nthe same script, computed by {} with random weights on {}\n", shape,
             (*model)->device_name());
  rewrite_by_script(tokenizer, rewrites.front(), 0, model->get());  // warm
  measure_rewrites(tokenizer, rewrites.first(std::min<size_t>(24, rewrites.size())), model->get());
}

struct Decoded {
  int64_t n_tokens = 0;
  int64_t n_steps = 0;
  double best_seconds = std::numeric_limits<double>::max();
};

// Greedy, all prompts one after the other; the first time fills the cache of prompts.
Decoded decode(Engine& engine, const std::vector<Tokens>& prompts, int repeats) {
  Decoded result;
  for (int i = 0; i <= repeats; ++i) {
    Decoded now;
    double seconds = 0;
    for (const Tokens& prompt : prompts) {
      GenerateRequest request;
      request.prompt = prompt;
      request.stop.max_new_tokens = 64;
      const Generation got =
          run([&](GenerateRequest r) { engine.submit(std::move(r)); }, std::move(request));
      now.n_tokens += got.timings.n_generated;
      now.n_steps += got.timings.n_decode_steps;
      seconds += std::chrono::duration<double>(got.timings.total - got.timings.first_token).count();
    }
    if (i == 0) continue;
    now.best_seconds = std::min(result.best_seconds, seconds);
    result = now;
  }
  return result;
}

void measure_model(const std::string& directory, const std::vector<Rewrite>& rewrites) {
  std::vector<Tokens> copying, going_on;
  for (const int32_t n_drafts : kDrafts) {
    EngineOptions options;
    options.model = directory;
    options.device = "cpu";
    options.draft_tokens = n_drafts;
    auto engine = Engine::create(options);
    if (!engine) {
      fmt::print(stderr, "{}\n", engine.error().message);
      std::exit(1);
    }
    if (copying.empty()) {
      const auto tokenizer = (*engine)->tokenizer();
      const TokenId bos = (*engine)->info().prompt.bos;
      for (size_t i = 0; i < std::min<size_t>(12, rewrites.size()); ++i) {
        const std::string& text = rewrites[i].before;
        size_t head = 0;
        for (int n = 0; n < 4 && head != std::string::npos; ++n) head = text.find('\n', head + 1);
        const auto prompt_of = [&](const std::string& before) {
          Tokens prompt;
          if (bos >= 0) prompt.push_back(bos);
          tokenizer->encode_append(before, prompt);
          return prompt;
        };
        copying.push_back(prompt_of(text + "\n" + text.substr(0, head)));
        going_on.push_back(prompt_of(text.substr(0, head)));
      }
      fmt::print("\n{} on {}\n{:>7} {:>22} {:>22}\n{:>7} {:>10} {:>11} {:>10} {:>11}\n",
                 (*engine)->info().name, (*engine)->info().device, "", "a function once more",
                 "a function gone on with", "guesses", "steps", "ms a token", "steps",
                 "ms a token");
    }
    const Decoded copy = decode(**engine, copying, 3);
    const Decoded on = decode(**engine, going_on, 3);
    const auto ms = [](const Decoded& d) {
      return 1e3 * d.best_seconds / static_cast<double>(d.n_tokens);
    };
    fmt::print("{:>7} {:>10} {:>11.2f} {:>10} {:>11.2f}\n", n_drafts, copy.n_steps, ms(copy),
               on.n_steps, ms(on));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    fmt::print(stderr, "usage: git log -p -W | speculation_bench MODEL_DIR [SHAPE]\n");
    return 2;
  }
  const std::vector<Rewrite> rewrites = read_rewrites(std::cin, 200);
  const auto tokenizer = Tokenizer::load(Tokenizer::find(argv[1]));
  if (rewrites.empty() || !tokenizer) {
    fmt::print(
        stderr, "{}\n",
        rewrites.empty() ? "no function of a usable size in the diff" : tokenizer.error().message);
    return 1;
  }
  int n_lines = 0, n_changed = 0;
  for (const Rewrite& rewrite : rewrites) {
    n_lines += rewrite.n_lines;
    n_changed += rewrite.n_changed;
  }
  fmt::print("{} functions, {} lines, {} of them new or changed\n\n", rewrites.size(), n_lines,
             n_changed);
  fmt::print("the new function written by script, the old one at hand\n");
  measure_rewrites(**tokenizer, rewrites, nullptr);
  if (argc == 3) measure_on_gpu(**tokenizer, rewrites, argv[2]);
  measure_model(argv[1], rewrites);
  return 0;
}
