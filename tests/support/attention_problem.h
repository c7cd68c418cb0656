// Problems for attention on a CUDA device, and how they are run: for tests of its values and of its
// promises, with fp16 pages and with INT8.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/cuda/attention.h"
#include "tests/support/cuda_paged_batch.h"

namespace incipit::kernels::cuda {

inline size_t index_at(int64_t i) {
  return static_cast<size_t>(i);
}

struct AttentionProblem {
  PagedBatch batch;
  KvType kv_type = KvType::kF16;
  std::vector<uint16_t> q;  // [n_rows, n_heads * head_dim]
  float scale = 0;

  int64_t width() const { return int64_t{batch.heads.n_heads} * batch.heads.head_dim; }
};

// Queries of mixed strength: some rows look at all tokens alike, some at hardly more than one.
inline AttentionProblem make_problem(const HeadShape& heads, const std::vector<RowRun>& runs,
                                     KvType kv_type = KvType::kF16) {
  std::mt19937 random(test_seed() + static_cast<uint32_t>(heads.n_heads * 1000 + heads.head_dim));
  AttentionProblem p;
  p.kv_type = kv_type;
  p.batch = make_batch(heads, runs, random);
  p.scale = 1.0f / std::sqrt(static_cast<float>(heads.head_dim));
  std::normal_distribution<float> value(0.0f, 1.0f);
  for (int32_t row = 0; row < p.batch.n_rows(); ++row) {
    const float strength = std::exp2(static_cast<float>(random() % 6) - 3.0f);
    for (int64_t i = 0; i < p.width(); ++i) p.q.push_back(float_to_half(strength * value(random)));
  }
  return p;
}

// Rows `rows` of p, in that order; -1 is a row of padding.
inline AttentionProblem select(const AttentionProblem& p, const std::vector<int32_t>& rows) {
  AttentionProblem part = p;
  part.q.clear();
  part.batch.positions.clear();
  part.batch.sequence_of_row.clear();
  for (const int32_t row : rows) {
    const bool is_padding = row < 0;
    part.batch.positions.push_back(is_padding ? -1 : p.batch.positions[index_at(row)]);
    part.batch.sequence_of_row.push_back(is_padding ? 0 : p.batch.sequence_of_row[index_at(row)]);
    const int64_t first = std::max(row, 0) * p.width();
    part.q.insert(part.q.end(), p.q.begin() + first, p.q.begin() + first + p.width());
  }
  return part;
}

struct LaunchAs {
  StepInputs inputs = StepInputs::kAfterWait;
  bool dependent = false;
  int n_times = 1;
};

// Output bits, [n_rows, width], poisoned first; scratch poisoned but for its counters.
inline std::vector<uint16_t> run(const AttentionProblem& p, const LaunchAs& how = {}) {
  const HeadShape& heads = p.batch.heads;
  const int32_t n_rows = p.batch.n_rows();
  int32_t longest = 1;
  for (const int32_t position : p.batch.positions) longest = std::max(longest, position + 1);
  const AttentionLimits limits = {heads, n_rows, n_rows, longest};

  const CudaPagedBatch batch(p.batch, p.kv_type);
  const DeviceArray<uint16_t> q(p.q);
  const DeviceArray<uint16_t> out(static_cast<int64_t>(p.q.size()));
  const int64_t n_scratch = attention_scratch_bytes(limits) / 4;
  const int64_t n_counters = int64_t{kFlatAttentionRows} * heads.n_kv_heads;
  DeviceArray<int32_t> scratch(n_scratch);
  CUDA_CHECK(cudaMemset(scratch.data(), 0, index_at(n_counters * 4)));
  std::vector<int32_t> plan(index_at(attention_plan_bytes(n_rows) / 4), 0x7f7f7f7f);
  CudaAttentionParams params;
  params.bounds = plan_attention(limits, p.batch.positions, p.batch.sequence_of_row,
                                 reinterpret_cast<std::byte*>(plan.data()));
  const DeviceArray<int32_t> device_plan(plan);
  params.rows = batch.rows();
  params.heads = heads;
  params.q = q.data();
  params.kv = batch.kv();
  params.scale = p.scale;
  params.out = out.data();
  params.plan = reinterpret_cast<const std::byte*>(device_plan.data());
  params.inputs = how.inputs;

  prepare_attention(p.kv_type);
  const AttentionScratch views = {reinterpret_cast<std::byte*>(scratch.data())};
  for (int i = 0; i < how.n_times; ++i) {
    const LaunchContext context = {nullptr, how.dependent && i > 0};
    (n_rows <= kFlatAttentionRows ? flat_attention : prefill_attention)(params, limits, views,
                                                                        context);
  }
  CUDA_CHECK(cudaGetLastError());
  CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<int32_t> after = scratch.read();
  EXPECT_TRUE(std::all_of(after.begin(), after.begin() + n_counters, [](int32_t c) {
    return c == 0;
  })) << "counters are left at work";
  return out.read();
}

inline bool same_row(const std::vector<uint16_t>& a, int64_t row_a, const std::vector<uint16_t>& b,
                     int64_t row_b, int64_t width) {
  return std::equal(a.begin() + row_a * width, a.begin() + (row_a + 1) * width,
                    b.begin() + row_b * width);
}

inline std::string shape_name(const testing::TestParamInfo<HeadShape>& shape) {
  const HeadShape& heads = shape.param;
  return std::to_string(heads.n_heads) + "of" + std::to_string(heads.n_kv_heads) + "x" +
         std::to_string(heads.head_dim);
}

inline constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kInt8};

// Query heads a KV head: 1, 1, 2, 3, 4, 4, 7, 8, 16, 20.
inline const HeadShape kAttentionShapes[] = {{2, 2, 64},   {1, 1, 128}, {4, 2, 128}, {3, 1, 64},
                                             {8, 2, 128},  {4, 1, 64},  {7, 1, 64},  {8, 1, 128},
                                             {16, 1, 128}, {20, 1, 64}};

// One row of each of many sequences, at page and chunk edges.
inline std::vector<RowRun> edge_runs() {
  std::vector<RowRun> runs;
  int32_t sequence = 0;
  for (const int32_t kv_len :
       {1, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 1023, 1024, 1025}) {
    runs.push_back({sequence++, kv_len - 1, 1});
  }
  return runs;
}

// A large step of several sequences, two rows of padding in it.
inline AttentionProblem prefill_problem(const HeadShape& heads, KvType kv_type) {
  const AttentionProblem p =
      make_problem(heads, {{0, 100, 43}, {1, 0, 31}, {2, 640, 1}, {0, 143, 9}}, kv_type);
  std::vector<int32_t> rows(index_at(p.batch.n_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  rows.insert(rows.begin() + 50, {-1, -1});
  return select(p, rows);
}

}  // namespace incipit::kernels::cuda
