#include "kernels/cuda/cublas_library.h"

#include "kernels/cuda/toolkit_library.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int kVersions[] = {CUBLAS_VER_MAJOR, 13, 12};

}  // namespace

std::vector<std::string> cublas_candidates() {
  return toolkit_candidates("libcublas.so.", kVersions);
}

CublasSearch load_cublas(std::span<const std::string> candidates) {
  return open_first<CublasSearch>(
      candidates, [](void* library, CublasLibrary& found, std::string& failure) {
        return find_function(library, "cublasCreate_v2", found.create, failure) &&
               find_function(library, "cublasDestroy_v2", found.destroy, failure) &&
               find_function(library, "cublasSetStream_v2", found.set_stream, failure) &&
               find_function(library, "cublasSetWorkspace_v2", found.set_workspace, failure) &&
               find_function(library, "cublasGetStatusString", found.status_string, failure) &&
               find_function(library, "cublasGemmEx", found.gemm_ex, failure) &&
               find_function(library, "cublasSgemm_v2", found.sgemm, failure) &&
               find_function(library, "cublasSsyrk_v2", found.ssyrk, failure);
      });
}

const CublasSearch& find_cublas() {
  static const CublasSearch search = load_cublas(cublas_candidates());
  return search;
}

const CublasLibrary* cublas_library() {
  const CublasSearch& search = find_cublas();
  return search.library ? &*search.library : nullptr;
}

std::string how_to_install_cublas() {
  return "install cuBLAS (NVIDIA's package libcublas-" + std::to_string(CUBLAS_VER_MAJOR) +
         "-0, or the whole CUDA Toolkit), or add the folder of libcublas.so." +
         std::to_string(CUBLAS_VER_MAJOR) + " to LD_LIBRARY_PATH";
}

}  // namespace incipit::kernels::cuda
