// Quantise rows to INT8, pack, unpack and dequantise them: slow and obvious, through the layout's
// own functions. Called by importers, the weight cache and tests, on any thread.
#pragma once

#include <span>

#include "kernels/common/thread_pool.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::kernels {

template <class Layout>
int64_t packed_bytes(const Int8Shape& shape) {
  return Int8Layout<Layout>::bytes(shape);
}

// scale = absmax / 127 of the row (0 for a zero row), q = round_to_even(w / scale).
Int8Matrix quantize_rows_int8(std::span<const float> rows, const Int8Shape& shape);

// The same from fp16 rows ([rows, cols] bit patterns), straight into the packed form, without a
// plain matrix between. Writes all packed_bytes of `packed`.
template <class Layout>
void quantize_rows_int8(std::span<const uint16_t> fp16_rows, const Int8Shape& shape,
                        std::span<std::byte> packed, ThreadPool* pool = nullptr);

template <class Layout>
void pack(const Int8Matrix& matrix, std::span<std::byte> packed, ThreadPool* pool = nullptr);

template <class Layout>
Int8Matrix unpack(const Int8View<Layout>& view);

float weight_at(const Int8Matrix& matrix, int32_t row, int32_t col);
float weight_at(const Int8View<CpuTile>& view, int32_t row, int32_t col);

template <>
void quantize_rows_int8<CpuTile>(std::span<const uint16_t> fp16_rows, const Int8Shape& shape,
                                 std::span<std::byte> packed, ThreadPool* pool);
template <>
void pack<CpuTile>(const Int8Matrix& matrix, std::span<std::byte> packed, ThreadPool* pool);
template <>
Int8Matrix unpack<CpuTile>(const Int8View<CpuTile>& view);

}  // namespace incipit::kernels
