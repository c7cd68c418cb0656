#include "engine/model/cuda_step_gate.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <atomic>
#include <thread>

#include "engine/model/cuda_memory.h"

namespace incipit::engine {

namespace {

// cuStreamWaitValue32 of the driver: the stream goes on when *address >= value, compared as the
// difference of two 32-bit numbers (flag CU_STREAM_WAIT_VALUE_GEQ).
using WaitValue = int (*)(cudaStream_t stream, uint64_t address, uint32_t value, unsigned flags);
constexpr unsigned kGreaterOrEqual = 0;

WaitValue find_wait_value() {
  // The runtime has loaded it already; never closed.
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return nullptr;
  return reinterpret_cast<WaitValue>(::dlsym(driver, "cuStreamWaitValue32_v2"));
}

// Gates are numbered. One is open when a word of pinned memory, which the stream looks at, has
// reached its number.
class CudaGate final : public StepGate {
 public:
  // `wait` may be null.
  CudaGate(WaitValue wait, CudaHostMemory word, uint64_t address)
      : wait_(wait), word_(std::move(word)), address_(address), opener_([this] { work(); }) {}

  ~CudaGate() override {
    stopping_ = true;
    closed_ += 1;
    closed_.notify_one();
    opener_.join();
  }

  void arm(std::chrono::microseconds delay) override {
    delay_ = delay;
    armed_ = true;
  }

  void before_step(void* stream) override {
    if (!armed_) return;
    armed_ = false;
    opens_at_ = Clock::now() + delay_;
    auto* const to_hold = static_cast<cudaStream_t>(stream);
    const uint32_t next = closed_ + 1;
    if (wait_ != nullptr && wait_(to_hold, address_, next, kGreaterOrEqual) == 0) {
      closed_ = next;
      closed_.notify_one();
    } else {
      CUDA_CHECK(cudaLaunchHostFunc(to_hold, open_in_time, this));
    }
  }

  Clock::time_point opened_at() const override { return opened_at_; }

 private:
  void wait_for_time() {
    while (Clock::now() < opens_at_.load()) {
    }
    opened_at_ = Clock::now();
  }
  static void open_in_time(void* gate) { static_cast<CudaGate*>(gate)->wait_for_time(); }

  // Opens one gate after the other, in time.
  void work() {
    uint32_t open = 0;
    for (;;) {
      closed_.wait(open);
      if (stopping_) return;
      open = closed_;
      wait_for_time();
      auto* word = reinterpret_cast<uint32_t*>(word_.data());
      std::atomic_ref<uint32_t>(*word).store(open, std::memory_order_release);
    }
  }

  const WaitValue wait_;
  CudaHostMemory word_;  // the last gate that was opened
  const uint64_t address_;
  bool armed_ = false;
  std::chrono::microseconds delay_{0};
  std::atomic<uint32_t> closed_{0};  // the last gate on the stream that the word opens
  std::atomic<Clock::time_point> opens_at_{};
  std::atomic<Clock::time_point> opened_at_{};
  std::atomic<bool> stopping_{false};
  std::thread opener_;
};

}  // namespace

std::unique_ptr<StepGate> make_step_gate(int32_t device) {
  if (cudaSetDevice(device) != cudaSuccess) return nullptr;
  Result<CudaHostMemory> word = CudaHostMemory::allocate(sizeof(uint32_t));
  if (!word) return nullptr;
  WaitValue wait = find_wait_value();
  void* address = nullptr;
  if (cudaHostGetDevicePointer(&address, word->data(), 0) != cudaSuccess) wait = nullptr;
  return std::make_unique<CudaGate>(wait, std::move(*word), reinterpret_cast<uint64_t>(address));
}

}  // namespace incipit::engine
