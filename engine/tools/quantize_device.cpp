#include "engine/tools/quantize_device.h"

#include <fmt/core.h>

#include "engine/config/engine_options.h"
#include "engine/model/cuda_device.h"

namespace incipit::engine {
namespace {

// Whether this device can do it; otherwise why not.
Result<void> check_device(const CudaDevice& device, int64_t wanted_bytes) {
  TRY(find_cuda_solver_libraries());
  if (wanted_bytes <= device.free_bytes) return {};
  constexpr double kGib = 1 << 30;
  return Error{ErrorCode::kOutOfMemory,
               fmt::format("cuda:{} ({}): quantising wants {:.1f} GiB of its memory, {:.1f} GiB of "
                           "{:.1f} are free",
                           device.index, device.name, static_cast<double>(wanted_bytes) / kGib,
                           static_cast<double>(device.free_bytes) / kGib,
                           static_cast<double>(device.total_bytes) / kGib)};
}

}  // namespace

Result<QuantizeDevice> choose_quantize_device(const std::string& wish, int64_t device_bytes) {
  ASSIGN_OR_RETURN(const DeviceWish wanted, parse_device(wish));
  QuantizeDevice cpu{-1, "the CPU", ""};
  if (wanted.kind == DeviceWish::Kind::kCpu) return cpu;
  const bool must = wanted.kind == DeviceWish::Kind::kCuda;
  const Result<CudaDevice> found = find_cuda_device(wanted.cuda_index);
  if (!found) {
    if (must) return found.error();
    return cpu;  // a machine without a device is nothing to remark on
  }
  const Result<void> usable = check_device(*found, device_bytes);
  if (usable) return QuantizeDevice{found->index, fmt::format("CUDA ({})", found->name), ""};
  if (must) return usable.error();
  cpu.why_not_cuda = usable.error().message;
  return cpu;
}

Result<std::unique_ptr<SectionSolver>> make_solver(const QuantizeDevice& device,
                                                   kernels::ThreadPool& pool) {
  if (device.is_cuda()) return make_cuda_solver(device.cuda_index, pool);
  return make_cpu_solver(pool);
}

}  // namespace incipit::engine
