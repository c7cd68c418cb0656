// Which device does the arithmetic of quantising: the user's wish, what the machine has, and what
// the work needs. Loading thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/quantize/section_solver.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

struct QuantizeDevice {
  int32_t cuda_index = -1;  // -1: the CPU
  std::string name;         // "CUDA (NVIDIA H200)", "the CPU"
  // Where a device is there, was not ruled out and is not used: why, and what to do about it.
  std::string why_not_cuda;

  bool is_cuda() const { return cuda_index >= 0; }
};

// `wish` as parse_device() reads it; device_bytes as quantize_memory() says. A CUDA device that was
// asked for and cannot be used is an error, kUnsupported or kOutOfMemory, with the reason.
Result<QuantizeDevice> choose_quantize_device(const std::string& wish, int64_t device_bytes);

// The pool outlives the solver.
Result<std::unique_ptr<SectionSolver>> make_solver(const QuantizeDevice& device,
                                                   kernels::ThreadPool& pool);

}  // namespace incipit::engine
