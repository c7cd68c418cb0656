// Flat attention over INT8 pages: see flat_attention.cu.
#include "kernels/cuda/attention_int8.cuh"
#include "kernels/cuda/flat_attention.cuh"

namespace incipit::kernels::cuda {

FlatKernels int8_flat_kernels(int32_t head_dim) {
  return head_dim == 128 ? flat_kernels<Int8Pages<128>>() : flat_kernels<Int8Pages<64>>();
}

}  // namespace incipit::kernels::cuda
