// GPTQ: Frantar, Ashkboos, Hoefler and Alistarh, arXiv 2210.17323, in the form without an inverse
// that engine/quantize/gptq.h derives. Away from gptq_round_kernel everything waits for memory, and
// all of it is a small part of the products around it.
#include "kernels/cuda/gptq_steps.h"

#include <cuda_fp16.h>

#include "kernels/common/check.h"
#include "kernels/common/math.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int kGptqThreads = 256;
constexpr int kGptqWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

__global__ void gptq_diagonal_kernel(const float* matrix, int32_t n, float* out) {
  const int32_t i = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = matrix[int64_t{i} * n + i];
}

// Grid: a row of blocks for each row of the matrix.
__global__ void gptq_permute_lower_kernel(const float* lower, const int32_t* order, int32_t n,
                                          float added, float* out) {
  const int32_t p = static_cast<int32_t>(blockIdx.x);
  const int32_t q = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  if (q > p) return;
  const int64_t row = order[p], col = order[q];
  const float value = lower[row > col ? row * n + col : col * n + row];
  out[int64_t{p} * n + q] = p == q ? value + added : value;
}

__global__ void gptq_permute_columns_kernel(const float* weights, const int32_t* order,
                                            int32_t cols, float* out) {
  const int64_t row = blockIdx.x;
  const int32_t p = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  if (p < cols) out[row * cols + p] = weights[row * cols + order[p]];
}

// What follows does as round_to_nearest.cpp, operation by operation: nothing is contracted.
__device__ float rounded_to_int4(float value) {
  constexpr float kRounder = 12582912;
  const float nearest = __fsub_rn(__fadd_rn(value, kRounder), kRounder);
  const float low = nearest < -8.0f ? -8.0f : nearest;
  return low > 7.0f ? 7.0f : low;
}

__device__ float through_half(float scale) {
  constexpr float kLargest = 65504;
  const float high = kLargest < scale ? kLargest : scale;
  return __half2float(__float2half_rn(high < -kLargest ? -kLargest : high));
}

__device__ bool is_usable_scale(float scale, float largest) {
  return scale != 0 && largest <= __fmul_rn(1e5f, fabsf(scale));
}

__device__ float least_squares_scale(const float* w, const float* importance, int32_t n,
                                     float inverse) {
  float wq = 0, qq = 0;
  for (int32_t i = 0; i < n; ++i) {
    const float q = rounded_to_int4(__fmul_rn(w[i], inverse));
    wq = __fadd_rn(wq, __fmul_rn(importance[i], __fmul_rn(w[i], q)));
    qq = __fadd_rn(qq, __fmul_rn(importance[i], __fmul_rn(q, q)));
  }
  return qq > 0 ? __fdiv_rn(wq, qq) : 0;
}

__device__ float error_with_scale(const float* w, const float* importance, int32_t n, float scale) {
  const float inverse = __fdiv_rn(1.0f, scale);
  float error = 0;
  for (int32_t i = 0; i < n; ++i) {
    const float q = rounded_to_int4(__fmul_rn(w[i], inverse));
    const float difference = __fsub_rn(w[i], __fmul_rn(scale, q));
    error = __fadd_rn(error, __fmul_rn(importance[i], __fmul_rn(difference, difference)));
  }
  return error;
}

