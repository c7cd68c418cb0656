// Paged attention and the row operations alone. The rows "peak" measure the machine in the same
// run: multiply-adds a second of an instruction set, and bytes read a second from KV-sized memory.
//   attention_bench [--benchmark_filter=...]; threads: INCIPIT_BENCH_THREADS, else all cores.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/common/half.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise_kernels.h"

namespace incipit::kernels {
namespace {

constexpr HeadShape kPocket = {8, 4, 64};
constexpr HeadShape kLlama8b = {32, 8, 128};

ThreadPool& pool() {
  static ThreadPool threads([] {
    const char* const n = std::getenv("INCIPIT_BENCH_THREADS");
    return n != nullptr ? std::atoi(n) : 0;
  }());
  return threads;
}

// One sequence of n_tokens in every layer, pages in random order, as after some hours of serving.
struct Context {
  Context(const HeadShape& shape, int32_t n_tokens, int32_t n_layers) : heads(shape) {
    std::mt19937 random(1);
    const int32_t n_pages = (n_tokens + kPageTokens - 1) / kPageTokens;
    table.resize(static_cast<size_t>(n_pages));
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), random);
    const int64_t n_values = int64_t{n_pages} * heads.n_kv_heads * heads.head_dim * kPageTokens;
    std::vector<uint16_t> values;
    for (int i = 0; i < 4096; ++i) {
      values.push_back(float_to_half(static_cast<float>(random() % 2000) / 1000.0f - 1.0f));
    }
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      k.emplace_back(static_cast<size_t>(n_values));
      v.emplace_back(static_cast<size_t>(n_values));
      for (size_t i = 0; i < k.back().size(); ++i) {
        k.back()[i] = values[(i * 7 + static_cast<size_t>(layer)) % values.size()];
        v.back()[i] = values[(i * 5 + static_cast<size_t>(layer)) % values.size()];
      }
    }
  }

  AttentionParams params(int32_t first, int32_t n_rows, size_t layer) {
    const auto width = static_cast<size_t>(heads.n_heads * heads.head_dim);
    positions.resize(static_cast<size_t>(n_rows));
    std::iota(positions.begin(), positions.end(), first);
    sequence_of_row.assign(static_cast<size_t>(n_rows), 0);
    q.assign(static_cast<size_t>(n_rows) * width, 0.25f);
    out.resize(q.size());
    return {{n_rows, positions.data(), sequence_of_row.data(), table.data(),
             static_cast<int32_t>(table.size())},
            heads,
            q.data(),
            {k[layer].data(), v[layer].data()},
            0.125f,
            out.data()};
  }

  HeadShape heads;
  std::vector<int32_t> table, positions, sequence_of_row;
  std::vector<std::vector<uint16_t>> k, v;  // [n_layers]
  std::vector<float> q, out;
};

using benchmark::Counter;

// Rows first .. first + n_rows - 1 of one sequence. FMA/s counts what causality needs.
void prefill(benchmark::State& state, Isa isa, HeadShape heads, int32_t first, int32_t n_rows,
             int32_t n_layers) {
  Context context(heads, first + n_rows, n_layers);
  PagedAttention attention(isa, n_rows, heads);
  AttentionParams params = context.params(first, n_rows, 0);
  size_t layer = 0;
  for (auto _ : state) {
    params.kv = {context.k[layer].data(), context.v[layer].data()};
    attention.run(params, pool());
    layer = (layer + 1) % context.k.size();
  }
  const double pairs = n_rows * (first + (n_rows + 1) / 2.0);
  state.counters["FMA/s"] =
      Counter(pairs * heads.n_heads * heads.head_dim * 2, Counter::kIsIterationInvariantRate);
}

void decode(benchmark::State& state, Isa isa, HeadShape heads, int32_t kv_len, int32_t n_layers) {
  Context context(heads, kv_len, n_layers);
  PagedAttention attention(isa, 1, heads);
  size_t layer = 0;
  for (auto _ : state) {
    attention.run(context.params(kv_len - 1, 1, layer), pool());
    layer = (layer + 1) % context.k.size();
  }
  const double bytes = double{4} * kv_len * heads.n_kv_heads * heads.head_dim;
  state.counters["B/s"] = Counter(bytes, Counter::kIsIterationInvariantRate);
}

#if defined(__x86_64__)
// Sixteen independent chains of fused multiply-adds: multiply-adds done.
__attribute__((target("avx512f"))) int64_t fma_avx512(int64_t n) {
  __m512 sum[16];
  for (__m512& s : sum) s = _mm512_set1_ps(1.0f);
  const __m512 factor = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) sum[j] = _mm512_fmadd_ps(sum[j], factor, factor);
  }
  for (const __m512& s : sum) benchmark::DoNotOptimize(s);
  return n * 16 * 16;
}
__attribute__((target("avx2,fma"))) int64_t fma_avx2(int64_t n) {
  __m256 sum[12];
  for (__m256& s : sum) s = _mm256_set1_ps(1.0f);
  const __m256 factor = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) sum[j] = _mm256_fmadd_ps(sum[j], factor, factor);
  }
  for (const __m256& s : sum) benchmark::DoNotOptimize(s);
  return n * 12 * 8;
}

