// Stands where a build with a CUDA compiler has cuda_solver.cpp.
#include "engine/quantize/section_solver.h"

namespace incipit::engine {

Result<std::unique_ptr<SectionSolver>> make_cuda_solver(int32_t, kernels::ThreadPool&) {
  return Error{ErrorCode::kUnsupported, "this build has no CUDA backend"};
}

Result<void> find_cuda_solver_libraries() {
  return Error{ErrorCode::kUnsupported, "this build has no CUDA backend"};
}

}  // namespace incipit::engine
