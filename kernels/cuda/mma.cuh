// Tensor-core products of a warp (PTX ISA, "Matrix Fragments for mma.m16n8k16"): lane (g, c) =
// (lane / 4, lane % 4) holds of A rows g and g + 8, of B column g, of the accumulator rows g and
// g + 8, columns 2 c and 2 c + 1.
#pragma once

#include <cstdint>

namespace incipit::kernels::cuda {

// d += a b; a: {(g, 2c..), (g + 8, 2c..), (g, 2c + 8..), (g + 8, 2c + 8..)}, b: {(2c.., g),
// (2c + 8.., g)}, fp16 pairs; d in float.
__device__ __forceinline__ void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                            uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices of fp16 from shared memory; lane l gives the row address of matrix l / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

}  // namespace incipit::kernels::cuda
