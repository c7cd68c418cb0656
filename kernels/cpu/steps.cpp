#include "kernels/cpu/steps.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/quantized_rows.h"

namespace incipit::kernels {

namespace {

// Values that a thread should get at least in a row-wise pass: about a microsecond of work, what
// handing it to a thread that still spins costs. One row of a small model stays on the caller.
constexpr int64_t kMinValuesPerRange = 2048;

int64_t min_rows_per_range(int64_t values_per_row) {
  return std::max<int64_t>(1, kMinValuesPerRange / std::max<int64_t>(1, values_per_row));
}

int64_t qkv_rows(const HeadShape& heads) {
  return int64_t{heads.n_heads + 2 * heads.n_kv_heads} * heads.head_dim;
}

int64_t values_needed(const StepLimits& limits) {
  const int64_t widest =
      std::max({int64_t{limits.hidden}, qkv_rows(limits.heads), 2 * int64_t{limits.ffn}});
  return round_up(limits.max_rows * widest * int64_t{sizeof(float)}, 64);
}

int64_t quantized_needed(const StepLimits& limits) {
  const int32_t attention_dim = limits.heads.n_heads * limits.heads.head_dim;
  const int32_t widest = std::max({limits.hidden, attention_dim, limits.ffn});
  const int32_t n_rows = std::max(limits.max_rows, limits.max_logit_rows);
  int64_t bytes = 0;
  for (const int32_t group : {32, 64, 128}) {
    bytes = std::max(bytes, quantized_rows_bytes(n_rows, widest, group));
  }
  return round_up(bytes, 64);
}

void multiply(const Int4View<CpuTile>& w, const QuantizedRows& x, float* y, MatmulStore store,
              Isa isa, ThreadPool& pool) {
  Int4MatmulParams params;
  params.w = w;
  params.x = x;
  params.y = y;
  params.y_stride = w.shape.rows;
  params.store = store;
  int4_matmul(params, isa, pool);
}

}  // namespace

void CpuSteps::FreeDeleter::operator()(std::byte* memory) const {
  std::free(memory);
}

CpuSteps::Scratch CpuSteps::allocate(int64_t size_bytes) {
  void* const memory =
      std::aligned_alloc(64, static_cast<size_t>(std::max<int64_t>(64, size_bytes)));
  if (memory == nullptr) throw std::bad_alloc();
  return Scratch(static_cast<std::byte*>(memory));
}

CpuSteps::CpuSteps(Isa isa, ThreadPool& pool, const StepLimits& limits)
    : isa_(isa),
      pool_(pool),
      limits_(limits),
      kernels_(elementwise_kernels_for(isa)),
      attention_(isa, limits.max_rows, limits.heads),
      values_bytes_(values_needed(limits)),
      values_(allocate(values_bytes_)),
      quantized_bytes_(quantized_needed(limits)),
      quantized_(allocate(quantized_bytes_)) {
  CHECK(isa_supported(isa));
}

void CpuSteps::embed(const EmbedParams& params) {
  pool_.parallel_for(
      params.n_rows, min_rows_per_range(params.hidden), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          kernels_.widen(params.table + int64_t{params.token_ids[row]} * params.hidden,
                         params.hidden, params.x + row * params.hidden);
        }
      });
}

void CpuSteps::qkv_rope_append(const QkvRopeAppendParams<CpuTile>& params) {
  const RowBatch& rows = params.rows;
  const HeadShape& heads = params.heads;
  const int64_t width = qkv_rows(heads);
  CHECK_LE(rows.n_rows, limits_.max_rows);
  CHECK_LE(params.hidden, limits_.hidden);
  CHECK_EQ(width, qkv_rows(limits_.heads));
  CHECK(params.kv.type == KvType::kF16);
  CHECK_EQ(params.w_qkv.shape.rows, width);
  CHECK_EQ(params.w_qkv.shape.cols, params.hidden);

  float* const normed = values();
  const QuantizedRows quantized =
      quantized_rows_in(quantized_.get(), rows.n_rows, params.hidden, params.w_qkv.shape.group);
  pool_.parallel_for(
      rows.n_rows, min_rows_per_range(params.hidden), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          kernels_.rms_norm(params.x + row * params.hidden, params.norm_weight, params.norm_eps,
                            params.hidden, normed + row * params.hidden);
        }
        quantize_rows(normed, params.hidden, quantized, static_cast<int32_t>(begin),
                      static_cast<int32_t>(end), isa_);
      });

  float* const qkv = values();
  multiply(params.w_qkv, quantized, qkv, MatmulStore::kOverwrite, isa_, pool_);

  const int64_t q_width = int64_t{heads.n_heads} * heads.head_dim;
  const int64_t page_size = int64_t{heads.n_kv_heads} * heads.head_dim * kPageTokens;
  const int64_t half = heads.head_dim / 2;
  pool_.parallel_for(rows.n_rows, min_rows_per_range(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t position = rows.positions[row];
      const int32_t page =
          rows.page_tables[int64_t{rows.sequence_of_row[row]} * rows.page_table_stride +
                           position / kPageTokens];
      RopeAppendRow task{};
      task.qkv = qkv + row * width;
      task.cos = params.rope_cos + position * half;
      task.sin = params.rope_sin + position * half;
      task.n_heads = heads.n_heads;
      task.n_kv_heads = heads.n_kv_heads;
      task.head_dim = heads.head_dim;
      task.q = params.q + row * q_width;
      task.k_page = params.kv.k_pages + page * page_size;
      task.v_page = params.kv.v_pages + page * page_size;
      task.slot = position % kPageTokens;
      kernels_.rope_append(task);
    }
  });
}