__device__ float search_scale(const float* w, const float* importance, int32_t n) {
  float farthest = 0, least = 0;
  for (int32_t i = 0; i < n; ++i) {
    if (fabsf(w[i]) > fabsf(farthest)) farthest = w[i];
    least = __fadd_rn(least, __fmul_rn(importance[i], __fmul_rn(w[i], w[i])));
  }
  const float largest = fabsf(farthest);
  float best = 0;
  for (int32_t step = -6; step <= 12; ++step) {
    const float start =
        __fdiv_rn(farthest, __fsub_rn(-8.0f, __fmul_rn(0.15f, static_cast<float>(step))));
    if (!is_usable_scale(start, largest)) continue;
    const float scale = through_half(least_squares_scale(w, importance, n, __fdiv_rn(1.0f, start)));
    if (!is_usable_scale(scale, largest)) continue;
    const float error = error_with_scale(w, importance, n, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

constexpr int kScaleRows = 64;  // threads of a block, each with the group of one row

__global__ void __launch_bounds__(kScaleRows) gptq_scales_kernel(GptqScales p) {
  // A row more than its group is long keeps the threads on different banks.
  __shared__ float s_weights[kScaleRows][kMostGroup + 1];
  __shared__ float s_importance[kMostGroup];
  const int32_t first = static_cast<int32_t>(blockIdx.x) * p.shape.group;
  const int32_t n = min(p.shape.group, p.shape.cols - first);
  const int32_t first_row = static_cast<int32_t>(blockIdx.y) * kScaleRows;
  const int32_t thread = static_cast<int32_t>(threadIdx.x);
  for (int32_t i = thread; i < n; i += kScaleRows) s_importance[i] = p.importance[first + i];
  for (int32_t row = 0; row < kScaleRows && first_row + row < p.shape.rows; ++row) {
    const float* const from = p.weights + int64_t{first_row + row} * p.shape.cols + first;
    for (int32_t i = thread; i < n; i += kScaleRows) s_weights[row][i] = from[i];
  }
  __syncthreads();  // s_weights is written by rows and read by threads
  const int32_t row = first_row + thread;
  if (row >= p.shape.rows) return;
  const float scale = search_scale(s_weights[thread], s_importance, n);
  p.scales[int64_t{row} * p.shape.n_groups() + blockIdx.x] =
      __half_as_ushort(__float2half_rn(scale));
}

// A warp a row. Lane l has the positions begin + l + 32 j of its row in registers; L of the block
// is in shared memory, its lower triangle alone, row p at p (p + 1) / 2.
class RowRounder {
 public:
  static constexpr int kSlots = GptqBlock::kWidth / kGptqWarp;

  __device__ RowRounder(const GptqBlock& p, const float* s_factor, int64_t row)
      : p_(p), s_factor_(s_factor), row_(row), lane_(static_cast<int>(threadIdx.x) % kGptqWarp) {
#pragma unroll
    for (int j = 0; j < kSlots; ++j) {
      const int32_t at = lane_ + kGptqWarp * j, position = p.begin + at;
      owed_[j] = weight_[j] = scale_[j] = 0;
      column_[j] = 0;
      if (position >= p.end) continue;
      column_[j] = p.order[position];
      weight_[j] = p.moved[row * p.shape.cols + position];
      scale_[j] = __half2float(
          __ushort_as_half(p.scales[row * p.shape.n_groups() + column_[j] / p.shape.group]));
      if (p.owed != nullptr) owed_[j] = p.owed[row * GptqBlock::kWidth + at];
    }
  }

  // The positions of slot kSlot and all below it.
  template <int kSlot>
  __device__ void round() {
    constexpr int kFirst = kGptqWarp * kSlot;
    const int width = p_.end - p_.begin;
    float own_change = 0, own_left = 0, own_nearest = 0;
    for (int l = min(kGptqWarp, width - kFirst) - 1; l >= 0; --l) {
      const int at = kFirst + l;
      const float* const s_row = s_factor_ + at * (at + 1) / 2;
      const float pivot = s_row[at];
      const float target = weight_[kSlot] + owed_[kSlot] / pivot;
      const float scale = scale_[kSlot];
      const float nearest = scale == 0 ? 0.0f : fminf(fmaxf(rintf(target / scale), -8.0f), 7.0f);
      const float change = weight_[kSlot] - nearest * scale;
      if (lane_ == l) {
        own_change = change;
        own_nearest = nearest;
        own_left = pivot * (target - nearest * scale);
      }
      const float changed = __shfl_sync(kWholeWarp, change, l);
#pragma unroll
      for (int j = 0; j < kSlot; ++j) owed_[j] += changed * s_row[lane_ + kGptqWarp * j];
      if (lane_ < l) owed_[kSlot] += changed * s_row[kFirst + lane_];
    }
    if (kFirst + lane_ < width) store<kSlot>(own_nearest, own_change, own_left);
    if constexpr (kSlot > 0) round<kSlot - 1>();
  }

  __device__ double error() const {
    double sum = error_;
    for (int offset = kGptqWarp / 2; offset > 0; offset /= 2)
      sum += __shfl_down_sync(kWholeWarp, sum, offset);
    return sum;  // of lane 0
  }

 private:
  template <int kSlot>
  __device__ void store(float nearest, float change, float left) {
    const int64_t row_begin = row_ * p_.shape.cols;
    p_.q[row_begin + column_[kSlot]] =
        static_cast<uint8_t>(static_cast<int>(nearest) + kSymmetricZero);
    p_.moved[row_begin + p_.begin + kGptqWarp * kSlot + lane_] = change;
    error_ += double{left} * left - double{p_.added} * change * change;
  }

  const GptqBlock& p_;
  const float* s_factor_;
  int64_t row_;
  int lane_;
  float owed_[kSlots], weight_[kSlots], scale_[kSlots];
  int32_t column_[kSlots];
  double error_ = 0;
};

__global__ void __launch_bounds__(kGptqThreads) gptq_round_kernel(GptqBlock p) {
  __shared__ float s_factor[GptqBlock::kWidth * (GptqBlock::kWidth + 1) / 2];
  const int width = p.end - p.begin;
  const float* const corner = p.factor + int64_t{p.begin} * p.shape.cols + p.begin;
  for (int i = static_cast<int>(threadIdx.x); i < width * width; i += kGptqThreads) {
    const int row = i / width, col = i % width;
    if (col <= row) s_factor[row * (row + 1) / 2 + col] = corner[int64_t{row} * p.shape.cols + col];
  }
  __syncthreads();  // every warp reads all of s_factor
  const int64_t row = int64_t{blockIdx.x} * (kGptqThreads / kGptqWarp) + threadIdx.x / kGptqWarp;
  if (row >= p.shape.rows) return;
  RowRounder rounder(p, s_factor, row);
  rounder.round<RowRounder::kSlots - 1>();
  const double error = rounder.error();
  if (threadIdx.x % kGptqWarp == 0) p.errors[row] += error;
}

__global__ void int4_expand_kernel(Int4Expansion p) {
  const int64_t row = blockIdx.x;
  const int32_t col = static_cast<int32_t>(blockIdx.y * blockDim.x + threadIdx.x);
  if (col >= p.shape.cols) return;
  const int64_t group = row * p.shape.n_groups() + col / p.shape.group;
  const int zero = p.zeros == nullptr ? kSymmetricZero : p.zeros[group];
  const int64_t at = row * p.shape.cols + col;
  p.out[at] = static_cast<float>(p.q[at] - zero) * __half2float(__ushort_as_half(p.scales[group]));
}

// Rows first: there may be more of them than a grid's second dimension holds.
dim3 rows_and_columns(int64_t rows, int64_t cols) {
  return dim3(static_cast<unsigned>(rows), static_cast<unsigned>(ceil_div(cols, kGptqThreads)));
}

}  // namespace

void gptq_diagonal(const float* matrix, int32_t n, float* out, const LaunchContext& context) {
  launch(context, gptq_diagonal_kernel, dim3(static_cast<unsigned>(ceil_div(n, kGptqThreads))),
         dim3(kGptqThreads), 0, matrix, n, out);
}

void gptq_permute_lower(const float* lower, const int32_t* order, int32_t n, float added,
                        float* out, const LaunchContext& context) {
  launch(context, gptq_permute_lower_kernel, rows_and_columns(n, n), dim3(kGptqThreads), 0, lower,
         order, n, added, out);
}

void gptq_permute_columns(const float* weights, const int32_t* order, int32_t rows, int32_t cols,
                          float* out, const LaunchContext& context) {
  launch(context, gptq_permute_columns_kernel, rows_and_columns(rows, cols), dim3(kGptqThreads), 0,
         weights, order, cols, out);
}

void gptq_scales(const GptqScales& params, const LaunchContext& context) {
  CHECK_LE(params.shape.group, kMostGroup);
  const dim3 grid(static_cast<unsigned>(params.shape.n_groups()),
                  static_cast<unsigned>(ceil_div(params.shape.rows, kScaleRows)));
  launch(context, gptq_scales_kernel, grid, dim3(kScaleRows), 0, params);
}

void gptq_round_block(const GptqBlock& params, const LaunchContext& context) {
  CHECK(params.end > params.begin && params.end - params.begin <= GptqBlock::kWidth);
  const auto n_blocks = ceil_div(params.shape.rows, kGptqThreads / kGptqWarp);
  launch(context, gptq_round_kernel, dim3(static_cast<unsigned>(n_blocks)), dim3(kGptqThreads), 0,
         params);
}

void int4_expand(const Int4Expansion& params, const LaunchContext& context) {
  launch(context, int4_expand_kernel, rows_and_columns(params.shape.rows, params.shape.cols),
         dim3(kGptqThreads), 0, params);
}

}  // namespace incipit::kernels::cuda
