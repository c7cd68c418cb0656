#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/cpu/matmul_kernels.h"

namespace incipit::kernels {

namespace {

// At least this many bytes of weights a range: shorter streams start the prefetchers too often.
constexpr int64_t kMinRangeBytes = 16 * 1024;

const MatmulKernels& kernels_for(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return avx512::kMatmulKernels;
    case Isa::kAvx2:
      return avx2::kMatmulKernels;
    case Isa::kScalar:
      break;
  }
  return scalar::kMatmulKernels;
}

// Tiles a range holds at least: enough bytes to stream, or enough arithmetic to be worth a
// handover.
int64_t min_tiles(int64_t tile_bytes, int32_t n_rows) {
  return std::max<int64_t>(1, kMinRangeBytes / (tile_bytes * std::max<int64_t>(1, n_rows)));
}

}  // namespace

int64_t quantized_rows_bytes(int32_t n_rows, int32_t cols, int32_t group) {
  const int64_t n_groups = ceil_div(cols, group);
  return n_rows * n_groups * 2 * group + 2 * round_up(n_rows * n_groups * 4, 64);
}

QuantizedRows quantized_rows_in(std::byte* scratch, int32_t n_rows, int32_t cols, int32_t group) {
  CHECK(group == 32 || group == 64 || group == 128);
  QuantizedRows rows;
  rows.n_rows = n_rows;
  rows.cols = cols;
  rows.group = group;
  rows.n_groups = static_cast<int32_t>(ceil_div(cols, group));
  rows.planes = reinterpret_cast<int8_t*>(scratch);
  std::byte* const scales = scratch + int64_t{n_rows} * rows.n_groups * 2 * group;
  rows.scales = reinterpret_cast<float*>(scales);
  rows.sums =
      reinterpret_cast<int32_t*>(scales + round_up(int64_t{n_rows} * rows.n_groups * 4, 64));
  return rows;
}

void quantize_rows(const float* x, int64_t x_stride, const QuantizedRows& out, int32_t row_begin,
                   int32_t row_end, Isa isa) {
  kernels_for(isa).quantize_rows(x, x_stride, out, row_begin, row_end);
}

int64_t n_output_tiles(int32_t n_out) {
  return ceil_div(n_out, kOutputTile);
}

void int4_matmul_tiles(const Int4MatmulParams& params, int64_t tile_begin, int64_t tile_end,
                       Isa isa) {
  DCHECK(params.x.group == params.w.shape.group && params.x.cols == params.w.shape.cols);
  kernels_for(isa).int4_tiles(params, tile_begin, tile_end);
}

void int8_matmul_tiles(const Int8MatmulParams& params, int64_t tile_begin, int64_t tile_end,
                       Isa isa) {
  DCHECK(params.x.group == kInt8HeadGroup && params.x.cols == params.w.shape.cols);
  kernels_for(isa).int8_tiles(params, tile_begin, tile_end);
}

void f16_matmul_tiles(const F16MatmulParams& params, int64_t tile_begin, int64_t tile_end,
                      Isa isa) {
  kernels_for(isa).f16_tiles(params, tile_begin, tile_end);
}

void int4_matmul(const Int4MatmulParams& params, Isa isa, ThreadPool& pool) {
  const int64_t tile_bytes = CpuTile::record_bytes(params.w.shape) * params.w.shape.n_groups();
  pool.parallel_for(
      CpuTile::n_tiles(params.w.shape), min_tiles(tile_bytes, params.x.n_rows),
      [&](int64_t begin, int64_t end) { int4_matmul_tiles(params, begin, end, isa); });
}

void int8_matmul(const Int8MatmulParams& params, Isa isa, ThreadPool& pool) {
  const int64_t tile_bytes = Int8Layout<CpuTile>::tile_bytes(params.w.shape);
  pool.parallel_for(
      Int8Layout<CpuTile>::n_tiles(params.w.shape), min_tiles(tile_bytes, params.x.n_rows),
      [&](int64_t begin, int64_t end) { int8_matmul_tiles(params, begin, end, isa); });
}

void f16_matmul(const F16MatmulParams& params, Isa isa, ThreadPool& pool) {
  const int64_t tile_bytes = int64_t{kOutputTile} * params.cols * 2;
  pool.parallel_for(n_output_tiles(params.n_out), min_tiles(tile_bytes, params.n_rows),
                    [&](int64_t begin, int64_t end) { f16_matmul_tiles(params, begin, end, isa); });
}

int64_t bytes_moved(const Int4MatmulParams& params) {
  return CpuTile::bytes(params.w.shape);
}

int64_t bytes_moved(const Int8MatmulParams& params) {
  return Int8Layout<CpuTile>::bytes(params.w.shape);
}

int64_t multiply_adds(int64_t n_rows, int64_t n_out, int64_t cols) {
  return n_rows * n_out * cols;
}

}  // namespace incipit::kernels
