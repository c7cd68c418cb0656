// Logits of some rows: flat_product.cuh, LogitsEpilogue. INT8 weights, or fp16 row-major ones, for
// which there is the narrow kernel alone: more than 8 rows are taken in turns.
#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

namespace {

FlatWeights head_weights(const FlatHeadParams& params) {
  FlatWeights w;
  w.n_rows = params.vocab;
  w.n_tiles = static_cast<int32_t>(ceil_div(params.vocab, CudaTile::kRows));
  w.cols = params.hidden;
  w.group = kStageCols;
  w.parts = flat_parts(w.n_tiles, w.cols);
  w.data = reinterpret_cast<const std::byte*>(params.w_f16);
  if (params.w_int8.data != nullptr) {
    w.data = params.w_int8.data;
    w.tile_bytes = Int8Layout<CudaTile>::tile_bytes(params.w_int8.shape);
  }
  return w;
}

}  // namespace

void prepare_flat_head() {
  prepare_product<Int8Codec, LogitsEpilogue>();
  prepare_narrow<F16Codec, LogitsEpilogue>();
}

void flat_head(const FlatHeadParams& params, const FlatScratch& scratch,
               const LaunchContext& context) {
  const FlatWeights w = head_weights(params);
  const bool is_int8 = params.w_int8.data != nullptr;
  if (is_int8) {
    CHECK_EQ(params.w_int8.shape.rows, params.vocab);
    CHECK_EQ(params.w_int8.shape.cols, params.hidden);
  }
  int32_t most = kFlatRows;
  while (!is_int8 && most > 1 && narrow_launch<F16Codec>(w, most).ring_stages == 0) --most;
  for (int32_t first = 0; first < params.n_logit_rows; first += most) {
    const FlatRows in = {params.in.values, params.rows + first,
                         std::min(most, params.n_logit_rows - first), params.in.square_sums,
                         params.norm_eps};
    check_product(w, in);
    LogitsEpilogue epilogue = {params.vocab, nullptr, w.tile_bytes,
                               params.logits + int64_t{first} * params.vocab};
    if (is_int8) {
      epilogue.scales = w.data + Int8Layout<CudaTile>::quant_bytes(params.w_int8.shape);
      flat_product_of<Int8Codec>(w, in, scratch, epilogue, context);
    } else {
      launch_narrow<F16Codec>(w, in, narrow_launch<F16Codec>(w, in.n_rows), epilogue, context);
    }
  }
}

}  // namespace incipit::kernels::cuda
