// Chooses the kernel of a flat product: by codec (what the weights are) and by the number of tokens
// (which changes the time, never a bit). One .cu file an epilogue includes this, so that they
// compile side by side.
#pragma once

#include "kernels/common/check.h"
#include "kernels/cuda/flat_narrow.cuh"
#include "kernels/cuda/flat_wide.cuh"

namespace incipit::kernels::cuda {

inline FlatWeights flat_weights(const Int4View<CudaTile>& view) {
  const Int4Shape& s = view.shape;
  FlatWeights w;
  w.data = view.data;
  w.tile_bytes = CudaTile::tile_bytes(s);
  w.scales_at = static_cast<int32_t>(CudaTile::quant_bytes(s));
  if (s.has_zeros)
    w.zeros_at =
        static_cast<int32_t>(w.scales_at + CudaTile::n_scale_quads(s) * CudaTile::kScaleQuadBytes);
  w.n_rows = s.rows;
  w.n_tiles = static_cast<int32_t>(CudaTile::n_tiles(s));
  w.cols = s.cols;
  w.group = s.group;
  w.parts = flat_parts(w.n_tiles, s.cols);
  return w;
}

inline WideScratch wide_scratch(const FlatScratch& scratch) {
  return {reinterpret_cast<float4*>(scratch.partial_sums), scratch.counters};
}

inline bool is_group128(const FlatWeights& w) {
  return w.group == 128 && w.zeros_at == 0;
}

// Rows are read 16 bytes at a time.
inline void check_product(const FlatWeights& w, const FlatRows& in) {
  CHECK(w.cols % 8 == 0);
  CHECK(in.n_rows >= 1 && in.n_rows <= kFlatRows);
}

// The tilings that a product is compiled for: all sizes where speed was asked for, two elsewhere.
template <class Codec, class Epilogue>
struct Tilings;
template <class Epilogue>
struct Tilings<Int4Group128, Epilogue> {
  static constexpr bool kOnePart = std::is_same_v<Epilogue, GateUpEpilogue>;
  using For8 = std::conditional_t<kOnePart, WideDeep8, Wide8>;
  using For16 = std::conditional_t<kOnePart, WideDeep16, Wide16>;
  using For32 = Wide32;
  using For64 = Wide64;
};
template <class Epilogue>
struct Tilings<Int4Any, Epilogue> {
  using For8 = Wide16;
  using For16 = Wide16;
  using For32 = Wide64;
  using For64 = Wide64;
};
template <class Epilogue>
struct Tilings<Int8Codec, Epilogue> {
  using For8 = WideHead16;
  using For16 = WideHead16;
  using For32 = Wide64;
  using For64 = Wide64;
};

template <class Codec, class Epilogue>
void flat_wide(const FlatWeights& w, const FlatRows& in, const FlatScratch& scratch,
               const Epilogue& epilogue, const LaunchContext& context) {
  using Sizes = Tilings<Codec, Epilogue>;
  const WideScratch sums = wide_scratch(scratch);
  if (in.n_rows <= 8)
    return launch_wide<Codec, Epilogue, typename Sizes::For8>(w, in, sums, epilogue, context);
  if (in.n_rows <= 16)
    return launch_wide<Codec, Epilogue, typename Sizes::For16>(w, in, sums, epilogue, context);
  if (in.n_rows <= 32)
    return launch_wide<Codec, Epilogue, typename Sizes::For32>(w, in, sums, epilogue, context);
  launch_wide<Codec, Epilogue, typename Sizes::For64>(w, in, sums, epilogue, context);
}

template <class Codec, class Epilogue>
void prepare_product() {
  using Sizes = Tilings<Codec, Epilogue>;
  prepare_narrow<Codec, Epilogue>();
  prepare_wide<Codec, Epilogue, typename Sizes::For8>();
  prepare_wide<Codec, Epilogue, typename Sizes::For16>();
  prepare_wide<Codec, Epilogue, typename Sizes::For32>();
  prepare_wide<Codec, Epilogue, typename Sizes::For64>();
}

template <class Codec, class Epilogue>
void flat_product_of(const FlatWeights& w, const FlatRows& in, const FlatScratch& scratch,
                     const Epilogue& epilogue, const LaunchContext& context) {
  const NarrowLaunch shape = narrow_launch<Codec>(w, in.n_rows);
  if (shape.ring_stages > 0) {
    launch_narrow<Codec>(w, in, shape, epilogue, context);
  } else {
    flat_wide<Codec>(w, in, scratch, epilogue, context);
  }
}

template <class Epilogue>
void flat_int4_product(const FlatWeights& w, const FlatRows& in, const FlatScratch& scratch,
                       const Epilogue& epilogue, const LaunchContext& context) {
  check_product(w, in);
  if (is_group128(w)) {
    flat_product_of<Int4Group128>(w, in, scratch, epilogue, context);
  } else {
    flat_product_of<Int4Any>(w, in, scratch, epilogue, context);
  }
}

template <class Epilogue>
void prepare_int4_product() {
  prepare_product<Int4Group128, Epilogue>();
  prepare_product<Int4Any, Epilogue>();
}

// One each of the .cu files.
void prepare_flat_qkv();
void prepare_flat_add();
void prepare_flat_gate_up();
void prepare_flat_head();

}  // namespace incipit::kernels::cuda
