// Stands where a build with a CUDA compiler has model_cuda.cpp and cuda_device.cpp.
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"

namespace incipit::engine {

namespace {

constexpr const char* kAbsent = "this build has no CUDA backend";

Error absent() {
  return Error{ErrorCode::kUnsupported, kAbsent};
}

}  // namespace

Result<std::unique_ptr<Model>> create_cuda_model(const Weights<kernels::CpuTile>&,
                                                 const ModelLimits&, const CudaOptions&) {
  return absent();
}

CudaProbe probe_cuda() {
  CudaProbe probe;
  probe.failure = kAbsent;
  return probe;
}

Result<CudaDevice> find_cuda_device(int32_t) {
  return absent();
}

CublasProbe probe_cublas(int32_t) {
  return {};
}

int64_t cuda_workspace_bytes(const ModelConfig&, const ModelLimits&) {
  return 0;
}

Result<void> recover_cuda_device(int32_t) {
  return absent();
}

Result<CudaPeaks> measure_cuda_peaks(int32_t) {
  return absent();
}

int64_t cuda_bytes_in_use(int32_t) {
  return 0;
}

}  // namespace incipit::engine
