#include "kernels/cuda/cusolver_library.h"

#include <cublas_v2.h>

#include "kernels/cuda/toolkit_library.h"

namespace incipit::kernels::cuda {

namespace {

// The file's versions, which run one behind CUDA's.
constexpr int kSolverVersions[] = {CUSOLVER_VER_MAJOR, 12, 11};

}  // namespace

std::vector<std::string> cusolver_candidates() {
  return toolkit_candidates("libcusolver.so.", kSolverVersions);
}

CusolverSearch load_cusolver(std::span<const std::string> candidates) {
  return open_first<CusolverSearch>(
      candidates, [](void* library, CusolverLibrary& found, std::string& failure) {
        return find_function(library, "cusolverDnCreate", found.create, failure) &&
               find_function(library, "cusolverDnDestroy", found.destroy, failure) &&
               find_function(library, "cusolverDnSetStream", found.set_stream, failure) &&
               find_function(library, "cusolverDnSpotrf_bufferSize", found.spotrf_buffer_size,
                             failure) &&
               find_function(library, "cusolverDnSpotrf", found.spotrf, failure);
      });
}

const CusolverSearch& find_cusolver() {
  static const CusolverSearch search = load_cusolver(cusolver_candidates());
  return search;
}

std::string how_to_install_cusolver() {
  return "install cuSOLVER (NVIDIA's package libcusolver-" + std::to_string(CUBLAS_VER_MAJOR) +
         "-0, or the whole CUDA Toolkit), or add the folder of libcusolver.so." +
         std::to_string(CUSOLVER_VER_MAJOR) + " to LD_LIBRARY_PATH";
}

}  // namespace incipit::kernels::cuda
