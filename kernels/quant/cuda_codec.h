// Pack and unpack the CUDA layout on the host: slow and obvious, through the layout's own
// functions. Tests compare kernels/cuda/repack.h with it; a model is repacked on the device.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/quant/cuda_layout.h"

namespace incipit::kernels {

// All CudaTile::bytes of the matrix, padding included, rows put in `order`.
std::vector<std::byte> pack_cuda(const Int4Matrix& matrix, RowOrder order = RowOrder::kPlain,
                                 const HeadOrder& heads = {});
std::vector<std::byte> pack_cuda(const Int8Matrix& matrix);

// The logical matrix again.
Int4Matrix unpack_cuda(const Int4View<CudaTile>& view, RowOrder order = RowOrder::kPlain,
                       const HeadOrder& heads = {});
Int8Matrix unpack_cuda(const Int8View<CudaTile>& view);

}  // namespace incipit::kernels
