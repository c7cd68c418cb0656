// Pack, unpack and dequantise INT4 matrices: slow and obvious, through the layout's own functions.
// Called by importers, the weight cache and tests, on any thread.
#pragma once

#include <cstring>
#include <span>

#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/common/thread_pool.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::kernels {

template <class Layout>
int64_t packed_bytes(const Int4Shape& shape) {
  return Layout::bytes(shape);
}

// One weight of a plain matrix.
float weight_at(const Int4Matrix& matrix, int32_t row, int32_t col);

// One weight of a packed matrix.
template <class Layout>
float weight_at(const Int4View<Layout>& view, int32_t row, int32_t col) {
  const int32_t group = col / view.shape.group;
  const auto byte = static_cast<uint32_t>(view.data[Layout::byte_of(view.shape, row, col)]);
  const auto q = static_cast<int32_t>((byte >> Layout::shift_of(view.shape, col)) & 0x0fu);
  const int32_t zero =
      view.shape.has_zeros
          ? static_cast<int32_t>(view.data[Layout::zero_of(view.shape, row, group)])
          : int32_t{kSymmetricZero};
  uint16_t scale = 0;
  std::memcpy(&scale, view.data + Layout::scale_of(view.shape, row, group), sizeof(scale));
  return static_cast<float>(q - zero) * half_to_float(scale);
}

// Writes all packed_bytes of `packed`, padding included. With a pool the tiles are shared out.
template <class Layout>
void pack(const Int4Matrix& matrix, std::span<std::byte> packed, ThreadPool* pool = nullptr);

template <class Layout>
Int4Matrix unpack(const Int4View<Layout>& view);

template <>
void pack<CpuTile>(const Int4Matrix& matrix, std::span<std::byte> packed, ThreadPool* pool);
template <>
Int4Matrix unpack<CpuTile>(const Int4View<CpuTile>& view);

}  // namespace incipit::kernels
