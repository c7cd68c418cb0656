// q, k, v: flat_warpgroup.cuh with RopeAppendEpilogue.
#include "tests/bench/lab/flat_warpgroup_launch.cuh"

namespace incipit::kernels::cuda {

void warpgroup_product(const WarpgroupProduct& product, const RopeAppendEpilogue& epilogue,
                       const LaunchContext& context) {
  launch_product<FlatEnd::kRopeAppend>(product, epilogue, context);
}

}  // namespace incipit::kernels::cuda
