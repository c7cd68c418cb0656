// The few functions of cuSOLVER that DenseAlgebra calls, found at run time as those of cuBLAS are
// (cublas_library.h). Only quantising wants them. Host code, any thread.
#pragma once

#include <cusolverDn.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace incipit::kernels::cuda {

// Typed by the header's declarations. cuSOLVER 11 (of CUDA 12) and 12 (of CUDA 13) have the same.
struct CusolverLibrary {
  std::string name;  // as it was opened; stays open until the process ends
  decltype(&cusolverDnCreate) create = nullptr;
  decltype(&cusolverDnDestroy) destroy = nullptr;
  decltype(&cusolverDnSetStream) set_stream = nullptr;
  decltype(&cusolverDnSpotrf_bufferSize) spotrf_buffer_size = nullptr;
  decltype(&cusolverDnSpotrf) spotrf = nullptr;
};

struct CusolverSearch {
  std::optional<CusolverLibrary> library;
  std::string failure;  // without one, what is missing: "libcusolver.so.12: cannot open ..."
};

// As cublas_candidates() and load_cublas().
std::vector<std::string> cusolver_candidates();
CusolverSearch load_cusolver(std::span<const std::string> candidates);

// This machine's, looked for once.
const CusolverSearch& find_cusolver();

// What a user can do about it.
std::string how_to_install_cusolver();

}  // namespace incipit::kernels::cuda
