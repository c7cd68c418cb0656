// Times flat and prefill attention at the Llama-3-8B shape over cold pages: graphs of one launch a
// layer, each layer with pages of its own, so that keys and values come from memory. Prints
// microseconds a layer, the bandwidth of reading keys and values once, and TFLOP/s of the causal
// triangle. Usage: attention_lab [int8] [flat|prefill|chunks|rows]...; variants of the chunk size,
// and the narrow kernel for steps of many rows, are made by rewriting the plan.
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/stream.h"
#include "kernels/quant/kv_int8_layout.h"

namespace {

using namespace incipit::kernels;
using namespace incipit::kernels::cuda;

constexpr HeadShape kHeads = {32, 8, 128};
constexpr int32_t kContext = 16384;
constexpr int kReplays = 15;

__global__ void fill_random(__half* values, int64_t n, uint32_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x) {
    uint32_t x = static_cast<uint32_t>(i) * 2654435761u + seed;
    x = (x ^ x >> 15) * 2246822519u;
    x = (x ^ x >> 13) * 3266489917u;
    values[i] = __float2half(static_cast<float>(x >> 8) * 0x1p-23f - 1.0f);
  }
}

// Scales into the blocks of INT8 pages that hold random bytes.
__global__ void fill_scales(std::byte* pool, int64_t n_blocks, int64_t block_bytes) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n_blocks * kPageTokens;
       i += int64_t{gridDim.x} * blockDim.x) {
    std::byte* const block = pool + i / kPageTokens * block_bytes;
    *reinterpret_cast<float*>(block + KvInt8Layout::scale_byte(kHeads.head_dim, i % kPageTokens)) =
        0x1p-7f;  // of keys; and the logarithm of one of values
  }
}

