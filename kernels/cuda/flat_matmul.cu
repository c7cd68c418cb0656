// What the flat products share: scratch and shared-memory limits. The products themselves are in
// flat_qkv.cu, flat_add.cu, flat_gate_up.cu and flat_head.cu.
#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

namespace {

void grow(FlatScratchSize& size, int64_t rows, int64_t cols) {
  const int64_t n_tiles = ceil_div(rows, CudaTile::kRows);
  const FlatParts parts = flat_parts(n_tiles, cols);
  const int64_t n_blocks = ceil_div(n_tiles, kWideTiles - 1);
  if (parts.n > 1)
    size.partial_sum_bytes =
        std::max(size.partial_sum_bytes, n_blocks * parts.n * Wide64::kUnits * kWarp *
                                             static_cast<int64_t>(sizeof(float4)));
  size.counter_bytes =
      std::max(size.counter_bytes, n_blocks * static_cast<int64_t>(sizeof(int32_t)));
}

}  // namespace

FlatScratchSize flat_scratch_size(int32_t hidden, int32_t ffn, const HeadShape& heads,
                                  int32_t vocab) {
  FlatScratchSize size;
  const int64_t q_width = int64_t{heads.n_heads} * heads.head_dim;
  grow(size, q_width + int64_t{2} * heads.n_kv_heads * heads.head_dim, hidden);
  grow(size, hidden, q_width);
  grow(size, int64_t{2} * ffn, hidden);
  grow(size, hidden, ffn);
  grow(size, vocab, hidden);
  return size;
}

void prepare_flat_matmul() {
  prepare_flat_qkv();
  prepare_flat_add();
  prepare_flat_gate_up();
  prepare_flat_head();
}

}  // namespace incipit::kernels::cuda
