// From the CPU's weight layout (what a packed file holds) to the device's, on the device: `from` is
// a copy of the file's bytes in device memory. Launches only.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels::cuda {

// Writes every byte of `to` (CudaTile::bytes(shape)), padding included. Rows are put in `order`.
void repack_int4(const Int4View<CpuTile>& from, RowOrder order, const HeadOrder& heads,
                 std::byte* to, cudaStream_t stream);
void repack_int8(const Int8View<CpuTile>& from, std::byte* to, cudaStream_t stream);

}  // namespace incipit::kernels::cuda