void CpuSteps::attention(const AttentionParams& params) {
  CHECK_LE(params.rows.n_rows, limits_.max_rows);
  CHECK(params.kv.type == KvType::kF16);
  attention_.run(params, pool_);
}

void CpuSteps::out_proj_add(const OutProjAddParams<CpuTile>& params) {
  CHECK_LE(params.n_rows, limits_.max_rows);
  CHECK_EQ(params.w_out.shape.rows, params.hidden);
  CHECK_EQ(params.w_out.shape.cols, params.attention_dim);
  CHECK_LE(params.attention_dim, limits_.heads.n_heads * limits_.heads.head_dim);
  const QuantizedRows quantized = quantized_rows_in(quantized_.get(), params.n_rows,
                                                    params.attention_dim, params.w_out.shape.group);
  pool_.parallel_for(params.n_rows, min_rows_per_range(params.attention_dim),
                     [&](int64_t begin, int64_t end) {
                       quantize_rows(params.attention, params.attention_dim, quantized,
                                     static_cast<int32_t>(begin), static_cast<int32_t>(end), isa_);
                     });
  multiply(params.w_out, quantized, params.x, MatmulStore::kAdd, isa_, pool_);
}

void CpuSteps::mlp_add(const MlpAddParams<CpuTile>& params) {
  const int64_t hidden = params.hidden;
  const int64_t ffn = params.ffn;
  CHECK_LE(params.n_rows, limits_.max_rows);
  CHECK_LE(params.hidden, limits_.hidden);
  CHECK_LE(params.ffn, limits_.ffn);
  CHECK_EQ(params.w_gate_up.shape.rows, 2 * ffn);
  CHECK_EQ(params.w_gate_up.shape.cols, hidden);
  CHECK_EQ(params.w_down.shape.rows, hidden);
  CHECK_EQ(params.w_down.shape.cols, ffn);

  float* const normed = values();
  const QuantizedRows input = quantized_rows_in(quantized_.get(), params.n_rows, params.hidden,
                                                params.w_gate_up.shape.group);
  pool_.parallel_for(params.n_rows, min_rows_per_range(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      kernels_.rms_norm(params.x + row * hidden, params.norm_weight, params.norm_eps, params.hidden,
                        normed + row * hidden);
    }
    quantize_rows(normed, hidden, input, static_cast<int32_t>(begin), static_cast<int32_t>(end),
                  isa_);
  });

  float* const gate_up = values();
  multiply(params.w_gate_up, input, gate_up, MatmulStore::kOverwrite, isa_, pool_);

  const QuantizedRows activated =
      quantized_rows_in(quantized_.get(), params.n_rows, params.ffn, params.w_down.shape.group);
  pool_.parallel_for(params.n_rows, min_rows_per_range(ffn), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* const gate = gate_up + row * 2 * ffn;
      kernels_.silu_mul(gate, gate + ffn, params.ffn, gate);
    }
    quantize_rows(gate_up, 2 * ffn, activated, static_cast<int32_t>(begin),
                  static_cast<int32_t>(end), isa_);
  });
  multiply(params.w_down, activated, params.x, MatmulStore::kAdd, isa_, pool_);
}

void CpuSteps::lm_head(const LmHeadParams<CpuTile>& params) {
  CHECK_LE(params.n_logit_rows, limits_.max_logit_rows);
  CHECK_LE(params.hidden, limits_.hidden);
  const int64_t hidden = params.hidden;
  const bool is_int8 = params.w_int8.data != nullptr;
  QuantizedRows quantized;
  if (is_int8) {
    CHECK_EQ(params.w_int8.shape.rows, params.vocab);
    CHECK_EQ(params.w_int8.shape.cols, params.hidden);
    quantized =
        quantized_rows_in(quantized_.get(), params.n_logit_rows, params.hidden, kInt8HeadGroup);
  }
  pool_.parallel_for(
      params.n_logit_rows, min_rows_per_range(hidden), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          kernels_.rms_norm(params.x + params.rows[i] * hidden, params.norm_weight, params.norm_eps,
                            params.hidden, params.normed + i * hidden);
        }
        if (!is_int8) return;
        quantize_rows(params.normed, hidden, quantized, static_cast<int32_t>(begin),
                      static_cast<int32_t>(end), isa_);
      });
  if (is_int8) {
    Int8MatmulParams product;
    product.w = params.w_int8;
    product.x = quantized;
    product.y = params.logits;
    product.y_stride = params.vocab;
    int8_matmul(product, isa_, pool_);
    return;
  }
  F16MatmulParams product;
  product.w = params.w_f16;
  product.n_out = params.vocab;
  product.cols = params.hidden;
  product.n_rows = params.n_logit_rows;
  product.x = params.normed;
  product.x_stride = hidden;
  product.y = params.logits;
  product.y_stride = params.vocab;
  f16_matmul(product, isa_, pool_);
}

void CpuSteps::top_candidates(const TopCandidatesParams& params) {
  CHECK_LE(params.n_candidates, params.vocab);
  pool_.parallel_for(
      params.n_logit_rows, min_rows_per_range(params.vocab), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          kernels_.top_candidates(params.logits + i * params.vocab, params.vocab,
                                  params.n_candidates, params.out + i * params.n_candidates);
        }
      });
}

}  // namespace incipit::kernels
