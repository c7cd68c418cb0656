// Our half of the comparison with Hugging Face's LlamaForCausalLM (run.sh runs both halves):
//
//   oracle_model --shape NAME | --model DIR --out DIR [--device cuda|cpu] [--tokens N] [--seed N]
//                [--layers N] [--export-only]
//
// Makes random weights of a known shape, or takes those of a model directory (one that `incipit
// model add` made, too), writes them as plain files, runs a random token sequence teacher-forced
// through the engine's model in several ways and writes every position's logits. DIR/manifest.json
// lists it all; compare.py reads it. --layers shortens a random model.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/model/create_model.h"
#include "tests/oracle/model/plain_weights.h"
#include "tests/oracle/model/teacher_forcing.h"

namespace incipit::oracle {

namespace {

using engine::TokenId;
using nlohmann::json;

constexpr int32_t kFlatRows = 64;   // as the CUDA backend's; any chunk is exact on the CPU
constexpr int32_t kLogitRows = 64;  // of one step

struct Arguments {
  std::string shape = "llama-3-8b";
  std::string model;  // a directory; empty: random weights
  std::string out;
  std::string device = "cuda";
  int32_t n_tokens = 2000;
  int32_t n_layers = 0;  // 0: the shape's
  uint64_t seed = 1;
  bool export_only = false;
};

Result<Arguments> parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--export-only") {
      a.export_only = true;
      continue;
    }
    if (i + 1 == argc) return Error{ErrorCode::kInvalidArgument, name + ": want a value after it"};
    const std::string value = argv[++i];
    if (name == "--shape") {
      a.shape = value;
    } else if (name == "--model") {
      a.model = value;
    } else if (name == "--out") {
      a.out = value;
    } else if (name == "--device") {
      a.device = value;
    } else if (name == "--tokens") {
      a.n_tokens = std::atoi(value.c_str());
    } else if (name == "--layers") {
      a.n_layers = std::atoi(value.c_str());
    } else if (name == "--seed") {
      a.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else {
      return Error{ErrorCode::kInvalidArgument, name + ": no such option"};
    }
  }
  if (a.out.empty()) return Error{ErrorCode::kInvalidArgument, "--out: want a directory"};
  if (a.n_tokens < 64) return Error{ErrorCode::kInvalidArgument, "--tokens: want 64 or more"};
  return a;
}

// Says what takes how long, since the whole is a matter of a minute.
class Clock {
 public:
  void say(const std::string& what) const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    fmt::print(stderr, "{:6.1f} s  {}\n", passed.count(), what);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<TokenId> random_tokens(int32_t n, int32_t vocab, uint64_t seed) {
  std::mt19937_64 random(seed + 1000);
  std::uniform_int_distribution<TokenId> token(0, vocab - 1);
  std::vector<TokenId> tokens(static_cast<size_t>(n));
  for (TokenId& t : tokens) t = token(random);
  return tokens;
}

Result<std::unique_ptr<engine::Model>> make_model(const Arguments& arguments,
                                                  const PackedWeights& weights) {
  const engine::ModelLimits limits = limits_for(arguments.n_tokens, kLogitRows);
  if (arguments.device == "cpu") return engine::create_cpu_model(weights, limits, {});
  return engine::create_cuda_model(weights, limits, {});
}

Result<void> write_manifest(const json& manifest, const std::filesystem::path& directory) {
  std::ofstream file(directory / "manifest.json");
  file << manifest.dump(1) << "\n";
  file.close();
  if (file) return {};
  return Error{ErrorCode::kIo, (directory / "manifest.json").string() + ": cannot be written"};
}

Result<PackedWeights> take_weights(const Arguments& arguments) {
  if (!arguments.model.empty()) return engine::load_weights(arguments.model, {});
  ASSIGN_OR_RETURN(engine::ModelConfig config, engine::synthetic_model_config(arguments.shape));
  if (arguments.n_layers > 0) config.n_layers = arguments.n_layers;
  return make_weights(config, arguments.seed);
}

Result<void> run(const Arguments& arguments) {
  const Clock clock;
  const std::filesystem::path directory = arguments.out;
  std::filesystem::create_directories(directory);
  ASSIGN_OR_RETURN(const PackedWeights weights, take_weights(arguments));
  const engine::ModelConfig& config = weights.config;
  const std::string what = arguments.model.empty() ? arguments.shape : arguments.model;
  clock.say(fmt::format("have {} with {} layers", what, config.n_layers));
  json manifest = {{"shape", what}, {"seed", arguments.seed}};
  manifest["config"] = config_json(config);
  ASSIGN_OR_RETURN(manifest["matrices"], write_plain_weights(weights, directory));
  clock.say("wrote the weights");

  const std::vector<TokenId> tokens =
      random_tokens(arguments.n_tokens, config.vocab, arguments.seed);
  manifest["tokens"] = tokens;
  manifest["passes"] = json::array();
  if (arguments.export_only) return write_manifest(manifest, directory);
  ASSIGN_OR_RETURN(auto model, make_model(arguments, weights));
  manifest["device"] = model->device_name();
  clock.say(fmt::format("the model is on {}", model->device_name()));
  for (const Pass& pass : passes_over(arguments.n_tokens, kFlatRows)) {
    TRY(run_pass(*model, tokens, pass, kLogitRows, directory));
    manifest["passes"].push_back(
        {{"name", pass.name}, {"file", pass.file}, {"same_bits_as", pass.same_bits_as}});
    clock.say(pass.name);
  }
  return write_manifest(manifest, directory);
}

}  // namespace
}  // namespace incipit::oracle

int main(int argc, char** argv) {
  using namespace incipit;
  const Result<oracle::Arguments> arguments = oracle::parse(argc, argv);
  if (!arguments.ok()) {
    fmt::print(stderr, "oracle_model: {}\n", arguments.error().message);
    return 2;
  }
  std::string failure;
  try {
    const Result<void> done = oracle::run(*arguments);
    if (!done.ok()) failure = done.error().message;
  } catch (const std::exception& e) {  // a device that fails, a file system that is full
    failure = e.what();
  }
  if (failure.empty()) return 0;
  fmt::print(stderr, "oracle_model: {}\n", failure);
  return 1;
}
