// Laboratory of the mixed products (kernels/cuda/large_mixed.h): each way to cut them, beside
// expansion with cuBLAS and beside the flat products kFlatRows rows at a time, on the matrices of
// Llama-3-8B.
//
// What lost on one H100: stages of weights brought to shared memory by bulk copies of 1 KB, 9 or 17
// a stage of 64 inputs, by one copying thread: 128 rows 9.1 ms of four products in 32 layers, 256
// rows 11.7, 512 rows 16.3, 2,048 rows 64.7 (58.5 with 256 outputs a tile), 950 and 1,580 cycles a
// stage where the tensor cores want 512 and 1,024.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/common/half.h"
#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/large_matmul.h"
#include "kernels/cuda/large_mixed.h"
#include "tests/bench/lab/llama_layers.h"

namespace incipit::kernels::cuda {
namespace {

using namespace lab;

struct Cut {
  const char* name;
  MixedCut cut;
};
const Cut kCuts[] = {{"128 tokens", MixedCut::kTokens128},
                     {"256 tokens", MixedCut::kTokens256},
                     {"input halves", MixedCut::kInputHalves}};

void run() {
  std::mt19937_64 random(std::random_device{}());
  const Stream stream = make_stream();
  const std::vector<Layer> layers = make_layers(random);
  const DeviceBuffer rows = make_rows(random);
  const DeviceBuffer narrow = DeviceBuffer::allocate(int64_t{kMaxRows} * kHidden * 2);
  const DeviceBuffer wide = DeviceBuffer::allocate(int64_t{kMaxRows} * kFfn * 2);
  const DeviceBuffer got = DeviceBuffer::allocate(int64_t{kMaxRows} * kFfn * 2);
  const DeviceBuffer want = DeviceBuffer::allocate(int64_t{kMaxRows} * kFfn * 2);
  const DeviceBuffer x = DeviceBuffer::allocate(int64_t{kMaxRows} * kHidden * 4);
  LargeMatmul expanded({kMaxRows, kHidden, kFfn, kQkvRows, kHidden});
  LargeMatmul mixed({kMaxRows, kHidden, kFfn, kQkvRows, kHidden, true});

  const LaunchContext context = {stream.get(), true};
  const auto* const halves = rows.as<uint16_t>();
  const HeadOrder heads = kHeadOrder;
  prepare_flat_matmul();
  const HeadShape head_shape = {32, 8, 128};
  const FlatScratchSize flat_size = flat_scratch_size(kHidden, kFfn, head_shape, 128256);
  const DeviceBuffer flat_sums = DeviceBuffer::allocate(flat_size.partial_sum_bytes);
  const DeviceBuffer flat_counters = DeviceBuffer::allocate(flat_size.counter_bytes);
  const FlatScratch flat = {flat_sums.as<float>(), flat_counters.as<int32_t>()};
  const DeviceBuffer squares = DeviceBuffer::allocate(kFlatRows * kHidden / 16 * 4);
  const NormedRows normed = {rows.as<uint16_t>(), squares.as<float>()};
  // Against expansion and cuBLAS, on more tiles than clusters, of rows that end within a tile.
  const auto compare = [&](const char* what, int64_t n) {
    CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<uint16_t> a(static_cast<size_t>(n)), b(static_cast<size_t>(n));
    CUDA_CHECK(cudaMemcpy(a.data(), got.data(), a.size() * 2, cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(b.data(), want.data(), b.size() * 2, cudaMemcpyDeviceToHost));
    double difference = 0, square = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = half_to_float(a[i]) - half_to_float(b[i]);
      difference += d * d;
      square += std::pow(half_to_float(b[i]), 2);
    }
    std::printf("%s: |difference| / |want| = %.2e\n", what, std::sqrt(difference / square));
  };
  const int32_t odd = 1333;
  arrange_rows(halves, odd, kHidden, narrow.data(), context);
  expanded.product(layers[0].qkv.view, RowOrder::kRopePairs, heads, halves, odd,
                   want.as<uint16_t>(), context);
  for (const Cut& cut : kCuts) {
    CUDA_CHECK(
        cudaMemsetAsync(got.data(), 0xff, static_cast<size_t>(got.size_bytes()), stream.get()));
    mixed_product({layers[0].qkv.view, narrow.data(), odd, cut.cut}, RowOrder::kRopePairs, heads,
                  got.as<uint16_t>(), context);
    compare(cut.name, int64_t{odd} * kQkvRows);
  }

  std::printf("ms of 32 layers: qkv, out, gate and up, down; all of the cut; TFLOP/s\n");
  for (const int32_t n_rows : {65, 128, 192, 256, 384, 512, 1024, 2048}) {
    arrange_rows(halves, n_rows, kHidden, narrow.data(), context);
    arrange_rows(halves, n_rows, kFfn, wide.data(), context);
    const auto each = [&](const auto& work) {
      return median_ms(stream.get(), 3, [&] {
        for (const Layer& layer : layers) work(layer);
      });
    };
    for (const Cut& cut : kCuts) {
      const double t[] = {
          each([&](const Layer& l) {
            mixed_product({l.qkv.view, narrow.data(), n_rows, cut.cut}, RowOrder::kRopePairs, heads,
                          got.as<uint16_t>(), context);
          }),
          each([&](const Layer& l) {
            mixed_add({l.out.view, narrow.data(), n_rows, cut.cut}, x.as<float>(), context);
          }),
          each([&](const Layer& l) {
            mixed_gate_up({l.gate_up.view, narrow.data(), n_rows, cut.cut}, got.data(), context);
          }),
          each([&](const Layer& l) {
            mixed_add({l.down.view, wide.data(), n_rows, cut.cut}, x.as<float>(), context);
          })};
      const double all = t[0] + t[1] + t[2] + t[3];
      std::printf("  %4d rows, %-12s: %5.2f %5.2f %5.2f %5.2f  %6.2f ms, %4.0f\n", n_rows, cut.name,
                  t[0], t[1], t[2], t[3], all, 13.96e-3 * n_rows / all * 1e3);
    }
    const auto products = [&](LargeMatmul& matmul) {
      return each([&](const Layer& l) {
        matmul.product(l.qkv.view, RowOrder::kRopePairs, heads, halves, n_rows, got.as<uint16_t>(),
                       context);
        matmul.add_product(l.out.view, halves, n_rows, x.as<float>(), context);
        matmul.mlp_product(l.gate_up.view, l.down.view, halves, n_rows, x.as<float>(), context);
      });
    };
    const double flat_ms = n_rows > 256 ? 0 : each([&](const Layer& l) {
      for (int32_t first = 0; first < n_rows; first += kFlatRows) {
        const int32_t n = std::min(kFlatRows, n_rows - first);
        // Instead of qkv, which wants pages, out for as many outputs: one more, and a half.
        for (int i = 0; i < (first % 128 == 0 ? 3 : 2); ++i) {
          flat_add({n, kHidden, kHidden, halves, l.out.view, x.as<float>(), nullptr, {}}, flat,
                   context);
        }
        flat_gate_up({n, kHidden, kFfn, normed, 1e-5f, l.gate_up.view, got.as<uint16_t>()}, flat,
                     context);
        flat_add({n, kFfn, kHidden, halves, l.down.view, x.as<float>(), nullptr, {}}, flat,
                 context);
      }
    });
    const double arrange =
        each([&](const Layer&) { arrange_rows(halves, n_rows, kHidden, narrow.data(), context); });
    std::printf(
        "  %4d rows, LargeMatmul: mixed %.2f, expanded %.2f; one arrangement %.2f; flat %.2f\n",
        n_rows, products(mixed), products(expanded), arrange, flat_ms);
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  incipit::kernels::cuda::run();
  return 0;
}
