// act = silu(gate) * up: flat_product.cuh, GateUpEpilogue.
#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

void prepare_flat_gate_up() {
  prepare_int4_product<GateUpEpilogue>();
}

void flat_gate_up(const FlatGateUpParams& params, const FlatScratch& scratch,
                  const LaunchContext& context) {
  CHECK(params.ffn % 8 == 0);
  CHECK_EQ(params.w_gate_up.shape.rows, 2 * params.ffn);
  CHECK_EQ(params.w_gate_up.shape.cols, params.hidden);
  const FlatRows in = {params.in.values, nullptr, params.n_rows, params.in.square_sums,
                       params.norm_eps};
  flat_int4_product(flat_weights(params.w_gate_up), in, scratch,
                    GateUpEpilogue{params.ffn, params.act}, context);
}

}  // namespace incipit::kernels::cuda
