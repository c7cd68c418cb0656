// q, k, v of a few tokens, RoPE, and k and v to their pages: flat_product.cuh, RopeAppendEpilogue.
#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

void prepare_flat_qkv() {
  prepare_int4_product<RopeAppendEpilogue>();
}

void flat_qkv(const FlatQkvParams& params, const FlatScratch& scratch,
              const LaunchContext& context) {
  const HeadShape& heads = params.heads;
  CHECK(heads.head_dim % 16 == 0);
  CHECK(params.kv.type == KvType::kF16);
  CHECK_EQ(params.w_qkv.shape.rows, (heads.n_heads + 2 * heads.n_kv_heads) * heads.head_dim);
  CHECK_EQ(params.w_qkv.shape.cols, params.hidden);
  const FlatRows in = {params.in.values, nullptr, params.rows.n_rows, params.in.square_sums,
                       params.norm_eps};
  flat_int4_product(flat_weights(params.w_qkv), in, scratch,
                    RopeAppendEpilogue{params.rows, heads, params.rope_cos, params.rope_sin,
                                       params.q, params.kv.k_pages, params.kv.v_pages},
                    context);
}

}  // namespace incipit::kernels::cuda
