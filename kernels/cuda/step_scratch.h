// The memory that CudaSteps works in, taken once and by the limits; and which rows go which way,
// as that decides what is taken. Plain C++; engine thread. Part of CudaSteps
// (kernels/cuda/steps.h).
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/kv_staging.h"
#include "kernels/cuda/large_matmul.h"
#include "kernels/cuda/step_inputs.h"
#include "kernels/cuda/steps.h"
#include "kernels/cuda/stream.h"

namespace incipit::kernels::cuda {

constexpr int32_t qkv_width(const HeadShape& heads) {
  return (heads.n_heads + 2 * heads.n_kv_heads) * heads.head_dim;
}
constexpr int32_t attention_width(const HeadShape& heads) {
  return heads.n_heads * heads.head_dim;
}

struct CudaSteps::Scratch {
  // Two, so that the host writes a step's inputs while those of the step before are copied.
  struct Staging {
    PinnedBuffer inputs;
    Event copied;
  };

  InputLayout flat_layout;
  InputLayout large_layout;
  std::array<Staging, 2> staging;
  DeviceBuffer inputs;
  AttentionLimits attention_limits;
  DeviceBuffer attention;
  DeviceBuffer normed_values, square_sums;
  // Steps of up to so many rows go through the flat products, kFlatRows rows at a time.
  const int32_t max_rows_by_turns;
  DeviceBuffer act;  // [rows by turns, ffn] fp16
  DeviceBuffer partial_sums, counters;
  DeviceBuffer candidate_lists;
  DeviceBuffer kept_x, kept_q;            // only where steps can have more than kFlatRows rows
  std::unique_ptr<KvStaging> kv_staging;  // of INT8 pages
  // Only where steps can have more than max_rows_by_turns rows.
  DeviceBuffer qkv;  // [max_rows, qkv_width] fp16
  std::unique_ptr<LargeMatmul> matmul;

  explicit Scratch(const CudaStepLimits& limits);

  NormedRows normed(int64_t first_row, int32_t hidden) const {
    return {normed_values.as<uint16_t>() + first_row * hidden,
            square_sums.as<float>() + first_row * hidden / 16};
  }
  FlatScratch flat() const { return {partial_sums.as<float>(), counters.as<int32_t>()}; }
  bool lacks_cublas() const;  // and has rows by turns that were its
  int64_t size_bytes() const;
};

}  // namespace incipit::kernels::cuda
