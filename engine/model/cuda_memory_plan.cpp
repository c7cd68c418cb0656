#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/kv/page_table.h"
#include "engine/model/cuda_device.h"

namespace incipit::engine {

namespace {

constexpr double kGigabyte = 1e9;
// Recorded steps (at most 64 of some hundred kernels each), kernels that are loaded when they are
// first called, and a margin for what other programs take meanwhile.
constexpr int64_t kReserveBytes = int64_t{96} << 20;
constexpr int64_t kDefaultContexts = 4;

std::string in_gb(int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / kGigabyte);
}

std::string describe(const MemoryBudget& memory, const CudaDevice& device) {
  const std::string free =
      fmt::format("{} of {} are free", in_gb(device.free_bytes), in_gb(device.total_bytes));
  if (memory.bytes > 0) return fmt::format("the budget is {}, {}", in_gb(memory.bytes), free);
  return fmt::format("the budget is {:.2g} of what is free, {} ({})", memory.fraction,
                     in_gb(memory.of(device.free_bytes)), free);
}

}  // namespace

CudaMemoryPlan plan_cuda_memory(const ModelConfig& config, int64_t weight_bytes,
                                const ModelLimits& limits) {
  CudaMemoryPlan plan;
  plan.weights = weight_bytes;
  plan.workspace = cuda_workspace_bytes(config, limits);
  plan.page_bytes = config.kv_bytes_per_token(limits.kv_type) * kPageTokens;
  plan.kv_type = limits.kv_type;
  plan.context_pages = pages_for(limits.context_tokens);
  plan.reserve = kReserveBytes;
  return plan;
}

std::string describe(const CudaMemoryPlan& plan) {
  return fmt::format(
      "weights {} + workspace {} + {} KV pages of one context of {} tokens {} + reserve {} = {}",
      in_gb(plan.weights), in_gb(plan.workspace), name_of(plan.kv_type),
      plan.context_pages * kPageTokens, in_gb(plan.context_pages * plan.page_bytes),
      in_gb(plan.reserve), in_gb(plan.least()));
}

Result<int32_t> cuda_pages_for(const CudaMemoryPlan& plan, const MemoryBudget& memory,
                               int64_t kv_bytes, const CudaDevice& device) {
  const int64_t budget = std::min(memory.of(device.free_bytes), device.free_bytes);
  const int64_t left = budget - plan.fixed();
  const int64_t wanted_pages =
      kv_bytes > 0 ? std::min(kv_bytes / plan.page_bytes, plan.context_pages) : plan.context_pages;
  if (left < std::max<int64_t>(wanted_pages, 1) * plan.page_bytes)
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("cuda:{} ({}): not enough memory: {}; {}. Choose a shorter context "
                             "(--context, incipit.contextTokens), {}give it more (--gpu-memory, "
                             "incipit.gpuMemory), close other programs that use the GPU, or run on "
                             "the CPU (--device cpu)",
                             device.index, device.name, describe(plan), describe(memory, device),
                             plan.kv_type == kernels::KvType::kInt8
                                 ? ""
                                 : "smaller KV pages (--kv-type int8, incipit.kvType), ")};
  int64_t n_pages = left / plan.page_bytes;
  if (kv_bytes > 0) {
    n_pages = std::min(n_pages, kv_bytes / plan.page_bytes);
  } else if (!memory.is_given) {
    n_pages = std::min(n_pages, kDefaultContexts * plan.context_pages);
  }
  if (n_pages < 1)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("kv_bytes: a budget of {} bytes holds no page; one page of {} tokens "
                             "takes {} bytes",
                             kv_bytes, kPageTokens, plan.page_bytes)};
  return static_cast<int32_t>(
      std::min<int64_t>(n_pages, std::numeric_limits<int32_t>::max() / kPageTokens));
}

}  // namespace incipit::engine