void fma_peak(benchmark::State& state, int64_t (*chains)(int64_t)) {
  constexpr int64_t kSteps = 20000;
  const int64_t n = pool().n_threads() * 8;
  double multiply_adds = 0;
  for (auto _ : state) {
    pool().parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) chains(kSteps);
    });
    multiply_adds += static_cast<double>(n * chains(0) + n * kSteps * (chains(1) - chains(0)));
  }
  state.counters["FMA/s"] = Counter(multiply_adds, Counter::kIsRate);
}
#endif

void read_peak(benchmark::State& state, int64_t n_bytes) {
  std::vector<uint64_t> memory(static_cast<size_t>(n_bytes / 8), 3);
  for (auto _ : state) {
    pool().parallel_for(n_bytes / 4096, 16, [&](int64_t begin, int64_t end) {
      uint64_t sum[16] = {};
      for (int64_t i = begin * 512; i < end * 512; i += 16) {
        for (int64_t j = 0; j < 16; ++j) sum[j] += memory[static_cast<size_t>(i + j)];
      }
      for (uint64_t& s : sum) benchmark::DoNotOptimize(s);
    });
  }
  state.counters["B/s"] = Counter(static_cast<double>(n_bytes), Counter::kIsIterationInvariantRate);
}

// One row of the given width through one row operation.
void silu(benchmark::State& state, Isa isa, int32_t n) {
  std::vector<float> gate(static_cast<size_t>(n), 0.5f), up = gate, out = gate;
  for (auto _ : state) elementwise_kernels_for(isa).silu_mul(gate.data(), up.data(), n, out.data());
  state.counters["values/s"] = Counter(n, Counter::kIsIterationInvariantRate);
}
void norm(benchmark::State& state, Isa isa, int32_t n) {
  std::vector<float> x(static_cast<size_t>(n), 0.5f), weight = x, out = x;
  for (auto _ : state) {
    elementwise_kernels_for(isa).rms_norm(x.data(), weight.data(), 1e-5f, n, out.data());
  }
  state.counters["values/s"] = Counter(n, Counter::kIsIterationInvariantRate);
}
void top_candidates(benchmark::State& state, Isa isa, int32_t vocab) {
  std::mt19937 random(1);
  std::normal_distribution<float> value;
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (float& x : logits) x = value(random);
  Candidate out[64];
  for (auto _ : state) elementwise_kernels_for(isa).top_candidates(logits.data(), vocab, 64, out);
  state.counters["values/s"] = Counter(vocab, Counter::kIsIterationInvariantRate);
}

template <class... Args>
void add_row(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void add_rows() {
#if defined(__x86_64__)
  if (isa_supported(Isa::kAvx2)) add_row("peak/fma/avx2", fma_peak, fma_avx2);
  if (isa_supported(Isa::kAvx512)) add_row("peak/fma/avx512", fma_peak, fma_avx512);
#endif
  add_row("peak/read/18MB", read_peak, int64_t{18} << 20);
  add_row("peak/read/512MB", read_peak, int64_t{512} << 20);
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kScalar}) {
    if (!isa_supported(isa)) continue;
    const std::string on = std::string("/") + name_of(isa);
    add_row("prefill/pocket/1500_rows" + on, prefill, isa, kPocket, 0, 1500, 1);
    add_row("prefill/pocket/128_rows_at_1372" + on, prefill, isa, kPocket, 1372, 128, 1);
    add_row("prefill/llama-3-8b/256_rows_at_1792" + on, prefill, isa, kLlama8b, 1792, 256, 1);
    add_row("prefill/pocket/8_rows_at_1500" + on, prefill, isa, kPocket, 1500, 8, 1);
    add_row("prefill/pocket/8_rows_at_1500/12_layers" + on, prefill, isa, kPocket, 1500, 8, 12);
    add_row("decode/pocket/1500" + on, decode, isa, kPocket, 1500, 12);
    add_row("decode/llama-3-8b/8192" + on, decode, isa, kLlama8b, 8192, 8);
    add_row("norm/4096" + on, norm, isa, 4096);
    add_row("silu_mul/14336" + on, silu, isa, 14336);
    add_row("top_candidates/128256" + on, top_candidates, isa, 128256);
  }
}

}  // namespace
}  // namespace incipit::kernels

int main(int argc, char** argv) {
  incipit::kernels::add_rows();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
