#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <vector>

#include "kernels/common/math.h"
#include "kernels/cpu/gemm_kernels.h"

namespace incipit::kernels {

const GemmKernels& gemm_kernels_for(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return avx512::kGemmKernels;
    case Isa::kAvx2:
      return avx2::kGemmKernels;
    case Isa::kScalar:
      break;
  }
  return scalar::kGemmKernels;
}

namespace {

// A block of C is one piece of work. Its operands, packed, are 2 x 480 KiB: they stay in a second
// level cache, and each packed number is used hundreds of times.
constexpr int64_t kBlock = 480;
constexpr int64_t kDepth = 256;

// Rows first .. first + rows - 1 of `m`, columns k .. k + depth - 1, as panels of `width` rows with
// columns outermost; rows past the end are zero. `sign` multiplies.
void pack_panels(const MatrixRef& m, int64_t first, int64_t rows, int64_t k, int64_t depth,
                 int64_t width, float sign, float* out) {
  for (int64_t panel = 0; panel < rows; panel += width) {
    const int64_t here = std::min(width, rows - panel);
    const float* const from = m.data + (first + panel) * m.row_stride + k * m.col_stride;
    if (m.row_stride == 1) {
      for (int64_t d = 0; d < depth; ++d) {
        const float* const column = from + d * m.col_stride;
        for (int64_t i = 0; i < here; ++i) out[d * width + i] = sign * column[i];
      }
    } else {
      for (int64_t i = 0; i < here; ++i) {
        const float* const row = from + i * m.row_stride;
        for (int64_t d = 0; d < depth; ++d) out[d * width + i] = sign * row[d * m.col_stride];
      }
    }
    for (int64_t i = here; i < width; ++i) {
      for (int64_t d = 0; d < depth; ++d) out[d * width + i] = 0;
    }
    out += width * depth;
  }
}

MatrixRef flipped(const MatrixRef& m) {
  return {m.data, m.col_stride, m.row_stride};
}

// One thread's packed operands and a tile for the edges.
struct Packed {
  std::vector<float> a, b, edge;
};

class BlockProduct {
 public:
  BlockProduct(const GemmParams& params, const GemmKernels& kernels)
      : p_(params), kernels_(kernels) {}

  // The block of C that begins at (row, col).
  void multiply(int64_t row, int64_t col, Packed& packed) const {
    const int64_t rows = std::min(kBlock, p_.m - row), cols = std::min(kBlock, p_.n - col);
    const int64_t tm = kernels_.tile_rows, tn = kernels_.tile_cols;
    packed.a.resize(static_cast<size_t>(round_up(rows, tm) * kDepth));
    packed.b.resize(static_cast<size_t>(round_up(cols, tn) * kDepth));
    packed.edge.resize(static_cast<size_t>(tm * tn));
    const float sign = p_.result == GemmResult::kSubtract ? -1.0F : 1.0F;
    bool add = p_.result != GemmResult::kStore;
    for (int64_t k = 0; k < p_.k; k += kDepth) {
      const int64_t depth = std::min(kDepth, p_.k - k);
      pack_panels(p_.a, row, rows, k, depth, tm, sign, packed.a.data());
      pack_panels(flipped(p_.b), col, cols, k, depth, tn, 1, packed.b.data());
      for (int64_t j = 0; j < cols; j += tn) {
        for (int64_t i = 0; i < rows; i += tm) {
          float* const c = p_.c + (row + i) * p_.c_stride + col + j;
          const float* const a = packed.a.data() + i * depth;
          const float* const b = packed.b.data() + j * depth;
          if (i + tm <= rows && j + tn <= cols) {
            kernels_.tile(a, b, depth, c, p_.c_stride, add);
          } else {
            edge_tile(a, b, depth, c, std::min(tm, rows - i), std::min(tn, cols - j), add,
                      packed.edge.data());
          }
        }
      }
      add = true;
    }
  }

 private:
  void edge_tile(const float* a, const float* b, int64_t depth, float* c, int64_t rows,
                 int64_t cols, bool add, float* tile) const {
    const int64_t tn = kernels_.tile_cols;
    if (add) {
      for (int64_t i = 0; i < rows; ++i) std::copy_n(c + i * p_.c_stride, cols, tile + i * tn);
    }
    kernels_.tile(a, b, depth, tile, tn, add);
    for (int64_t i = 0; i < rows; ++i) std::copy_n(tile + i * tn, cols, c + i * p_.c_stride);
  }

  const GemmParams& p_;
  const GemmKernels& kernels_;
};

}  // namespace

void gemm(const GemmParams& params, ThreadPool& pool) {
  if (params.m == 0 || params.n == 0) return;
  if (params.k == 0) {
    if (params.result != GemmResult::kStore) return;
    for (int64_t i = 0; i < params.m; ++i) std::fill_n(params.c + i * params.c_stride, params.n, 0);
    return;
  }
  const BlockProduct product(params, gemm_kernels_for(best_isa()));
  const int64_t across = ceil_div(params.n, kBlock);
  std::vector<int64_t> blocks;
  for (int64_t block = 0; block < ceil_div(params.m, kBlock) * across; ++block) {
    const bool above = block / across < block % across;
    if (params.part == GemmPart::kAll || !above) blocks.push_back(block);
  }
  pool.parallel_for(static_cast<int64_t>(blocks.size()), 1, [&](int64_t begin, int64_t end) {
    thread_local Packed packed;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t block = blocks[static_cast<size_t>(i)];
      product.multiply(block / across * kBlock, block % across * kBlock, packed);
    }
  });
}

}  // namespace incipit::kernels
