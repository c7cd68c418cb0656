// Weights<CudaTile> out of Weights<CpuTile>: the matrices go to the device in the CPU's layout,
// piece by piece, and are repacked there. Loading thread; throws kernels::cuda::CudaError.
#pragma once

#include <cstdint>

#include "engine/weights/weights.h"
#include "kernels/quant/cuda_layout.h"

namespace incipit::engine {

// Device memory that the weights take.
int64_t cuda_weight_bytes(const Weights<kernels::CpuTile>& weights);

// The result's storage holds the device memory, and `weights.storage`, where the embedding stays.
// n_threads share the copying; 0: one per physical core.
Weights<kernels::CudaTile> upload_weights(const Weights<kernels::CpuTile>& weights,
                                          int32_t n_threads);

}  // namespace incipit::engine
