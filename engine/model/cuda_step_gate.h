// StepGate: holds a step back on the device until the host has queued all of it, so that the time
// from opening the gate to the end of the step is the device's alone: what the host does before a
// step reaches the device is not in it. For benches; handed to a model as CudaOptions::before_step.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

namespace incipit::engine {

class StepGate {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~StepGate() = default;

  // For CudaOptions::before_step. Does nothing unless armed.
  virtual void before_step(void* stream) = 0;
  // The next step waits on the device for `delay`, which must be longer than the host takes.
  virtual void arm(std::chrono::microseconds delay) = 0;
  // When the last gate opened.
  virtual Clock::time_point opened_at() const = 0;
};

// Null without CUDA. Where the driver refuses to wait for memory, a function of the host holds the
// stream back: the some ten microseconds until the driver has seen it return count as the device's.
std::unique_ptr<StepGate> make_step_gate(int32_t device);

}  // namespace incipit::engine
