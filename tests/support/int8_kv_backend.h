// Int8KvBackend: the CPU backend with keys and values rounded to INT8 as soon as they are written.
// The CPU has no such pages: the rounded numbers are kept in its fp16 pages. So what the rounding
// does to a model can be seen without a GPU.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/model/cpu_backend.h"
#include "kernels/common/half.h"
#include "kernels/quant/kv_int8_codec.h"

namespace incipit::test {

// Sums of squares: of what rounding did to numbers, and of the largest of each head, once a number.
struct SquareSums {
  double errors = 0;
  double largest = 0;
  // The root mean square of the error, of a head's largest number.
  double of_largest() const { return std::sqrt(errors / largest); }
};

class Int8KvBackend : public engine::CpuBackend {
 public:
  using CpuBackend::CpuBackend;

  void qkv_rope_append(const kernels::QkvRopeAppendParams<WeightLayout>& p) {
    CpuBackend::qkv_rope_append(p);
    const kernels::HeadShape& heads = p.heads;
    constexpr int32_t kTokens = kernels::kPageTokens;
    for (int32_t row = 0; row < p.rows.n_rows; ++row) {
      const int32_t position = p.rows.positions[row];
      const int64_t page =
          p.rows.page_tables[int64_t{p.rows.sequence_of_row[row]} * p.rows.page_table_stride +
                             position / kTokens];
      for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
        const int64_t block = (page * heads.n_kv_heads + head) * kTokens * heads.head_dim;
        const int32_t slot = position % kTokens;
        round(kernels::KvPart::kKeys, heads.head_dim, p.kv.k_pages + block + slot, kTokens);
        round(kernels::KvPart::kValues, heads.head_dim,
              p.kv.v_pages + block + slot * heads.head_dim, 1);
      }
    }
  }

  const SquareSums& error_of(kernels::KvPart part) const {
    return part == kernels::KvPart::kKeys ? keys_ : values_;
  }

 private:
  // head_dim values of a token, `stride` apart.
  void round(kernels::KvPart part, int32_t head_dim, uint16_t* values, int32_t stride) {
    std::vector<float> exact;
    for (int32_t d = 0; d < head_dim; ++d)
      exact.push_back(kernels::half_to_float(values[d * stride]));
    block_.resize(static_cast<size_t>(kernels::KvInt8Layout::head_bytes(head_dim)));
    const kernels::KvInt8Block block = {part, head_dim, block_.data()};
    kernels::quantize_token(block, 0, exact);
    double largest = 0;
    for (const float v : exact) largest = std::max(largest, std::abs(double{v}));
    SquareSums& sums = part == kernels::KvPart::kKeys ? keys_ : values_;
    for (int32_t d = 0; d < head_dim; ++d) {
      const double rounded = kernels::value_of(block, 0, d);
      const double value = exact[static_cast<size_t>(d)];
      sums.largest += largest * largest;
      sums.errors += (rounded - value) * (rounded - value);
      values[d * stride] = kernels::float_to_half(static_cast<float>(rounded));
    }
  }

  std::vector<std::byte> block_;
  SquareSums keys_, values_;
};

}  // namespace incipit::test
