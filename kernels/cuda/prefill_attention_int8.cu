// Prefill attention over INT8 pages: prefill_attention.cu with the arithmetic of
// attention_int8.cuh. Each warp makes its own fp16 fragments of a tile: 320 instructions beside 256
// products at head_dim 128.
#include "kernels/cuda/attention_int8.cuh"
#include "kernels/cuda/prefill_attention.cuh"

namespace incipit::kernels::cuda {

namespace {

// A tile: 64 rows of bytes, then the scales of keys, then the logarithms of those of values (with
// tiles of values this place is not used).
template <int kDim>
struct Int8Blocks {
  static constexpr int kHeadDim = kDim;
  static constexpr int kRowBytes = kBlockKeys * kDim;
  static constexpr int kTileBytes = kRowBytes + 2 * kBlockKeys * 4;

  // Where the tile has them: 16 registers more would spill.
  struct KeyScales {
    uint32_t of_keys;
    __device__ uint32_t of_values() const { return of_keys + kBlockKeys * 4; }
  };

  __device__ static __forceinline__ void load(const AttentionArgs& args, bool is_values,
                                              const TilePages& pages, int kv_head, uint32_t to) {
    constexpr int kUnits = kDim / 16;
    constexpr int kPageUnits = kPageTokens * kUnits;
    constexpr int kPagesAtOnce = kPrefillThreads / kPageUnits;
    const uint16_t* const from = is_values ? args.v_pages : args.k_pages;
    const int thread = opaque(static_cast<int>(threadIdx.x));
#pragma unroll
    for (int i = 0; i < kBlockPages; i += kPagesAtOnce) {
      const int id = thread < kPageUnits ? pages.ids[i] : pages.ids[i + kPagesAtOnce - 1];
      copy_async(
          to + i * kPageTokens * kDim + swizzled_bytes<kDim>(thread / kUnits, thread % kUnits),
          int8_block<kDim>(args, from, id, kv_head) + thread % kPageUnits * 16);
    }
    constexpr int kScaleUnits = KvInt8Layout::kScaleBytes / 16;  // of a page
    if (!is_values && thread < 2 * kScaleUnits) {
      const bool is_v = thread >= kScaleUnits;
      const int unit = thread % kScaleUnits;
      const uint32_t scales = to + kRowBytes + is_v * kBlockKeys * 4 + unit * 16;
#pragma unroll
      for (int i = 0; i < kBlockPages; ++i) {
        const std::byte* const block =
            int8_block<kDim>(args, is_v ? args.v_pages : args.k_pages, pages.ids[i], kv_head);
        copy_async(scales + i * KvInt8Layout::kScaleBytes, block + kPageTokens * kDim + unit * 16);
      }
    }
    copy_async_commit();
  }

  __device__ static __forceinline__ KeyScales score(uint32_t queries, uint32_t tile, int lane,
                                                    float (&scores)[2][kBlockKeys / 8][4]) {
    const uint32_t keys = tile + key_lane_bytes<kDim>(lane);
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
      uint32_t q[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        load_matrices(q[m], (queries + m * 16 * kDim * 2) ^ (step << 5));
      }
#pragma unroll
      for (int first = 0; first < kBlockKeys; first += 32) {
        uint32_t k[4];  // of 8 keys each
        load_matrices(k, (keys + first * kDim) ^ (step << 4));
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint32_t low = widened<kKeysLow>(k[i]);
          const uint32_t high = widened<kKeysHigh>(k[i]);
          mma_16x8x16(scores[0][first / 8 + i], q[0], low, high);
          mma_16x8x16(scores[1][first / 8 + i], q[1], low, high);
        }
      }
    }
    return {tile + kRowBytes};
  }

  __device__ static __forceinline__ void prepare(float (&scores)[kBlockKeys / 8][4],
                                                 float scale_log2, const KeyScales& scales) {
#pragma unroll
    for (int j = 0; j < kBlockKeys / 8; ++j) {
      to_exponents(column_scales(scales.of_keys, j), column_scales(scales.of_values(), j),
                   scale_log2, scores[j]);
    }
  }
  __device__ static __forceinline__ float2 update(float (&scores)[kBlockKeys / 8][4], float,
                                                  const KeyScales& scales, SoftmaxState& state) {
    const auto inverse = [&](int j) { return inverse_of(column_scales(scales.of_values(), j)); };
    return update_softmax(scores, inverse, state);
  }

  // out += weights v
  __device__ static __forceinline__ void add(uint32_t tile, int lane,
                                             const uint32_t (&weights)[2][kBlockPages][4],
                                             float (&out)[2][kDim / 8][4]) {
    const uint32_t values = tile + value_lane_bytes<kDim>(lane);
#pragma unroll
    for (int page = 0; page < kBlockPages; ++page) {
#pragma unroll
      for (int pair = 0; pair < kDim / 32; ++pair) {
        uint32_t v[4];
        load_matrices_transposed(v, (values + page * kPageTokens * kDim) ^ (pair << 5));
#pragma unroll
        for (int step = 0; step < 2; ++step) {
          const int column = 4 * pair + 2 * step;
          const uint32_t low[2] = {widened<kValuesLow>(v[2 * step]),
                                   widened<kValuesLow>(v[2 * step + 1])};
          const uint32_t high[2] = {widened<kValuesHigh>(v[2 * step]),
                                    widened<kValuesHigh>(v[2 * step + 1])};
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            mma_16x8x16(out[m][column], weights[m][page], low[0], low[1]);
            mma_16x8x16(out[m][column + 1], weights[m][page], high[0], high[1]);
          }
        }
      }
    }
  }

  // A row's largest exponent.
  __device__ static __forceinline__ float base2(float largest, float) {
    return largest;
  }
};

}  // namespace

PrefillKernel int8_prefill_kernel(int32_t head_dim) {
  return head_dim == 128 ? prefill_kernel<Int8Blocks<128>>() : prefill_kernel<Int8Blocks<64>>();
}

}  // namespace incipit::kernels::cuda
