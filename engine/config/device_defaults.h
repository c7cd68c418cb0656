// How the steps of each kind of device are planned unless the user says otherwise. Constants alone.
#pragma once

#include <cstdint>

namespace incipit::engine {

// See SchedulerOptions.
struct DeviceDefaults {
  int32_t prefill_chunk = 0;
  int32_t flat_rows = 0;
  int32_t large_step_rows = 0;
  int32_t draft_tokens = 0;
};
// The CPU's time grows with every row: short chunks, so that a cancelled prompt stops soon.
inline constexpr DeviceDefaults kCpuDefaults = {.prefill_chunk = 64};
// A cancelled prompt costs what the device has of the chunk: two layers of it (cuda_backend.cpp).
// More rows than kFlatRows go as one large step: on an H100 the products of 65 to 256 of them
// take 4.6 to 7.1 ms, those of two flat steps of 64 take 10 ms (docs/performance.md). Where a
// device does better in turns, the backend takes turns in the step. Seven guesses: rewrites of
// code that exists took 0.53 instead of 1.64 ms a token with weights of Llama-3-8B, and a step of
// eight rows in which all were wrong 1.3 times one of a row.
inline constexpr DeviceDefaults kCudaDefaults = {
    .prefill_chunk = 512, .flat_rows = 64, .large_step_rows = 65, .draft_tokens = 7};

}  // namespace incipit::engine
