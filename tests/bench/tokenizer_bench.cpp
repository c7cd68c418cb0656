// Text to ids on one thread: this repository's own sources, in one call and in pieces as long as a
// prompt. "cold" begins with empty caches each time, so it is what the first prompt sees.
//   tokenizer_bench [TOKENIZER...] [--benchmark_filter=...]
// TOKENIZER: a tokenizer.json or tokenizer.model beside pocket's, which is always measured.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPromptBytes = 6000;  // about 2,000 tokens of code

std::string sources() {
  std::vector<fs::path> paths;
  for (const char* folder : {"engine", "kernels", "lsp"}) {
    for (fs::recursive_directory_iterator at(fs::path(INCIPIT_SOURCE_DIR) / folder), end; at != end;
         ++at) {
      if (at->path().filename() == "node_modules") {
        at.disable_recursion_pending();
        continue;
      }
      const std::string extension = at->path().extension().string();
      // The tables of code points are no text that anyone writes.
      const bool table = at->path().filename() == "unicode_classes.h";
      if (!table && (extension == ".cpp" || extension == ".h" || extension == ".cu")) {
        paths.push_back(at->path());
      }
    }
  }
  std::sort(paths.begin(), paths.end());
  std::string text;
  for (const fs::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

using Shared = std::shared_ptr<const Tokenizer>;

void encode_in_pieces(benchmark::State& state, const Shared& tokenizer, const std::string& text,
                      size_t piece_bytes) {
  std::vector<TokenId> ids;
  for (auto _ : state) {
    ids.clear();
    for (size_t at = 0; at < text.size(); at += piece_bytes) {
      tokenizer->encode_append(std::string_view(text).substr(at, piece_bytes), ids);
    }
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["bytes/token"] =
      static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void encode_cold(benchmark::State& state, const fs::path& file, const std::string& text) {
  std::vector<TokenId> ids;
  for (auto _ : state) {
    state.PauseTiming();
    const Shared tokenizer = Tokenizer::load(file).value();
    ids.clear();
    state.ResumeTiming();
    tokenizer->encode_append(std::string_view(text).substr(0, kPromptBytes), ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPromptBytes));
}

void load_file(benchmark::State& state, const fs::path& file) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(file).value());
}

void add_rows(const fs::path& file, const std::string& text) {
  const auto loaded = Tokenizer::load(file);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return;
  }
  const Shared& tokenizer = *loaded;
  const std::string name = file.parent_path().filename().string() + "/" + file.filename().string();
  benchmark::RegisterBenchmark((name + " whole").c_str(), encode_in_pieces, tokenizer, text,
                               text.size());
  benchmark::RegisterBenchmark((name + " prompts").c_str(), encode_in_pieces, tokenizer, text,
                               kPromptBytes);
  benchmark::RegisterBenchmark((name + " cold").c_str(), encode_cold, file, text)->Iterations(20);
  benchmark::RegisterBenchmark((name + " load").c_str(), load_file, file)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace incipit::engine

int main(int argc, char** argv) {
  using namespace incipit::engine;
  benchmark::Initialize(&argc, argv);
  static const std::string text = sources();
  add_rows(fs::path(INCIPIT_SOURCE_DIR) / "engine/models/pocket/tokenizer.json", text);
  for (int i = 1; i < argc; ++i) add_rows(argv[i], text);
  benchmark::RunSpecifiedBenchmarks();
}
