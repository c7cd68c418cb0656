// x += W in, and the rows for the next norm: flat_product.cuh, AddEpilogue.
#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

void prepare_flat_add() {
  prepare_int4_product<AddEpilogue>();
}

void flat_add(const FlatAddParams& params, const FlatScratch& scratch,
              const LaunchContext& context) {
  CHECK(params.hidden % CudaTile::kRows == 0);
  CHECK_EQ(params.w.shape.rows, params.hidden);
  CHECK_EQ(params.w.shape.cols, params.n_in);
  flat_int4_product(
      flat_weights(params.w), {params.in, nullptr, params.n_rows, nullptr, 0.0f}, scratch,
      AddEpilogue{params.hidden, params.x, params.next_norm_weight, params.next}, context);
}

}  // namespace incipit::kernels::cuda
