// Paged causal attention for one KV head; compiled once per ISA. Scores of 16 tokens are 16 lanes
// (a K page stores tokens innermost), sums of V are lanes over head_dim; a tile of kTileRows
// queries x kTileVectors vectors stays in registers, so a page is converted from fp16 once a tile.
#include "kernels/cpu/attention_kernels.h"

#include "kernels/common/softmax_state.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd_math.h"

namespace incipit::kernels::KERNELS_ISA {

namespace {

constexpr int kTokens = 16;  // kPageTokens
constexpr int kPagesPerChunk = kChunkTokens / kTokens;
constexpr int kStride = kMaxHeadDim;  // between rows of the task's arrays, whatever head_dim is
constexpr float kLog2E = 0x1.715476p+0f;

constexpr int kWideValues = kHalvesAreSlow ? kChunkTokens * kMaxHeadDim : 16;

// One task's arrays, on the stack (80 KB; the scalar build 140 KB).
struct Scratch {
  alignas(64) float q[kMaxTaskQueries * kStride];  // scaled by scale * log2 e
  alignas(64) float scores[kTileRows * kStride];   // of the current tile and chunk, then weights
  alignas(64) float sums[kMaxTaskQueries * 16];    // of weights, by token mod 16
  float maxima[kMaxTaskQueries];
  int32_t positions[kMaxTaskQueries];
  alignas(64) float v[kMaxTaskQueries * kStride];  // weighted sums of V of the current segment
  alignas(64) float wide_k[kWideValues];
  alignas(64) float wide_v[kWideValues];
  SegmentSum total[kMaxTaskQueries];  // of the segments before
};

// T: uint16_t, fp16 as it lies in the pages, or float, widened beforehand.
template <class T>
struct ChunkPages {
  int begin;  // position of the chunk's first token
  const T* k[kPagesPerChunk];
  const T* v[kPagesPerChunk];
  const T* next_k[kPagesPerChunk];  // of the chunk after it; any K page where there is none
};

// A product tile in registers: kRows queries x kVectors vectors.
template <int kRows, int kVectors>
struct Tile {
  F32x16 sum[kRows][kVectors];
};

template <int kRows, int kVectors>
SIMD_INLINE void load_tile(Tile<kRows, kVectors>& tile, const float* c) {
  SIMD_UNROLL
  for (int m = 0; m < kRows; ++m) {
    SIMD_UNROLL
    for (int n = 0; n < kVectors; ++n) tile.sum[m][n] = load(c + m * kStride + n * 16);
  }
}

template <int kRows, int kVectors>
SIMD_INLINE void store_tile(const Tile<kRows, kVectors>& tile, float* c) {
  SIMD_UNROLL
  for (int m = 0; m < kRows; ++m) {
    SIMD_UNROLL
    for (int n = 0; n < kVectors; ++n) store(c + m * kStride + n * 16, tile.sum[m][n]);
  }
}

// sum[m][n] += sum over k of a[m][k] b[n][k], k ascending; b[n][k] is a vector, rows of b are
// b_stride apart. fp16 comes from memory, from pages that lie anywhere: what is needed next, in the
// same shape, is asked for on the way.
template <int kRows, int kVectors, class T>
SIMD_INLINE void multiply_add(Tile<kRows, kVectors>& tile, const float* a, const T* const* b,
                              const T* const* next, int b_stride, int n_k) {
  for (int k = 0; k < n_k; ++k) {
    F32x16 column[kVectors];
    SIMD_UNROLL
    for (int n = 0; n < kVectors; ++n) {
      // Half a line each: every other one asks for both.
      const bool asks = b_stride == kTokens ? k % 2 == 0 : n % 2 == 0;
      if (sizeof(T) == 2 && asks) __builtin_prefetch(next[n] + k * b_stride);
      column[n] = load(b[n] + k * b_stride);
    }
    SIMD_UNROLL
    for (int m = 0; m < kRows; ++m) {
      const F32x16 factor = splat(a[m * kStride + k]);
      SIMD_UNROLL
      for (int n = 0; n < kVectors; ++n) {
        tile.sum[m][n] = fma(factor, column[n], tile.sum[m][n]);
      }
    }
  }
}

// Few queries fill the registers with twice the vectors instead (accumulators, operands and a
// broadcast must fit).
template <int kRows>
inline constexpr bool kWideFits =
    (kRows + 1) * 2 * kTileVectors* kRegistersPerVector + 1 <= kVectorRegisters;
template <int kRows>
inline constexpr int kVectorsFor = kWideFits<kRows> ? 2 * kTileVectors : kTileVectors;

template <int kRows, int kVectors, class T>
SIMD_INLINE void score_pages(const float* q, const T* const* k_pages, const T* const* v_pages,
                             int head_dim, float* scores) {
  Tile<kRows, kVectors> tile;
  SIMD_UNROLL
  for (int m = 0; m < kRows; ++m) {
    SIMD_UNROLL
    for (int n = 0; n < kVectors; ++n) tile.sum[m][n] = splat(0.0f);
  }
  multiply_add(tile, q, k_pages, v_pages, kTokens, head_dim);
  store_tile(tile, scores);
}

template <int kRows, class T>
SIMD_INLINE void score_chunk(const float* q, const ChunkPages<T>& pages, int n_pages, int head_dim,
                             float* scores) {
  constexpr int kWide = kVectorsFor<kRows>;
  int page = 0;
  for (; page + kWide <= n_pages; page += kWide) {
    score_pages<kRows, kWide>(q, pages.k + page, pages.v + page, head_dim, scores + page * kTokens);
  }
  for (; page < n_pages; ++page) {
    score_pages<kRows, 1>(q, pages.k + page, pages.v + page, head_dim, scores + page * kTokens);
  }
}

template <int kRows, class T>
SIMD_INLINE void add_weighted_v(const float* weights, const ChunkPages<T>& pages, int n_tokens,
                                int head_dim, float* v) {
  constexpr int kWide = kVectorsFor<kRows>;
  for (int d = 0; d < head_dim; d += 16 * kWide) {
    Tile<kRows, kWide> tile;
    load_tile(tile, v + d);
    for (int token = 0; token < n_tokens; token += kTokens) {
      const T* b[kWide];
      const T* next[kWide];
      SIMD_UNROLL
      for (int n = 0; n < kWide; ++n) {
        b[n] = pages.v[token / kTokens] + d + 16 * n;
        next[n] = pages.next_k[token / kTokens] + d + 16 * n;
      }
      const int n_k = n_tokens - token < kTokens ? n_tokens - token : kTokens;
      multiply_add(tile, weights + token, b, next, head_dim, n_k);
    }
    store_tile(tile, v + d);
  }
}

// Turns the tile's scores into weights relative to each query's running maximum.
void weigh_scores(Scratch& s, int first_query, int n_queries, int chunk_begin, int n_tokens,
                  int head_dim) {
  const F32x16 nothing = splat(-__builtin_inff());
  for (int m = 0; m < n_queries; ++m) {
    const int query = first_query + m;
    float* const scores = s.scores + m * kStride;
    const int visible = s.positions[query] + 1 - chunk_begin;
    F32x16 largest = nothing;
    for (int t = 0; t < n_tokens; t += 16) {
      if (t + 16 > visible) store(scores + t, first_lanes(visible - t, load(scores + t), nothing));
      largest = max(load(scores + t), largest);
    }
    const float before = s.maxima[query];
    const float chunk_max = reduce_max(largest);
    float* const sums = s.sums + query * 16;
    if (chunk_max > before) {
      const float shrink = exp2_scalar(before - chunk_max);  // 0 from the initial -inf
      s.maxima[query] = chunk_max;
      store(sums, mul(load(sums), splat(shrink)));
      float* const v = s.v + query * kStride;
      for (int d = 0; d < head_dim; d += 16) store(v + d, mul(load(v + d), splat(shrink)));
    }
    const F32x16 reference = splat(s.maxima[query]);
    F32x16 sum = load(sums);
    for (int t = 0; t < n_tokens; t += 16) {
      // A query that sees nothing of the segment yet has reference -inf: -inf - -inf is NaN, whose
      // weight is 0 too.
      const F32x16 weight = exp2_bounded(sub(load(scores + t), reference));
      store(scores + t, weight);
      sum = add(sum, weight);
    }
    store(sums, sum);
  }
}

// One tile of queries, one chunk.
template <int kRows, class T>
void attend_tile(Scratch& s, int first_query, const ChunkPages<T>& pages, int n_tokens,
                 int head_dim) {
  const int n_pages = (n_tokens + kTokens - 1) / kTokens;
  score_chunk<kRows>(s.q + first_query * kStride, pages, n_pages, head_dim, s.scores);
  weigh_scores(s, first_query, kRows, pages.begin, n_tokens, head_dim);
  add_weighted_v<kRows>(s.scores, pages, n_tokens, head_dim, s.v + first_query * kStride);
}

// The tokens of a tile's queries in the chunk.
int visible_tokens(const Scratch& s, int first_query, int n_rows, int chunk_begin, int n_tokens) {
  int last_position = s.positions[first_query];
  for (int m = 1; m < n_rows; ++m) {
    const int position = s.positions[first_query + m];
    last_position = position > last_position ? position : last_position;
  }
  const int visible = last_position + 1 - chunk_begin;
  return visible < n_tokens ? visible : n_tokens;
}

// Widening is exact, so a query does not notice whether its tile read fp16 or float. Where fp16 is
// read by an instruction this costs more than it saves (attention_bench prefill: 3 to 10 %).
ChunkPages<float> widen_chunk(Scratch& s, const ChunkPages<uint16_t>& pages, int n_tokens,
                              int head_dim) {
  ChunkPages<float> wide;
  wide.begin = pages.begin;
  const int page_size = kTokens * head_dim;
  for (int page = 0; page * kTokens < n_tokens; ++page) {
    float* const k = s.wide_k + page * page_size;
    float* const v = s.wide_v + page * page_size;
    for (int i = 0; i < page_size; i += 16) {
      store(k + i, load(pages.k[page] + i));
      store(v + i, load(pages.v[page] + i));
    }
    wide.k[page] = k;
    wide.v[page] = v;
    wide.next_k[page] = k;
  }
  return wide;
}

void attend_chunk(Scratch& s, int n_queries, const ChunkPages<uint16_t>& pages, int n_tokens,
                  int head_dim) {
  using AttendTile = void (*)(Scratch&, int, const ChunkPages<uint16_t>&, int, int);
  static constexpr AttendTile kAttend[kTileRows] = {
    attend_tile<1>,
    attend_tile<2>,
#if !defined(KERNELS_ISA_SCALAR)
    attend_tile<3>,
    attend_tile<4>,
    attend_tile<5>,
    attend_tile<6>,
#endif
#if defined(KERNELS_ISA_AVX512)
    attend_tile<7>,
    attend_tile<8>,
    attend_tile<9>,
    attend_tile<10>,
    attend_tile<11>,
    attend_tile<12>,
#endif
  };
  int i = 0;
  if (kHalvesAreSlow && n_queries >= 2 * kTileRows) {
    const ChunkPages<float> wide = widen_chunk(s, pages, n_tokens, head_dim);
    for (; i + kTileRows <= n_queries; i += kTileRows) {
      const int visible = visible_tokens(s, i, kTileRows, pages.begin, n_tokens);
      if (visible > 0) attend_tile<kTileRows>(s, i, wide, visible, head_dim);
    }
  }
  for (; i < n_queries; i += kTileRows) {
    const int n_rows = n_queries - i < kTileRows ? n_queries - i : kTileRows;
    const int visible = visible_tokens(s, i, n_rows, pages.begin, n_tokens);
    if (visible > 0) kAttend[n_rows - 1](s, i, pages, visible, head_dim);
  }
}

void attend_segment(Scratch& s, const AttentionTask& task, int n_queries, int last_position,
                    int segment) {
  for (int i = 0; i < n_queries; ++i) {
    s.maxima[i] = -__builtin_inff();
    store(s.sums + i * 16, splat(0.0f));
    for (int d = 0; d < task.head_dim; d += 16) store(s.v + i * kStride + d, splat(0.0f));
  }
  const int segment_end = (segment + 1) * kSegmentTokens;
  const int end = segment_end < last_position + 1 ? segment_end : last_position + 1;
  for (int begin = segment * kSegmentTokens; begin < end; begin += kChunkTokens) {
    const int n_tokens = end - begin < kChunkTokens ? end - begin : kChunkTokens;
    ChunkPages<uint16_t> pages;
    pages.begin = begin;
    for (int t = 0; t < n_tokens; t += kTokens) {
      const int64_t offset = task.page_table[(begin + t) / kTokens] * task.page_stride;
      pages.k[t / kTokens] = task.k + offset;
      pages.v[t / kTokens] = task.v + offset;
      const int next = begin + t + kChunkTokens;
      pages.next_k[t / kTokens] =
          task.k +
          (next <= last_position ? task.page_table[next / kTokens] * task.page_stride : offset);
    }
    attend_chunk(s, n_queries, pages, n_tokens, task.head_dim);
  }
}

SegmentSum empty_sum() {
  SegmentSum sum;
  sum.max = -__builtin_inff();
  sum.sum = 0;
  for (int d = 0; d < kMaxHeadDim; d += 16) store(sum.v + d, splat(0.0f));
  return sum;
}

// total = total merged with a later segment.
void merge_into(SegmentSum& total, float max, float sum, const float* v, int head_dim) {
  const SoftmaxMerge merge = merge_softmax(total.max, max, [](float x) { return exp2_scalar(x); });
  const F32x16 scale_total = splat(merge.scale_a);
  const F32x16 scale_segment = splat(merge.scale_b);
  for (int d = 0; d < head_dim; d += 16) {
    store(total.v + d, fma(load(v + d), scale_segment, mul(load(total.v + d), scale_total)));
  }
  const float segment_part = sum * merge.scale_b;
  total.sum = total.sum * merge.scale_a + segment_part;
  total.max = merge.max;
}

// Adding 0 turns -0 into 0: whether a sum that vanished kept its sign may depend on the masked
// tokens that followed it, and nothing else does.
void write_output(const SegmentSum& total, int head_dim, float* out) {
  const F32x16 divisor = splat(total.sum);
  for (int d = 0; d < head_dim; d += 16) {
    store(out + d, add(div(load(total.v + d), divisor), splat(0.0f)));
  }
}

int load_queries(Scratch& s, const AttentionTask& task) {
  const F32x16 factor = splat(task.scale * kLog2E);
  int last_position = 0;
  for (int query = task.query_begin; query < task.query_end; ++query) {
    const int i = query - task.query_begin;
    const int row = query / task.group;
    const float* const q =
        task.q + row * task.row_stride + int64_t{query % task.group} * task.head_dim;
    for (int d = 0; d < task.head_dim; d += 16) {
      store(s.q + i * kStride + d, mul(load(q + d), factor));
    }
    s.positions[i] = task.positions[row];
    last_position = s.positions[i] > last_position ? s.positions[i] : last_position;
  }
  return last_position;
}

void attend(const AttentionTask& task) {
  Scratch s;
  const int n_queries = task.query_end - task.query_begin;
  const int last_position = load_queries(s, task);
  for (int i = 0; i < n_queries; ++i) s.total[i] = empty_sum();
  for (int segment = task.segment_begin; segment < task.segment_end; ++segment) {
    attend_segment(s, task, n_queries, last_position, segment);
    for (int i = 0; i < n_queries; ++i) {
      SegmentSum* target = &s.total[i];
      if (task.segment_sums != nullptr) {
        target = task.segment_sums + int64_t{segment - task.segment_begin} * n_queries + i;
        *target = empty_sum();
      }
      merge_into(*target, s.maxima[i], reduce_add(load(s.sums + i * 16)), s.v + i * kStride,
                 task.head_dim);
    }
  }
  if (task.segment_sums != nullptr) return;
  for (int i = 0; i < n_queries; ++i) {
    const int query = task.query_begin + i;
    write_output(s.total[i], task.head_dim,
                 task.out + query / task.group * task.row_stride +
                     int64_t{query % task.group} * task.head_dim);
  }
}

void merge(const SegmentSum* sums, int64_t stride, int32_t n_segments, int32_t head_dim,
           float* out) {
  SegmentSum total = empty_sum();
  for (int i = 0; i < n_segments; ++i) {
    const SegmentSum& segment = sums[i * stride];
    merge_into(total, segment.max, segment.sum, segment.v, head_dim);
  }
  write_output(total, head_dim, out);
}

}  // namespace

extern const AttentionKernels kAttentionKernels;
const AttentionKernels kAttentionKernels = {attend, merge};

}  // namespace incipit::kernels::KERNELS_ISA
