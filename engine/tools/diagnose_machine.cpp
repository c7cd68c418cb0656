#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "engine/kv/kv_budget.h"
#include "engine/tools/diagnose_internal.h"
#include "engine/weights/memory_block.h"
#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/step_params.h"

namespace incipit::engine {
namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line)) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown CPU";
}

std::string isa_names() {
  std::string names;
  for (const auto isa : {kernels::Isa::kScalar, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (!kernels::isa_supported(isa)) continue;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kernels::name_of(isa));
  }
  return names;
}

}  // namespace

std::string in_mib(int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

void diagnose_cpu(std::vector<Finding>& findings) {
  const kernels::Isa best = kernels::best_isa();
  Finding cpu;
  cpu.area = "cpu";
  cpu.found = fmt::format(
      "{}: instruction sets {}, using {}; {} physical cores for this process, "
      "{} logical CPUs",
      cpu_name(), isa_names(), kernels::name_of(best), kernels::physical_cores_available(),
      std::thread::hardware_concurrency());
  if (best == kernels::Isa::kScalar) {
    cpu.severity = Severity::kNote;
    cpu.advice = "without AVX2 completions are slow: use a machine from 2013 or later";
  }
  findings.push_back(cpu);
}

void diagnose_memory(int64_t weight_bytes, const ModelConfig& config, const EngineOptions& options,
                     std::vector<Finding>& findings) {
  const int64_t available = available_memory_bytes();
  const int64_t total = total_memory_bytes();
  if (available < 0) {
    findings.push_back(
        {Severity::kNote, "memory", "the system does not say how much there is", ""});
    return;
  }
  Finding memory;
  memory.area = "memory";
  memory.found = fmt::format("{} of {} available", in_mib(available), in_mib(total));
  if (weight_bytes >= 0) {
    constexpr int32_t kLongestDefault = 8192;
    constexpr const char* kAdvice =
        "close other programs, choose a smaller model, or change the memory for KV pages";
    const int32_t context = options.context_tokens > 0
                                ? options.context_tokens
                                : std::min(config.max_positions, kLongestDefault);
    const auto pages = kv_pages_for(config, options.kv_bytes, context, available - weight_bytes);
    if (!pages.ok()) {
      findings.push_back({Severity::kProblem, "memory", pages.error().message, kAdvice});
      return;
    }
    const int64_t kv = *pages * config.kv_bytes_per_token() * kernels::kPageTokens;
    memory.found += fmt::format("; the model wants {} for weights and {} for KV pages",
                                in_mib(weight_bytes), in_mib(kv));
    if (weight_bytes + kv > available) {
      memory.severity = Severity::kProblem;
      memory.advice = kAdvice;
    }
  }
  findings.push_back(memory);
}

}  // namespace incipit::engine
