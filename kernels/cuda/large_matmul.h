// Products of hundreds of tokens. On Hopper, for groups of 128 without zero points, the kernels of
// large_mixed.h. Elsewhere slices of the weights are expanded to fp16 and multiplied by cuBLAS, by
// turns. (Expanding the next slice on a second stream measures slower: the products leave it no
// multiprocessor, tests/bench/lab/prefill_lab.cpp.) Where there is no cuBLAS either, can_run() is
// false, and the steps take the flat products by turns. Owns the cuBLAS handle and all memory that
// it works in: nothing is allocated after construction. Engine thread alone.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/launch.h"
#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels::cuda {

struct CublasLibrary;
const CublasLibrary* cublas_library();  // cublas_library.h

struct LargeLimits {
  int32_t max_rows = 0;  // of one step
  int32_t hidden = 0;
  int32_t ffn = 0;
  int32_t qkv_rows = 0;
  int32_t attention_dim = 0;
  // All weights have groups of 128 and no zero points (is_mixed_shape).
  bool has_mixed_shapes = false;
  // Asked only where products are not mixed; null: there is none.
  const CublasLibrary* (*find_cublas)() = cublas_library;
};

// The numbers come from tests/bench/lab/prefill_lab.cpp.
struct LargeTuning {
  int64_t slice_bytes = int64_t{32} << 20;      // of expanded weights
  int64_t workspace_bytes = int64_t{32} << 20;  // what cuBLAS recommends for compute capability 9
};

class LargeMatmul {
 public:
  // Whether products would be mixed ones, on the current device.
  static bool is_mixed(const LargeLimits& limits);
  // Whether there is a way at all: mixed products, or cuBLAS.
  static bool can_run(const LargeLimits& limits);
  // Where it can run. Throws CudaError when the device has no room.
  explicit LargeMatmul(const LargeLimits& limits, const LargeTuning& tuning = {});
  ~LargeMatmul();
  LargeMatmul(const LargeMatmul&) = delete;
  LargeMatmul& operator=(const LargeMatmul&) = delete;

  // out[n_rows, w.rows] = in[n_rows, w.cols] W^T in fp16, outputs in logical order.
  void product(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
               const uint16_t* in, int32_t n_rows, uint16_t* out, const LaunchContext& context);
  // x[n_rows, w.rows] += in W^T, float; plain row order.
  void add_product(const Int4View<CudaTile>& w, const uint16_t* in, int32_t n_rows, float* x,
                   const LaunchContext& context);
  // x += silu(gate) * up W_down^T, of the gates and ups (RowOrder::kGateUp) of `in`.
  void mlp_product(const Int4View<CudaTile>& gate_up, const Int4View<CudaTile>& down,
                   const uint16_t* in, int32_t n_rows, float* x, const LaunchContext& context);

  int64_t scratch_bytes() const;

 private:
  struct Expansion;
  struct Mixed;
  LargeLimits limits_;
  std::unique_ptr<Mixed> mixed_;  // one of the two
  std::unique_ptr<Expansion> expansion_;
};

// A rectangle of a packed matrix: rows are multiples of 16 but for the matrix's end, first_col is a
// multiple of 128, n_cols of 8.
struct WeightSlice {
  int32_t first_row = 0;
  int32_t n_rows = 0;
  int32_t first_col = 0;
  int32_t n_cols = 0;
};

// to[slice.n_rows, slice.n_cols] = the weights in fp16, in the logical order of the slice's own
// rows: a slice of kRopePairs starts and ends with a head, one of kGateUp has its gates first.
void dequantize(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
                const WeightSlice& slice, uint16_t* to, const LaunchContext& context);

}  // namespace incipit::kernels::cuda
