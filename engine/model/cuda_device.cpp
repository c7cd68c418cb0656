#include "engine/model/cuda_device.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/kv/page_table.h"
#include "engine/model/activations.h"
#include "engine/model/cuda_backend.h"
#include "engine/model/cuda_memory.h"
#include "kernels/cuda/cublas_library.h"
#include "kernels/cuda/device_peaks.h"
#include "kernels/cuda/kv_staging.h"
#include "kernels/cuda/large_mixed.h"

namespace incipit::engine {

namespace {

constexpr int32_t kLeastMajor = 8;  // mma.m16n8k16 and cp.async

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message)};
}

Error error_of(int32_t index, const char* doing, cudaError_t code) {
  (void)cudaGetLastError();
  return unsupported(fmt::format("cuda:{}: cannot {}: {} ({})", index, doing,
                                 cudaGetErrorString(code), cudaGetErrorName(code)));
}

// The number of devices, or why there is none. Without a driver this is where it shows.
Result<int32_t> count_devices() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorInsufficientDriver || code == cudaErrorStubLibrary) {
    (void)cudaGetLastError();
    int driver = 0;
    (void)cudaDriverGetVersion(&driver);
    if (driver == 0) return unsupported("this machine has no CUDA driver (libcuda.so.1)");
    return unsupported(fmt::format("the CUDA driver supports version {}, this program wants {}",
                                   version_text(driver), version_text(CUDART_VERSION)));
  }
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0)) {
    (void)cudaGetLastError();
    return unsupported("the CUDA driver sees no device");
  }
  if (code != cudaSuccess) {
    (void)cudaGetLastError();
    return unsupported(fmt::format("the CUDA driver does not start: {} ({})",
                                   cudaGetErrorString(code), cudaGetErrorName(code)));
  }
  return int32_t{count};
}

Result<CudaDevice> describe_device(int32_t index) {
  cudaDeviceProp properties{};
  if (const cudaError_t code = cudaGetDeviceProperties(&properties, index); code != cudaSuccess)
    return error_of(index, "be asked what it is", code);
  CudaDevice device;
  device.index = index;
  device.name = properties.name;
  device.major = properties.major;
  device.minor = properties.minor;
  device.total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  if (device.major < kLeastMajor)
    return unsupported(
        fmt::format("cuda:{} ({}): want compute capability {}.0 or newer, found {}.{}", index,
                    device.name, kLeastMajor, device.major, device.minor));
  size_t free = 0;
  size_t total = 0;
  if (const cudaError_t code = cudaSetDevice(index); code != cudaSuccess)
    return error_of(index, "be used", code);
  if (const cudaError_t code = cudaMemGetInfo(&free, &total); code != cudaSuccess)
    return error_of(index, "say how much memory is free", code);
  device.free_bytes = static_cast<int64_t>(free);
  device.total_bytes = static_cast<int64_t>(total);
  return device;
}

}  // namespace

CudaProbe probe_cuda() {
  CudaProbe probe;
  probe.built = true;
  probe.runtime_version = version_text(CUDART_VERSION);
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
    probe.driver_version = version_text(driver);
  const Result<int32_t> count = count_devices();
  if (!count) {
    probe.failure = count.error().message;
    return probe;
  }
  for (int32_t index = 0; index < *count; ++index) {
    const Result<CudaDevice> device = describe_device(index);
    if (device) {
      probe.devices.push_back(*device);
    } else {
      probe.failure += (probe.failure.empty() ? "" : "; ") + device.error().message;
    }
  }
  if (!probe.devices.empty()) probe.failure.clear();
  return probe;
}

Result<CudaDevice> find_cuda_device(int32_t index) {
  ASSIGN_OR_RETURN(const int32_t count, count_devices());
  if (index >= count)
    return unsupported(fmt::format("cuda:{}: this machine has {} CUDA device{}", index, count,
                                   count == 1 ? "" : "s"));
  return describe_device(index);
}

