// KvStaging: where the product of a flat step leaves keys and values that are yet to be rounded to
// INT8. Of a head it has 16 outputs at a time, while the scale needs all: so it writes fp16 as
// always, into pages of this staging instead of the sequence's, and quantize_rows() brings them
// where they belong. Each row has a page of its own, because its slot there follows from its
// position; tables that say so make it the same product, without a word about INT8. Part of
// CudaSteps (kernels/cuda/steps.h), made once.
#pragma once

#include <cstdint>

#include "kernels/cuda/device_buffer.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

class KvStaging {
 public:
  // max_pages: of a sequence. On the current device; throws CudaError when it has no room.
  KvStaging(const HeadShape& heads, int32_t max_pages);

  // At most kFlatRows rows as the product shall see them.
  RowBatch rows_of(RowBatch rows) const;
  KvLayerView pages() const;

  int64_t size_bytes() const { return bytes_of(heads_, max_pages_); }
  static int64_t bytes_of(const HeadShape& heads, int32_t max_pages);

 private:
  HeadShape heads_;
  int32_t max_pages_;
  DeviceBuffer tables_;     // [kFlatRows, max_pages]: i in row i
  DeviceBuffer sequences_;  // [kFlatRows]: 0, 1, 2, ...
  DeviceBuffer keys_;       // [kFlatRows, n_kv_heads, kPageTokens, head_dim] fp16
  DeviceBuffer values_;
};

}  // namespace incipit::kernels::cuda