template <class T>
DeviceBuffer upload(const std::vector<T>& values) {
  DeviceBuffer buffer = DeviceBuffer::allocate(static_cast<int64_t>(values.size() * sizeof(T)));
  CUDA_CHECK(
      cudaMemcpy(buffer.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return buffer;
}

// `n_sequences` sequences with n_new rows each, behind n_cached tokens.
struct Case {
  int32_t n_sequences;
  int32_t n_cached;
  int32_t n_new;
  int32_t chunk_tokens = 0;  // 0: as planned
  // Items of the narrow kernel's 16 queries however many rows there are; one sequence, whose rows
  // have chunks of one size.
  bool is_narrow = false;
};

class Bench {
 public:
  Bench(int64_t pool_bytes, KvType type)
      : pool_(DeviceBuffer::allocate(pool_bytes)), stream_(make_stream()) {
    params_.kv.type = type;
    fill_random<<<1024, 256>>>(pool_.as<__half>(), pool_bytes / 2, 1u);
    const int64_t block_bytes = KvInt8Layout::head_bytes(kHeads.head_dim);
    if (type == KvType::kInt8) {
      fill_scales<<<1024, 256>>>(pool_.data(), pool_bytes / block_bytes, block_bytes);
    }
    CUDA_CHECK(cudaDeviceSynchronize());
    prepare_attention(type);
  }

  void run(const Case& c, const LaunchContext& how, StepInputs inputs, const char* name) {
    set_up(c);
    params_.inputs = inputs;
    const LaunchContext context = {stream_.get(), how.dependent};
    const GraphExec graph = capture(stream_.get(), [&] {
      for (int layer = 0; layer < n_layers_; ++layer) {
        launch_layer(layer, layer == 0 ? LaunchContext{stream_.get(), false} : context);
      }
    });
    std::vector<double> times;
    const Event begin = make_event(cudaEventDefault);
    const Event end = make_event(cudaEventDefault);
    for (int i = 0; i < kReplays + 2; ++i) {
      CUDA_CHECK(cudaEventRecord(begin.get(), stream_.get()));
      CUDA_CHECK(cudaGraphLaunch(graph.get(), stream_.get()));
      CUDA_CHECK(cudaEventRecord(end.get(), stream_.get()));
      CUDA_CHECK(cudaEventSynchronize(end.get()));
      float ms = 0;
      CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
      if (i >= 2) times.push_back(ms * 1e3 / n_layers_);
    }
    std::sort(times.begin(), times.end());
    report(c, name, times[times.size() / 2], times[0]);
  }

  // The bits of the output, of the first layer.
  std::vector<uint16_t> output(const Case& c) {
    set_up(c);
    params_.inputs = StepInputs::kAfterWait;
    CUDA_CHECK(cudaMemset(out_.data(), 0xff, static_cast<size_t>(out_.size_bytes())));
    CUDA_CHECK(cudaDeviceSynchronize());
    launch_layer(0, {stream_.get(), false});
    CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    std::vector<uint16_t> bits(static_cast<size_t>(out_.size_bytes() / 2));
    CUDA_CHECK(cudaMemcpy(bits.data(), out_.data(), bits.size() * 2, cudaMemcpyDeviceToHost));
    return bits;
  }

 private:
  void set_up(const Case& c) {
    const int32_t n_keys = c.n_cached + c.n_new;
    const auto pages_each = static_cast<int32_t>(ceil_div(n_keys, kPageTokens));
    std::vector<int32_t> table(static_cast<size_t>(c.n_sequences * pages_each));
    std::iota(table.begin(), table.end(), 0);
    std::mt19937 random(7);
    std::shuffle(table.begin(), table.end(), random);
    std::vector<int32_t> positions;
    std::vector<int32_t> sequences;
    for (int32_t s = 0; s < c.n_sequences; ++s) {
      for (int32_t i = 0; i < c.n_new; ++i) {
        positions.push_back(c.n_cached + i);
        sequences.push_back(s);
      }
    }
    const auto n_rows = static_cast<int32_t>(positions.size());
    limits_ = {kHeads, std::max(n_rows, 2048), 64, kContext};
    plan_bytes_.assign(static_cast<size_t>(attention_plan_bytes(n_rows)), std::byte{0});
    params_.bounds = plan_attention(limits_, positions, sequences, plan_bytes_.data());
    if (c.chunk_tokens > 0) rewrite_chunks(positions, c.chunk_tokens);
    if (c.is_narrow) rewrite_items(c);
    table_ = upload(table);
    positions_ = upload(positions);
    sequences_ = upload(sequences);
    plan_ = upload(plan_bytes_);
    const int64_t width = int64_t{kHeads.n_heads} * kHeads.head_dim;
    q_ = DeviceBuffer::allocate(n_rows * width * 2);
    out_ = DeviceBuffer::allocate(n_rows * width * 2);
    scratch_ = DeviceBuffer::allocate(attention_scratch_bytes(limits_));
    fill_random<<<256, 256>>>(q_.as<__half>(), n_rows * width, 3u);
    CUDA_CHECK(cudaDeviceSynchronize());
    params_.rows = {n_rows, positions_.as<int32_t>(), sequences_.as<int32_t>(),
                    table_.as<int32_t>(), pages_each};
    params_.heads = kHeads;
    params_.q = q_.as<uint16_t>();
    params_.scale = 1.0f / std::sqrt(static_cast<float>(kHeads.head_dim));
    params_.out = out_.as<uint16_t>();
    params_.plan = plan_.data();
    half_layer_words_ =
        static_cast<int64_t>(table.size()) * kPageTokens * kHeads.n_kv_heads * token_bytes() / 2;
    n_layers_ =
        static_cast<int>(std::clamp<int64_t>(pool_.size_bytes() / (4 * half_layer_words_), 1, 32));
  }

  void rewrite_chunks(const std::vector<int32_t>& positions, int32_t chunk_tokens) {
    auto* const items = reinterpret_cast<AttentionItem*>(plan_bytes_.data());
    const auto n_rows = static_cast<int32_t>(positions.size());
    auto* const chunks = reinterpret_cast<int32_t*>(plan_bytes_.data() + row_chunks_offset(n_rows));
    for (int32_t i = 0; i < params_.bounds.max_items; ++i) items[i].chunk_tokens = chunk_tokens;
    int32_t most = 1;
    for (size_t row = 0; row < positions.size(); ++row) {
      chunks[row] = positions[row] / chunk_tokens + 1;
      most = std::max(most, chunks[row]);
    }
    params_.bounds.max_chunks = next_power_of_two(most);
  }

  void rewrite_items(const Case& c) {
    constexpr int32_t kQueries = 16;
    constexpr int32_t kRowsEach = kQueries / (kHeads.n_heads / kHeads.n_kv_heads);
    auto* const items = reinterpret_cast<AttentionItem*>(plan_bytes_.data());
    const int32_t chunk_tokens = items[0].chunk_tokens;
    const auto n_items = static_cast<int32_t>(ceil_div(c.n_new, kRowsEach));
    for (int32_t i = 0; i < n_items; ++i) {
      const int32_t first = i * kRowsEach;
      const int32_t n_rows = std::min(kRowsEach, c.n_new - first);
      items[i] = {first,      n_rows,       0, c.n_cached + first + n_rows, c.n_cached + first,
                  c.n_cached, chunk_tokens, 0};
    }
    params_.bounds.block_queries = kQueries;
    params_.bounds.max_items = next_power_of_two(n_items);
  }

  void launch_layer(int layer, const LaunchContext& context) {
    params_.kv.k_pages = pool_.as<uint16_t>() + 2 * layer * half_layer_words_;
    params_.kv.v_pages = params_.kv.k_pages + half_layer_words_;
    const AttentionScratch scratch = {scratch_.data()};
    (params_.rows.n_rows <= kFlatAttentionRows ? flat_attention : prefill_attention)(
        params_, limits_, scratch, context);
  }

  int64_t token_bytes() const { return kv_bytes_of_token(params_.kv.type, kHeads.head_dim); }

  void report(const Case& c, const char* name, double median_us, double least_us) const {
    const double keys_seen = c.n_cached + (c.n_new + 1) / 2.0;
    const double flops =
        4.0 * kHeads.n_heads * kHeads.head_dim * c.n_sequences * c.n_new * keys_seen;
    const double bytes =
        2.0 * c.n_sequences * (c.n_cached + c.n_new) * kHeads.n_kv_heads * token_bytes();
    std::printf(
        "%2d x %4d rows at %5d  %-16s chunks %2d block %3d: %8.2f us (least %8.2f) "
        "%6.0f GB/s %6.1f TFLOP/s\n",
        c.n_sequences, c.n_new, c.n_cached, name, params_.bounds.max_chunks,
        params_.bounds.block_queries, median_us, least_us, bytes / median_us * 1e-3,
        flops / median_us * 1e-6);
  }

  DeviceBuffer pool_;
  Stream stream_;
  DeviceBuffer table_, positions_, sequences_, plan_, q_, out_, scratch_;
  std::vector<std::byte> plan_bytes_;
  AttentionLimits limits_;
  CudaAttentionParams params_;
  int64_t half_layer_words_ = 0;  // of 16 bits: keys, or values
  int n_layers_ = 0;
};

void flat(Bench& bench) {
  for (const Case& c :
       {Case{1, 1, 1}, Case{1, 511, 1}, Case{1, 1023, 1}, Case{1, 2047, 1}, Case{1, 4095, 1},
        Case{1, 8191, 1}, Case{1, 16383, 1}, Case{8, 511, 1}, Case{8, 2047, 1}, Case{32, 2047, 1},
        Case{1, 2048, 16}, Case{1, 7936, 16}, Case{1, 2040, 8}, Case{1, 2016, 32}, Case{1, 0, 64},
        Case{1, 1984, 64}, Case{1, 2048, 64}, Case{1, 16000, 64}}) {
    bench.run(c, {nullptr, true}, StepInputs::kAfterWait, "dependent");
    bench.run(c, {nullptr, true}, StepInputs::kSettled, "dependent, early");
  }
}

void chunks(Bench& bench) {
  for (const Case& c :
       {Case{1, 511, 1}, Case{1, 1023, 1}, Case{1, 1535, 1}, Case{1, 2047, 1}, Case{1, 4095, 1},
        Case{1, 8191, 1}, Case{1, 16383, 1}, Case{8, 511, 1}, Case{8, 2047, 1}, Case{1, 1984, 64},
        Case{1, 2032, 16}, Case{1, 7936, 16}, Case{1, 7936, 64}}) {
    for (int32_t tokens = 128; tokens <= 2048; tokens *= 2) {
      if ((c.n_cached + c.n_new + tokens - 1) / tokens > kMaxChunks) continue;
      if (tokens >= 2 * (c.n_cached + c.n_new)) continue;
      Case cut = c;
      cut.chunk_tokens = tokens;
      bench.run(cut, {nullptr, true}, StepInputs::kSettled,
                ("by " + std::to_string(tokens)).c_str());
    }
  }
}

// Steps of several rows by the kernel that is planned and by the narrow one.
void rows(Bench& bench) {
  for (const int32_t n_cached : {2040, 2048, 7936}) {
    bench.run({1, n_cached, 1}, {nullptr, true}, StepInputs::kSettled, "one row");
    for (const int32_t n_new : {8, 16, 32, 64}) {
      const Case planned = {1, n_cached, n_new};
      Case narrow = planned;
      narrow.is_narrow = true;
      const bool is_same = bench.output(planned) == bench.output(narrow);
      bench.run(planned, {nullptr, true}, StepInputs::kSettled, "planned");
      bench.run(narrow, {nullptr, true}, StepInputs::kSettled,
                is_same ? "narrow, bits same" : "narrow, DIFFERENT");
    }
  }
}

void prefill(Bench& bench) {
  for (const Case& c :
       {Case{1, 0, 65}, Case{1, 0, 512}, Case{1, 0, 2048}, Case{1, 6144, 2048}, Case{1, 0, 8192},
        Case{1, 1536, 512}, Case{1, 7680, 512}, Case{1, 16000, 100}, Case{4, 1000, 256}}) {
    bench.run(c, {nullptr, false}, StepInputs::kAfterWait, "prefill");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_int8 = argc > 1 && std::strcmp(argv[1], "int8") == 0;
  Bench bench(int64_t{4} << 30, is_int8 ? KvType::kInt8 : KvType::kF16);
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "flat") == 0) flat(bench);
    if (std::strcmp(argv[i], "chunks") == 0) chunks(bench);
    if (std::strcmp(argv[i], "prefill") == 0) prefill(bench);
    if (std::strcmp(argv[i], "rows") == 0) rows(bench);
  }
}
