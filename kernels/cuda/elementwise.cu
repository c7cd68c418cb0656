// Row operations of a step. A thread has 8 consecutive values of a row: 16 bytes of fp16, two
// times 16 of float. No kernel uses dynamic shared memory.
//   embed_rows, prepare_rows, silu_mul, gather_rows: grid over all values, 256 threads
//   norm_rows: a block of 256 threads a row; the second reading of the row comes out of L1
// Every kernel waits for its predecessors first (kernels/cuda/pdl.cuh): there are no weights worth
// fetching ahead.
#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/pdl.cuh"
#include "kernels/cuda/row_values.cuh"

namespace incipit::kernels::cuda {

namespace {

constexpr int kElementwiseThreads = 256;

// x * w in fp16 and the sum of 16 squares, which two neighbouring lanes make together. All lanes
// of a warp come here; those without values pass is_active = false.
__device__ __forceinline__ void store_normed(const float (&x)[kVector], const float* norm_weight,
                                             int64_t at, int32_t hidden, bool is_active,
                                             const NormedRows& out) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kVector; ++i) squares = fmaf(x[i], x[i], squares);
  squares += __shfl_xor_sync(~0u, squares, 1);
  if (!is_active) return;
  float weight[kVector];
  load_floats(norm_weight + at % hidden, weight);
#pragma unroll
  for (int i = 0; i < kVector; ++i) weight[i] *= x[i];
  store_halves(weight, out.values + at);
  if (threadIdx.x % 2 == 0) out.square_sums[at / 16] = squares;
}

__global__ void __launch_bounds__(kElementwiseThreads) embed_rows_kernel(EmbedRowsParams params) {
  pdl_wait();
  pdl_launch_next();
  const int64_t at = (int64_t{blockIdx.x} * kElementwiseThreads + threadIdx.x) * kVector;
  const bool is_active = at < int64_t{params.n_rows} * params.hidden;
  float x[kVector] = {};
  if (is_active) {
    load_halves(params.embeddings + at, x);
    store_floats(x, params.x + at);
  }
  if (params.next_norm_weight != nullptr) {
    store_normed(x, params.next_norm_weight, at, params.hidden, is_active, params.next);
  }
}

__global__ void __launch_bounds__(kElementwiseThreads)
    prepare_rows_kernel(PrepareRowsParams params) {
  pdl_wait();
  pdl_launch_next();
  const int64_t at = (int64_t{blockIdx.x} * kElementwiseThreads + threadIdx.x) * kVector;
  const bool is_active = at < int64_t{params.n_rows} * params.hidden;
  float x[kVector] = {};
  if (is_active) load_floats(params.x + at, x);
  store_normed(x, params.norm_weight, at, params.hidden, is_active, params.out);
}

// The sum over all threads of the block, in an order that only the block's size decides.
__device__ float block_sum(float value) {
  __shared__ float s_sums[kElementwiseThreads / 32];
#pragma unroll
  for (int stride = 16; stride > 0; stride /= 2) value += __shfl_xor_sync(~0u, value, stride);
  if (threadIdx.x % 32 == 0) s_sums[threadIdx.x / 32] = value;
  __syncthreads();  // s_sums is written per warp above and read by all below
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kElementwiseThreads / 32; ++i) sum += s_sums[i];
  return sum;
}

__global__ void __launch_bounds__(kElementwiseThreads) norm_rows_kernel(NormRowsParams params) {
  pdl_wait();
  pdl_launch_next();
  const int64_t row = blockIdx.x;
  const float* const x =
      params.x + (params.rows != nullptr ? int64_t{params.rows[row]} : row) * params.hidden;
  const auto first = static_cast<int32_t>(threadIdx.x) * kVector;
  float squares = 0;
  float values[kVector];
  for (int32_t i = first; i < params.hidden; i += kElementwiseThreads * kVector) {
    load_floats(x + i, values);
#pragma unroll
    for (int j = 0; j < kVector; ++j) squares = fmaf(values[j], values[j], squares);
  }
  const float mean = block_sum(squares) / static_cast<float>(params.hidden);
  const float factor = 1.0f / sqrtf(mean + params.norm_eps);
  for (int32_t i = first; i < params.hidden; i += kElementwiseThreads * kVector) {
    float weight[kVector];
    load_floats(x + i, values);
    load_floats(params.norm_weight + i, weight);
#pragma unroll
    for (int j = 0; j < kVector; ++j) values[j] = weight[j] * (values[j] * factor);
    if (params.out != nullptr) store_halves(values, params.out + row * params.hidden + i);
    if (params.out_float != nullptr) {
      store_floats(values, params.out_float + row * params.hidden + i);
    }
  }
}

