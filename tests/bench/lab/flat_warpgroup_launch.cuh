// Launches of flat_warpgroup.cuh: from a WarpgroupShape to the kernel that is compiled for it.
#pragma once

#include <algorithm>

#include "kernels/common/check.h"
#include "tests/bench/lab/flat_warpgroup.cuh"

namespace incipit::kernels::cuda {

template <class Tiling>
int shared_bytes_of(const WarpgroupShape& shape) {
  const int rings =
      shape.stages * shape.parts * Tiling::kGroupBytes + Tiling::kWarps * Tiling::kRingBytes;
  return 1024 + std::max(rings, Tiling::kSumsBytes);
}

template <class Tiling, class Epilogue>
void launch_shape(const WarpgroupProduct& product, const Epilogue& epilogue,
                  const LaunchContext& context) {
  const auto kernel = flat_warpgroup_kernel<Tiling, Epilogue>;
  static const bool is_ready = [&] {
    prepare_kernel(kernel, device_limits().shared_bytes - 1024);
    return true;
  }();
  CHECK(is_ready);
  const WarpgroupShape& shape = product.shape;
  const FlatWeights& w = product.w;
  CHECK_LE(product.in.n_rows, shape.tokens);
  const auto n_blocks = static_cast<unsigned>(ceil_div(w.n_tiles, shape.tiles));
  const auto n_ranks = static_cast<unsigned>(w.parts.n / shape.parts);
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.multicast ? dim3(2, n_blocks / 2) : dim3(n_ranks, n_blocks);
  config.blockDim = dim3(Tiling::kThreads);
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes_of<Tiling>(shape));
  config.stream = context.stream;
  cudaLaunchAttribute attributes[2] = {};
  unsigned n = 0;
  if (context.dependent) {
    attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[n++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (config.gridDim.x > 1) {
    attributes[n].id = cudaLaunchAttributeClusterDimension;
    attributes[n++].val.clusterDim = {config.gridDim.x, 1, 1};
  }
  config.attrs = attributes;
  config.numAttrs = n;
  const WarpgroupArgs args = {product.image, shape.parts, shape.tiles, shape.stages,
                              shape.multicast};
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, w, product.in, args, epilogue));
}

// Calls `use` with the tiling of a shape, if it is compiled.
template <FlatEnd kEnd, int kTokens, int kWarpgroups, int kRing, int kSteps, FlatMath kMath,
          class Use>
bool with_exact_tiling(const WarpgroupShape& s, const Use& use) {
  if constexpr (is_compiled(kEnd, kTokens, kWarpgroups, kRing, kSteps, kMath)) {
    if (s.tokens != kTokens || s.warpgroups != kWarpgroups || s.ring != kRing ||
        s.steps != kSteps || s.math != kMath)
      return false;
    use(WarpgroupTiling<kTokens, kWarpgroups, kRing, kSteps, kMath>());
    return true;
  }
  return false;
}
template <FlatEnd kEnd, int kTokens, int kWarpgroups, class Use>
bool with_tiling_of(const WarpgroupShape& s, const Use& use) {
  constexpr FlatMath kWgmma = FlatMath::kWarpgroup;
  return with_exact_tiling<kEnd, kTokens, kWarpgroups, 4, 2, kWgmma>(s, use) ||
         with_exact_tiling<kEnd, kTokens, kWarpgroups, 8, 2, kWgmma>(s, use) ||
         with_exact_tiling<kEnd, kTokens, kWarpgroups, 4, 4, kWgmma>(s, use) ||
         with_exact_tiling<kEnd, kTokens, kWarpgroups, 8, 4, kWgmma>(s, use) ||
         with_exact_tiling<kEnd, kTokens, kWarpgroups, 4, 2, FlatMath::kMma>(s, use) ||
         with_exact_tiling<kEnd, kTokens, kWarpgroups, 8, 2, FlatMath::kMma>(s, use);
}
template <FlatEnd kEnd, int kTokens, class Use>
bool with_tiling_of(const WarpgroupShape& s, const Use& use) {
  return with_tiling_of<kEnd, kTokens, 1>(s, use) || with_tiling_of<kEnd, kTokens, 2>(s, use) ||
         with_tiling_of<kEnd, kTokens, 4>(s, use);
}
template <FlatEnd kEnd, class Use>
bool with_tiling(const WarpgroupShape& s, const Use& use) {
  return with_tiling_of<kEnd, 8>(s, use) || with_tiling_of<kEnd, 16>(s, use) ||
         with_tiling_of<kEnd, 32>(s, use) || with_tiling_of<kEnd, 64>(s, use);
}

template <FlatEnd kEnd, class Epilogue>
void launch_product(const WarpgroupProduct& product, const Epilogue& epilogue,
                    const LaunchContext& context) {
  const bool is_there = with_tiling<kEnd>(product.shape, [&](auto tiling) {
    launch_shape<decltype(tiling)>(product, epilogue, context);
  });
  CHECK(is_there);
}

}  // namespace incipit::kernels::cuda
