// Gate and up: flat_warpgroup.cuh with ImageGateUpEpilogue.
#include "tests/bench/lab/flat_warpgroup_launch.cuh"

namespace incipit::kernels::cuda {

void warpgroup_product(const WarpgroupProduct& product, const ImageGateUpEpilogue& epilogue,
                       const LaunchContext& context) {
  launch_product<FlatEnd::kGateUp>(product, epilogue, context);
}

}  // namespace incipit::kernels::cuda
