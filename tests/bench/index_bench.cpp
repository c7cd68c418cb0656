// The symbol index of a folder: time, processor time and memory, and what a question costs then.
//   index_bench FOLDER [MAX_FILES]
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "lsp/context/related_definitions.h"
#include "lsp/index/workspace_index.h"
#include "lsp/index/workspace_walk.h"

namespace {

using Clock = std::chrono::steady_clock;
namespace lsp = incipit::lsp;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

double peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double resident_mib() {
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void measure_questions(const lsp::SymbolIndex& index, const std::string& folder) {
  int n = 0;
  size_t n_found = 0;
  double total = 0, longest = 0;
  lsp::walk_sources(folder, [&](const lsp::WalkedFile& file) {
    std::stringstream stream;
    stream << std::ifstream(file.path).rdbuf();
    const auto text = std::make_shared<const std::string>(stream.str());
    const lsp::Tree tree =
        lsp::DocumentParser(*file.language)
            .parse(text, lsp::DocumentParser::Clock::now() + std::chrono::seconds(1));
    if (tree == nullptr) return true;
    const auto start = Clock::now();
    n_found += related_definitions(
                   index, {*text, text->size() / 2, file.path, file.language, tree.get()}, 32)
                   .size();
    const double took = seconds_since(start);
    total += took;
    longest = std::max(longest, took);
    return ++n < 200;
  });
  if (n == 0) return;
  fmt::print("{} questions: {:.2f} ms each, {:.2f} ms the longest, {:.1f} definitions each\n", n,
             total / n * 1e3, longest * 1e3, static_cast<double>(n_found) / n);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: index_bench FOLDER [MAX_FILES]\n");
    return 2;
  }
  const std::string folder = std::filesystem::absolute(argv[1]).lexically_normal().string();
  lsp::IndexLimits limits;
  if (argc > 2) limits.max_files = static_cast<size_t>(std::atol(argv[2]));
  const double before = resident_mib();
  const auto start = Clock::now();
  lsp::WorkspaceIndex index(limits);
  index.set_folders({folder});
  index.wait_until_complete();
  const lsp::IndexProgress made = index.progress();
  fmt::print("{} files, {} symbols, {:.1f} MiB of text{}\n", made.n_files, made.n_symbols,
             static_cast<double>(made.n_bytes) / (1 << 20), made.limited ? ", at the limit" : "");
  fmt::print(
      "{:.2f} s, {:.2f} s of a processor; {:.0f} MiB resident ({:.0f} before), {:.0f} MiB at "
      "most\n",
      seconds_since(start), cpu_seconds(), resident_mib(), before, peak_mib());
  const auto again = Clock::now();
  index.set_folders({folder});
  index.wait_until_complete();
  fmt::print("walked again, nothing changed: {:.2f} s\n", seconds_since(again));
  measure_questions(index.symbols(), folder);
  return 0;
}
