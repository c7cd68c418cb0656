#include "kernels/cuda/kv_staging.h"

#include <cuda_runtime_api.h>

#include <numeric>
#include <vector>

#include "kernels/common/check.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/flat_matmul.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int64_t kIntBytes = sizeof(int32_t);

int64_t page_bytes(const HeadShape& heads) {
  return kPageTokens * heads.n_kv_heads * kv_bytes_of_token(KvType::kF16, heads.head_dim);
}

DeviceBuffer upload(const std::vector<int32_t>& values) {
  const auto n_bytes = values.size() * sizeof(int32_t);
  DeviceBuffer buffer = DeviceBuffer::allocate(static_cast<int64_t>(n_bytes));
  CUDA_CHECK(cudaMemcpy(buffer.data(), values.data(), n_bytes, cudaMemcpyHostToDevice));
  return buffer;
}

}  // namespace

KvStaging::KvStaging(const HeadShape& heads, int32_t max_pages)
    : heads_(heads),
      max_pages_(max_pages),
      keys_(DeviceBuffer::allocate(kFlatRows * page_bytes(heads))),
      values_(DeviceBuffer::allocate(kFlatRows * page_bytes(heads))) {
  std::vector<int32_t> sequences(kFlatRows);
  std::iota(sequences.begin(), sequences.end(), 0);
  std::vector<int32_t> tables;
  for (const int32_t row : sequences)
    tables.insert(tables.end(), static_cast<size_t>(max_pages), row);
  sequences_ = upload(sequences);
  tables_ = upload(tables);
  // Copies are on the default stream, for which others do not wait.
  CUDA_CHECK(cudaDeviceSynchronize());
}

RowBatch KvStaging::rows_of(RowBatch rows) const {
  CHECK_LE(rows.n_rows, kFlatRows);
  rows.sequence_of_row = sequences_.as<int32_t>();
  rows.page_tables = tables_.as<int32_t>();
  rows.page_table_stride = max_pages_;
  return rows;
}

KvLayerView KvStaging::pages() const {
  return {keys_.as<uint16_t>(), values_.as<uint16_t>(), KvType::kF16};
}

int64_t KvStaging::bytes_of(const HeadShape& heads, int32_t max_pages) {
  return kFlatRows * (2 * page_bytes(heads) + (int64_t{max_pages} + 1) * kIntBytes);
}

}  // namespace incipit::kernels::cuda
