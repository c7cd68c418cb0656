// A PagedBatch (tests/support/paged_batch.h) on the device: keys in CUDA's page order or both in
// INT8, rows and page tables uploaded.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/cuda_device.h"
#include "tests/support/int8_pages.h"
#include "tests/support/paged_batch.h"

namespace incipit::kernels {

// Keys as CUDA has them: [n_pages, n_kv_heads, kPageTokens, head_dim].
inline std::vector<uint16_t> keys_in_cuda_order(const PagedBatch& batch) {
  std::vector<uint16_t> keys(batch.k_pages.size());
  const int32_t head_dim = batch.heads.head_dim;
  const auto n_heads = static_cast<int64_t>(batch.k_pages.size()) / batch.head_size();
  for (int64_t head = 0; head < n_heads; ++head) {
    for (int32_t d = 0; d < head_dim; ++d) {
      for (int32_t t = 0; t < kPageTokens; ++t) {
        const int64_t base = head * batch.head_size();
        keys[static_cast<size_t>(base + t * head_dim + d)] =
            batch.k_pages[static_cast<size_t>(base + d * kPageTokens + t)];
      }
    }
  }
  return keys;
}

struct CudaPages {
  std::vector<uint16_t> keys, values;

  CudaPages(const PagedBatch& batch, KvType type) {
    if (type == KvType::kInt8) {
      const Int8Pages pages(batch);
      keys = as_words(pages.keys);
      values = as_words(pages.values);
    } else {
      keys = keys_in_cuda_order(batch);
      values = batch.v_pages;
    }
  }
};

struct CudaPagedBatch {
  explicit CudaPagedBatch(const PagedBatch& batch, KvType type = KvType::kF16)
      : CudaPagedBatch(batch, CudaPages(batch, type), type) {}

  RowBatch rows() const {
    return {n_rows, positions.data(), sequence_of_row.data(), page_tables.data(),
            page_table_stride};
  }
  KvLayerView kv() const { return {k_pages.data(), v_pages.data(), kv_type}; }

  int32_t n_rows;
  int32_t page_table_stride;
  KvType kv_type;
  cuda::DeviceArray<int32_t> positions, sequence_of_row, page_tables;
  cuda::DeviceArray<uint16_t> k_pages, v_pages;

 private:
  CudaPagedBatch(const PagedBatch& batch, const CudaPages& pages, KvType type)
      : n_rows(batch.n_rows()),
        page_table_stride(batch.page_table_stride),
        kv_type(type),
        positions(batch.positions),
        sequence_of_row(batch.sequence_of_row),
        page_tables(batch.page_tables),
        k_pages(pages.keys),
        v_pages(pages.values) {}
};

}  // namespace incipit::kernels