CublasProbe probe_cublas(int32_t device) {
  CublasProbe probe;
  const kernels::cuda::CublasSearch& search = kernels::cuda::find_cublas();
  if (search.library) {
    probe.library = search.library->name;
  } else {
    probe.failure = search.failure;
    probe.advice = kernels::cuda::how_to_install_cublas();
  }
  try {
    CUDA_CHECK(cudaSetDevice(device));
    probe.is_rarely_needed = kernels::cuda::has_mixed_products();
  } catch (const kernels::cuda::CudaError&) {
    (void)cudaGetLastError();  // a device that cannot be asked has messages of its own
  }
  return probe;
}

// The workspace of steps.h and LargeMatmul by its large parts; what is really taken is measured
// when it has been.
int64_t cuda_workspace_bytes(const ModelConfig& config, const ModelLimits& limits) {
  constexpr int64_t kLargeStepBytes = int64_t{160} << 20;  // expanded weights, cuBLAS
  StepCapacity capacity;
  capacity.max_rows = limits.max_rows;
  capacity.max_logit_rows =
      limits.max_logit_rows == 0 ? limits.max_sequences : limits.max_logit_rows;
  capacity.max_sequences = limits.max_sequences;
  capacity.max_pages = pages_for(limits.context_tokens);
  const auto steps =
      CudaBackend::limits_of(config, CudaBackend::rounded_up(capacity), limits.kv_type, false);
  const int64_t a_row = 2 * (3 * int64_t{config.hidden} + config.ffn + config.qkv_rows());
  const kernels::cuda::AttentionLimits attention = {steps.heads, steps.max_rows,
                                                    steps.max_sequences, limits.context_tokens};
  const int64_t staging = limits.kv_type == kernels::KvType::kInt8
                              ? kernels::cuda::KvStaging::bytes_of(steps.heads, steps.max_pages)
                              : 0;
  return Activations<CudaBackend>::bytes_of(config, capacity) + steps.max_rows * a_row + staging +
         kernels::cuda::attention_scratch_bytes(attention) +
         int64_t{limits.context_tokens} * config.head_dim * int64_t{sizeof(float)} +
         (steps.max_rows > kernels::cuda::kFlatRows ? kLargeStepBytes : 0);
}

Result<void> recover_cuda_device(int32_t index) {
  (void)cudaSetDevice(index);
  (void)cudaGetLastError();
  if (cudaDeviceSynchronize() == cudaSuccess) return {};
  // The error sticks to the device's context; everything that lived in it is gone with it.
  (void)cudaDeviceReset();
  (void)cudaGetLastError();
  cudaError_t code = cudaSetDevice(index);
  if (code == cudaSuccess) code = cudaDeviceSynchronize();
  if (code == cudaSuccess) return {};
  return Error{ErrorCode::kDevice, fmt::format("cuda:{} cannot be used again: {} ({})", index,
                                               cudaGetErrorString(code), cudaGetErrorName(code))};
}

Result<CudaPeaks> measure_cuda_peaks(int32_t index) {
  ASSIGN_OR_RETURN(const CudaDevice device, find_cuda_device(index));
  constexpr int64_t kMostBytes = int64_t{2} << 30;  // twenty times the largest cache there is
  try {
    const auto measured =
        kernels::cuda::measure_device_peaks(std::min(kMostBytes, device.free_bytes / 4));
    return CudaPeaks{measured.read_bytes_per_s, measured.copy_bytes_per_s,
                     measured.tensor_flops_per_s};
  } catch (const kernels::cuda::CudaError& error) {
    return Error{code_of(error), error.what()};
  }
}

int64_t cuda_bytes_in_use(int32_t index) {
  const Result<CudaDevice> device = find_cuda_device(index);
  return device ? device->total_bytes - device->free_bytes : 0;
}

}  // namespace incipit::engine
