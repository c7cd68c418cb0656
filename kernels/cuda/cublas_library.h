// The few functions of cuBLAS that LargeMatmul (where it cannot do without) and DenseAlgebra call,
// found when they are first wanted and not by the linker: a program built with CUDA starts, and
// runs, where there is a driver and no CUDA Toolkit. Host code, any thread.
#pragma once

#include <cublas_v2.h>

#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace incipit::kernels::cuda {

// Typed by the header's declarations. cuBLAS 12 and 13 have the same ones.
struct CublasLibrary {
  // Spelled out, as the header has another of that name for the types of CUDA 10.
  using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                                const void*, const void*, cudaDataType, int, const void*,
                                cudaDataType, int, const void*, void*, cudaDataType, int,
                                cublasComputeType_t, cublasGemmAlgo_t);
  static_assert(std::is_same_v<decltype(static_cast<GemmEx*>(&cublasGemmEx)), GemmEx*>);

  std::string name;  // as it was opened; stays open until the process ends
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasDestroy_v2) destroy = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetWorkspace_v2) set_workspace = nullptr;
  decltype(&cublasGetStatusString) status_string = nullptr;
  GemmEx* gemm_ex = nullptr;
  decltype(&cublasSgemm_v2) sgemm = nullptr;
  decltype(&cublasSsyrk_v2) ssyrk = nullptr;
};

struct CublasSearch {
  std::optional<CublasLibrary> library;
  std::string failure;  // without one, what is missing: "libcublas.so.13: cannot open ..."
};

// File names in the order in which they are tried, each through the loader (its cache,
// LD_LIBRARY_PATH) and then in the folders where CUDA Toolkits are: the version that this program
// was compiled with before any other.
std::vector<std::string> cublas_candidates();

// The first of them that can be opened and has all functions. The failure is the first one's.
CublasSearch load_cublas(std::span<const std::string> candidates);

// This machine's, looked for once. Opening it takes some tenths of a second.
const CublasSearch& find_cublas();
const CublasLibrary* cublas_library();  // null: there is none

// What a user can do about it.
std::string how_to_install_cublas();

}  // namespace incipit::kernels::cuda
