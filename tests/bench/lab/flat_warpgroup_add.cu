// x += W in, and what the candidates share: which shapes there are, the image of rows.
#include "tests/bench/lab/flat_warpgroup_launch.cuh"

namespace incipit::kernels::cuda {

namespace {

// A thread has 32 inputs of a token.
__global__ void __launch_bounds__(256)
    arrange_columns_kernel(const uint16_t* in, int32_t n_rows, int32_t n_tokens, int32_t cols,
                           std::byte* image) {
  const int64_t item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const auto token = static_cast<int32_t>(item / (cols / 32));
  const auto first = static_cast<int32_t>(item % (cols / 32)) * 32;
  if (token >= n_rows) return;
  for (int32_t input = first; input < first + 32; input += 2)
    *reinterpret_cast<uint32_t*>(image + TokenColumns::place(n_tokens, token, input)) =
        *reinterpret_cast<const uint32_t*>(in + int64_t{token} * cols + input);
}

template <FlatEnd kEnd>
bool fits(const WarpgroupShape& shape) {
  int bytes = 0;
  const bool is_there = with_tiling<kEnd>(
      shape, [&](auto tiling) { bytes = shared_bytes_of<decltype(tiling)>(shape); });
  return is_there && bytes <= device_limits().shared_bytes - 1024;
}

}  // namespace

std::string name_of(const WarpgroupShape& s) {
  std::string name = s.math == FlatMath::kWarpgroup ? "wgmma" : "mma";
  name += " wg" + std::to_string(s.warpgroups) + " tiles" + std::to_string(s.tiles);
  if (s.parts > 1) name += " parts" + std::to_string(s.parts);
  name += " ring" + std::to_string(s.ring) + " steps" + std::to_string(s.steps) + " stages" +
          std::to_string(s.stages);
  return s.multicast ? name + " multicast" : name;
}

bool is_possible(FlatEnd end, const FlatWeights& w, const WarpgroupShape& shape) {
  const bool is_there = end == FlatEnd::kRopeAppend ? fits<FlatEnd::kRopeAppend>(shape)
                        : end == FlatEnd::kAdd      ? fits<FlatEnd::kAdd>(shape)
                                                    : fits<FlatEnd::kGateUp>(shape);
  // Parts are all alike here; the engine's kernel would have to allow for a shorter last one.
  const bool is_even = w.parts.n * w.parts.cols == w.cols && w.parts.n % shape.parts == 0;
  const bool is_pair = w.parts.n == 1 && ceil_div(w.n_tiles, shape.tiles) % 2 == 0;
  return is_there && is_even && (is_pair || !shape.multicast) &&
         shape.warpgroups % shape.parts == 0 && shape.tiles <= 4 * shape.warpgroups / shape.parts &&
         shape.stages <= kMostTokenStages && shape.stages <= w.parts.cols / kStageCols;
}

bool has_warpgroup_products() {
  using Tiling = WarpgroupTiling<8, 2, 4, 2, FlatMath::kWarpgroup>;
  cudaFuncAttributes attributes = {};
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, flat_warpgroup_kernel<Tiling, ImageAddEpilogue>));
  return attributes.sharedSizeBytes > 0;
}

void arrange_columns(const uint16_t* rows, int32_t n_rows, int32_t n_tokens, int32_t cols,
                     std::byte* image, const LaunchContext& context) {
  CHECK_EQ(cols % CudaTile::kColsPadding, 0);
  const auto n = static_cast<unsigned>(ceil_div(int64_t{n_rows} * (cols / 32), 256));
  launch(context, arrange_columns_kernel, n, 256, 0, rows, n_rows, n_tokens, cols, image);
}

void warpgroup_product(const WarpgroupProduct& product, const ImageAddEpilogue& epilogue,
                       const LaunchContext& context) {
  launch_product<FlatEnd::kAdd>(product, epilogue, context);
}

}  // namespace incipit::kernels::cuda