__global__ void __launch_bounds__(kElementwiseThreads) silu_mul_kernel(SiluMulParams params) {
  pdl_wait();
  pdl_launch_next();
  const int32_t n_parts = params.width / kVector;
  const int64_t item = int64_t{blockIdx.x} * kElementwiseThreads + threadIdx.x;
  if (item >= int64_t{params.n_rows} * n_parts) return;
  const int64_t row = item / n_parts;
  const int64_t col = item % n_parts * kVector;
  float gate[kVector], up[kVector];
  load_halves(params.gate_up + row * 2 * params.width + col, gate);
  load_halves(params.gate_up + (row * 2 + 1) * params.width + col, up);
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    const float g = limited(gate[i]);
    gate[i] = g / (1.0f + __expf(-g)) * limited(up[i]);
  }
  store_halves(gate, params.act + row * params.act_stride + col);
}

__global__ void __launch_bounds__(kElementwiseThreads) gather_rows_kernel(GatherRowsParams params) {
  pdl_wait();
  pdl_launch_next();
  const int64_t to = blockIdx.x;
  const int64_t from = params.rows[to];
  const int32_t x_parts = params.hidden / 4;
  const int32_t q_parts = params.q_width / kVector;
  for (auto i = static_cast<int32_t>(threadIdx.x); i < x_parts; i += kElementwiseThreads) {
    reinterpret_cast<uint4*>(params.x_out)[to * x_parts + i] =
        reinterpret_cast<const uint4*>(params.x)[from * x_parts + i];
  }
  for (auto i = static_cast<int32_t>(threadIdx.x); i < q_parts; i += kElementwiseThreads) {
    reinterpret_cast<uint4*>(params.q_out)[to * q_parts + i] =
        reinterpret_cast<const uint4*>(params.q)[from * q_parts + i];
  }
}

unsigned blocks_for(int64_t n_items) {
  return static_cast<unsigned>(ceil_div(n_items, kElementwiseThreads));
}

}  // namespace

void embed_rows(const EmbedRowsParams& params, const LaunchContext& context) {
  CHECK_EQ(params.hidden % 16, 0);
  if (params.n_rows == 0) return;
  const int64_t n_items = int64_t{params.n_rows} * params.hidden / kVector;
  launch(context, embed_rows_kernel, blocks_for(n_items), kElementwiseThreads, 0, params);
}

void prepare_rows(const PrepareRowsParams& params, const LaunchContext& context) {
  CHECK_EQ(params.hidden % 16, 0);
  if (params.n_rows == 0) return;
  const int64_t n_items = int64_t{params.n_rows} * params.hidden / kVector;
  launch(context, prepare_rows_kernel, blocks_for(n_items), kElementwiseThreads, 0, params);
}

void norm_rows(const NormRowsParams& params, const LaunchContext& context) {
  CHECK_EQ(params.hidden % kVector, 0);
  if (params.n_rows == 0) return;
  launch(context, norm_rows_kernel, static_cast<unsigned>(params.n_rows), kElementwiseThreads, 0,
         params);
}

void silu_mul(const SiluMulParams& params, const LaunchContext& context) {
  CHECK_EQ(params.width % kVector, 0);
  CHECK_EQ(params.act_stride % kVector, 0);
  const int64_t n_items = int64_t{params.n_rows} * params.width / kVector;
  if (n_items == 0) return;
  launch(context, silu_mul_kernel, blocks_for(n_items), kElementwiseThreads, 0, params);
}

void gather_rows(const GatherRowsParams& params, const LaunchContext& context) {
  CHECK_EQ(params.hidden % 4, 0);
  CHECK_EQ(params.q_width % kVector, 0);
  if (params.n_rows == 0) return;
  launch(context, gather_rows_kernel, static_cast<unsigned>(params.n_rows), kElementwiseThreads, 0,
         params);
}

}  // namespace incipit::kernels::cuda
