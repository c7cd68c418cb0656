// The CUDA devices of this machine, as far as this build can use them. Stateless, any thread; the
// first call of a process starts the driver (some tenths of a second).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/model/create_model.h"

namespace incipit::engine {

struct CudaDevice {
  int32_t index = 0;
  std::string name;   // "NVIDIA GeForce RTX 3060"
  int32_t major = 0;  // compute capability
  int32_t minor = 0;
  int64_t total_bytes = 0;
  int64_t free_bytes = 0;
};

struct CudaProbe {
  bool built = false;           // this build has the CUDA backend
  std::string failure;          // why no device can be used; empty when one can
  std::string driver_version;   // the CUDA version it supports: "13.0"; empty: no driver
  std::string runtime_version;  // what this program was built with
  std::vector<CudaDevice> devices;
};
CudaProbe probe_cuda();

// The device, when it is there and can be used: compute capability 8.0 or newer. kUnsupported with
// the reason otherwise.
Result<CudaDevice> find_cuda_device(int32_t index);

// cuBLAS, which is looked for at run time: prompts of more than 256 tokens want it, except that
// code for compute capability 9.0 multiplies INT4 weights (groups of 128, no zero points) without.
struct CublasProbe {
  std::string library;  // the file; empty: there is none
  std::string failure;  // what is missing then
  std::string advice;   // and what to do about it
  bool is_rarely_needed = false;
};
CublasProbe probe_cublas(int32_t device);

// Device memory of a model, before any of it is taken.
struct CudaMemoryPlan {
  int64_t weights = 0;
  int64_t workspace = 0;
  int64_t page_bytes = 0;
  kernels::KvType kv_type = kernels::KvType::kF16;  // of pages
  int64_t context_pages = 0;                        // of one whole context
  int64_t reserve = 0;  // what the driver takes for recorded steps and kernels
  int64_t fixed() const { return weights + workspace + reserve; }
  int64_t least() const { return fixed() + context_pages * page_bytes; }
};
int64_t cuda_workspace_bytes(const ModelConfig& config, const ModelLimits& limits);
CudaMemoryPlan plan_cuda_memory(const ModelConfig& config, int64_t weight_bytes,
                                const ModelLimits& limits);

// Pages within `budget` bytes of device memory; kv_bytes and the budget as in CudaOptions. The
// error has the arithmetic and what to change.
Result<int32_t> cuda_pages_for(const CudaMemoryPlan& plan, const MemoryBudget& memory,
                               int64_t kv_bytes, const CudaDevice& device);

// "weights 4.3 GB + ... = 5.9 GB": for messages.
std::string describe(const CudaMemoryPlan& plan);

// After a fault: makes the device usable again if it can be; models on it must be gone.
Result<void> recover_cuda_device(int32_t index);

struct CudaPeaks {
  double read_bytes_per_s = 0;
  double copy_bytes_per_s = 0;    // read and written bytes both counted
  double tensor_flops_per_s = 0;  // fp16 with float sums, 2 a multiply-add
};
Result<CudaPeaks> measure_cuda_peaks(int32_t index);

// Bytes of the device's memory that this process holds, as the driver counts free memory: other
// processes disturb it. 0 without CUDA.
int64_t cuda_bytes_in_use(int32_t index);

}  // namespace incipit::engine
