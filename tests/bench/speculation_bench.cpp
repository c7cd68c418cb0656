// Speculative decoding from the text at hand: steps and time with and without.
//   git log -p -W | speculation_bench MODEL_DIR
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
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model/model.h"
#include "engine/schedule/engine_loop.h"

namespace {

using namespace incipit::engine;
using Clock = std::chrono::steady_clock;
using Tokens = std::vector<TokenId>;

constexpr int32_t kDrafts[] = {0, 3, 7, 15, 31};

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

// Says the token of its script at every position, whatever stands before.
class ScriptedModel final : public Model {
 public:
  ScriptedModel(int32_t vocab, Tokens script) : script_(std::move(script)) {
    config_.vocab = vocab;
    config_.max_positions = 1 << 20;
  }
  const ModelConfig& config() const override { return config_; }
  const char* device_name() const override { return "script"; }
  int32_t n_pages() const override { return 1024; }
  int32_t max_rows() const override { return 1024; }
  int64_t weight_bytes() const override { return 0; }
  int64_t kv_bytes() const override { return 0; }
  bool forward(const ForwardBatch& batch) override {
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
  void copy_page(PageId, PageId, int32_t) override {}

 private:
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

void measure_rewrites(const Tokenizer& tokenizer, const std::vector<Rewrite>& rewrites) {
  fmt::print("the new function written by script, the old one at hand\n");
  fmt::print("{:>7} {:>9} {:>8} {:>12} {:>14} {:>16}\n", "guesses", "tokens", "steps", "fewer",
             "fewer, median", "guesses right");
  for (const int32_t n_drafts : kDrafts) {
    int64_t n_tokens = 0, n_steps = 0, n_guessed = 0, n_right = 0;
    std::vector<double> factors;
    for (const Rewrite& rewrite : rewrites) {
      GenerateRequest request;
      request.prompt = tokenizer.encode("Rewritten:\n");
      request.draft_texts = {tokenizer.encode(rewrite.before)};
      const Tokens answer = tokenizer.encode(rewrite.after);
      request.stop.max_new_tokens = static_cast<int32_t>(answer.size());
      Tokens script = request.prompt;
      script.insert(script.end(), answer.begin(), answer.end());
      EngineLoop loop(std::make_unique<ScriptedModel>(tokenizer.vocab_size(), std::move(script)),
                      {.context_tokens = 8192, .max_batch = 1, .draft_tokens = n_drafts},
                      [&](TokenId token) { return tokenizer.bytes(token); });
      const Generation got =
          run([&](GenerateRequest r) { loop.submit(std::move(r)); }, std::move(request));
      if (got.tokens != answer) {
        fmt::print(stderr, "the script was not followed\n");
        std::exit(1);
      }
      n_tokens += got.timings.n_generated;
      n_steps += got.timings.n_decode_steps;
      n_guessed += got.timings.n_drafted;
      n_right += got.timings.n_accepted;
      factors.push_back(static_cast<double>(got.timings.n_generated) / got.timings.n_decode_steps);
    }
    std::ranges::sort(factors);
    fmt::print(
        "{:>7} {:>9} {:>8} {:>11.2f}x {:>13.2f}x {:>15.1f}%\n", n_drafts, n_tokens, n_steps,
        static_cast<double>(n_tokens) / static_cast<double>(n_steps), factors[factors.size() / 2],
        n_guessed == 0 ? 0.0
                       : 100.0 * static_cast<double>(n_right) / static_cast<double>(n_guessed));
  }
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
  if (argc != 2) {
    fmt::print(stderr, "usage: git log -p -W | speculation_bench MODEL_DIR\n");
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
  measure_rewrites(**tokenizer, rewrites);
  measure_model(argv[1], rewrites);
  return 0;
}
