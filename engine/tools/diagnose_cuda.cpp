#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/config/device_defaults.h"
#include "engine/kv/page_table.h"
#include "engine/model/cuda_device.h"
#include "engine/tools/cuda_driver.h"
#include "engine/tools/diagnose_internal.h"

namespace incipit::engine {
namespace {

std::string describe(const CudaDevice& device) {
  return fmt::format("cuda:{}: {}, compute capability {}.{}, {} of {} free", device.index,
                     device.name, device.major, device.minor, in_mib(device.free_bytes),
                     in_mib(device.total_bytes));
}

std::string versions(const CudaProbe& probe) {
  const std::string driver = probe.driver_version.empty()
                                 ? "no driver"
                                 : fmt::format("driver for CUDA {}", probe.driver_version);
  return fmt::format("{}, built with {}", driver, probe.runtime_version);
}

// This build cannot use a device; the driver may see one all the same.
Finding without_backend() {
  const CudaDriver driver = probe_cuda_driver();
  Finding cuda{Severity::kNote, "cuda", "", ""};
  if (!driver.devices.empty()) {
    cuda.found = fmt::format("this build has no CUDA backend; the driver sees {}",
                             fmt::join(driver.devices, ", "));
    cuda.advice = "the model runs on the CPU; build with a CUDA compiler to use the GPU";
  } else {
    cuda.found = fmt::format("this build has no CUDA backend; {}", driver.failure);
  }
  return cuda;
}

// The device that the options name, if it can be used at all.
const CudaDevice* wanted_device(const CudaProbe& probe, const EngineOptions& options) {
  const Result<DeviceWish> wish = parse_device(options.device);
  if (!wish || wish->kind == DeviceWish::Kind::kCpu) return nullptr;
  const auto at = std::ranges::find(probe.devices, wish->cuda_index, &CudaDevice::index);
  return at == probe.devices.end() ? nullptr : &*at;
}

}  // namespace

// A model runs without it, too.
Finding diagnose_cublas(const CublasProbe& cublas) {
  if (!cublas.library.empty())
    return {Severity::kOk, "cuda", fmt::format("cuBLAS: {}", cublas.library), ""};
  const std::string found = fmt::format("no cuBLAS ({})", cublas.failure);
  if (cublas.is_rarely_needed)
    return {Severity::kOk, "cuda",
            found +
                "; this GPU wants it only for INT4 weights with zero points, or in groups "
                "other than 128",
            ""};
  return {Severity::kNote, "cuda", found + "; long prompts may be read more slowly without it",
          cublas.advice};
}

void diagnose_cuda(const EngineOptions& options, std::vector<Finding>& findings) {
  const CudaProbe probe = probe_cuda();
  if (!probe.built) {
    findings.push_back(without_backend());
    return;
  }
  const Result<DeviceWish> wish = parse_device(options.device);
  const bool insists = wish && wish->kind == DeviceWish::Kind::kCuda;
  if (probe.devices.empty()) {
    findings.push_back(
        {insists ? Severity::kProblem : Severity::kNote, "cuda",
         fmt::format("{} ({})", probe.failure, versions(probe)),
         insists ? "--device auto or cpu runs the model on the CPU" : "the model runs on the CPU"});
    return;
  }
  for (const CudaDevice& device : probe.devices)
    findings.push_back(
        {Severity::kOk, "cuda", fmt::format("{}; {}", describe(device), versions(probe)), ""});
  const CudaDevice* const wanted = wanted_device(probe, options);
  if (wanted != nullptr) findings.push_back(diagnose_cublas(probe_cublas(wanted->index)));
  if (insists && wanted == nullptr)
    findings.push_back(
        {Severity::kProblem, "cuda",
         fmt::format("{}: there is no such device, or it cannot be used", options.device),
         "name one of the devices above"});
}

void diagnose_cuda_memory(int64_t weight_bytes, const ModelConfig& config,
                          const EngineOptions& options, std::vector<Finding>& findings) {
  const CudaProbe probe = probe_cuda();
  const CudaDevice* device = wanted_device(probe, options);
  const Result<MemoryBudget> memory = parse_memory_budget(options.gpu_memory);
  const Result<kernels::KvType> kv_type = choose_kv_type(options);
  if (device == nullptr || !memory || !kv_type) return;
  // The embedding stays in the memory of the host.
  const int64_t device_weights = weight_bytes - int64_t{config.vocab} * config.hidden * 2;
  std::vector<int32_t> contexts;
  for (const int32_t context : {8192, 16384})
    contexts.push_back(std::min(options.context_tokens > 0 ? options.context_tokens : context,
                                config.max_positions));
  contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
  for (const int32_t context : contexts) {
    const int32_t chunk =
        options.prefill_chunk > 0 ? options.prefill_chunk : kCudaDefaults.prefill_chunk;
    const ModelLimits limits = {.context_tokens = context,
                                .max_rows = options.max_batch + chunk,
                                .max_sequences = options.max_batch,
                                .kv_type = *kv_type};
    const CudaMemoryPlan plan = plan_cuda_memory(config, device_weights, limits);
    const Result<int32_t> pages = cuda_pages_for(plan, *memory, options.kv_bytes, *device);
    if (pages) {
      findings.push_back(
          {Severity::kOk, "cuda",
           fmt::format("the model fits with a context of {} tokens, about: {}; there "
                       "is room for {} tokens in all",
                       context, describe(plan), int64_t{*pages} * kPageTokens),
           ""});
    } else {
      // Explicitly asked for: it will not start. Otherwise the CPU does, or a shorter context.
      const bool first = context == contexts.front();
      const bool insists = parse_device(options.device)->kind == DeviceWish::Kind::kCuda;
      findings.push_back(
          {first && insists ? Severity::kProblem : Severity::kNote, "cuda",
           fmt::format("with a context of {} tokens: {}", context, pages.error().message), ""});
    }
  }
}

}  // namespace incipit::engine
