// Speed of the CPU kernels beside what the machine can do, measured in the same run:
//   kernels_bench [--threads N] [--isa NAME] [--shape pocket|llama-3-8b] [--json]
// A row of a product that is bound by memory shows bytes of weights read per second over the
// measured read bandwidth; one that is bound by arithmetic shows its multiply-adds over the
// measured peaks. Figures are the best of many passes: a shared machine only ever slows a pass
// down.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/common/thread_pool.h"
#include "kernels/cpu/machine_peaks.h"
#include "kernels/cpu/matmul.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::kernels {
namespace {

using Clock = std::chrono::steady_clock;

struct Matrix {
  const char* name;
  int32_t n_out;
  int32_t cols;
};

struct Shape {
  const char* name;
  std::vector<Matrix> int4;
  Matrix head;
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {"pocket",
       {{"qkv", 1024, 512}, {"out", 512, 512}, {"gate_up", 2816, 512}, {"down", 512, 1408}},
       {"head", 16384, 512}},
      {"llama-3-8b",
       {{"qkv", 6144, 4096}, {"out", 4096, 4096}, {"gate_up", 28672, 4096}, {"down", 4096, 14336}},
       {"head", 128256, 4096}},
  };
  return all;
}

struct Free {
  void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{64}); }
};
using Buffer = std::unique_ptr<std::byte, Free>;

Buffer allocate(int64_t size_bytes) {
  return Buffer(static_cast<std::byte*>(
      ::operator new (static_cast<size_t>(size_bytes), std::align_val_t{64})));
}

// Any bytes are weights; scales of any finite fp16 are as fast as true ones.
Buffer random_bytes(int64_t size_bytes) {
  Buffer buffer = allocate(size_bytes);
  std::mt19937 random(1);
  auto* words = reinterpret_cast<uint32_t*>(buffer.get());
  for (int64_t i = 0; i < size_bytes / 4; ++i) words[i] = random() & 0x3bff3bffu;
  return buffer;
}

double best_seconds(const std::function<void()>& run, double time_s) {
  run();
  double best = 1e9;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point pass = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - pass).count());
  } while (std::chrono::duration<double>(Clock::now() - start).count() < time_s);
  return best;
}

struct Bench {
  Isa isa;
  ThreadPool& pool;
  MachineProbe& probe;
  bool json;

  void print(const char* shape, const char* name, int32_t n_rows, double seconds, int64_t bytes,
             int64_t macs) const {
    const MachinePeaks& peaks = probe.peaks();
    const double read = static_cast<double>(bytes) / seconds;
    const double ops = 2.0 * static_cast<double>(macs) / seconds;
    const char* format =
        json
            ? "{\"name\": \"%s/%s\", \"rows\": %d, \"microseconds\": %.2f, \"weight_bytes_per_s\": "
              "%.4g, \"of_read_bandwidth\": %.3f, \"useful_ops_per_s\": %.4g, "
              "\"useful_of_fma_peak\": %.3f, \"useful_of_int8_peak\": %.3f, "
              "\"executed_of_int8_peak\": %.3f}\n"
            : "%-12s %-8s %5d %11.1f us %8.2f GB/s %6.1f%% %9.1f Gop/s %6.1f%% %6.1f%% %6.1f%%\n";
    if (json) {
      std::printf(format, shape, name, n_rows, seconds * 1e6, read, read / peaks.read_bytes_per_s,
                  ops, ops / peaks.fma_flops_per_s, ops / peaks.int8_ops_per_s,
                  2 * ops / peaks.int8_ops_per_s);
    } else {
      std::printf(format, shape, name, n_rows, seconds * 1e6, read / 1e9,
                  100 * read / peaks.read_bytes_per_s, ops / 1e9, 100 * ops / peaks.fma_flops_per_s,
                  100 * ops / peaks.int8_ops_per_s, 200 * ops / peaks.int8_ops_per_s);
    }
    std::fflush(stdout);
  }

  // Copies of the matrix until they are larger than any cache: else a product of few rows would be
  // read from there.
  static constexpr int64_t kStreamBytes = int64_t{1} << 30;

  void int4(const char* shape, const Matrix& m) const {
    const Int4Shape s{m.n_out, m.cols, 128, false};
    const int64_t one = CpuTile::bytes(s);
    const int64_t n_copies = std::max<int64_t>(1, kStreamBytes / one);
    const Buffer weights = random_bytes(n_copies * one);
    for (const int32_t n_rows : {1, 2, 4, 8, 16, 64, 128, 512}) {
      const std::vector<float> x(static_cast<size_t>(n_rows) * m.cols, 0.5f);
      std::vector<float> y(static_cast<size_t>(n_rows) * m.n_out);
      const Buffer scratch = allocate(quantized_rows_bytes(n_rows, m.cols, 128));
      const QuantizedRows q = quantized_rows_in(scratch.get(), n_rows, m.cols, 128);
      quantize_rows(x.data(), m.cols, q, 0, n_rows, isa);
      // Memory-bound rows walk all copies; for many rows one copy a pass is enough.
      const int64_t per_pass = n_rows <= 16 ? n_copies : 1;
      const double seconds = best_seconds(
          [&] {
            for (int64_t i = 0; i < per_pass; ++i) {
              int4_matmul({{weights.get() + i * one, s}, q, y.data(), m.n_out}, isa, pool);
            }
          },
          0.5);
      print(shape, m.name, n_rows, seconds / static_cast<double>(per_pass), one,
            multiply_adds(n_rows, m.n_out, m.cols));
    }
  }

  void head(const char* shape, const Matrix& m) const {
    const Int8Shape s{m.n_out, m.cols};
    const int64_t one = Int8Layout<CpuTile>::bytes(s);
    const int64_t n_copies = std::max<int64_t>(1, kStreamBytes / one);
    const Buffer weights = random_bytes(n_copies * one);
    for (const int32_t n_rows : {1, 8}) {
      const std::vector<float> x(static_cast<size_t>(n_rows) * m.cols, 0.5f);
      std::vector<float> y(static_cast<size_t>(n_rows) * m.n_out);
      const Buffer scratch = allocate(quantized_rows_bytes(n_rows, m.cols, kInt8HeadGroup));
      const QuantizedRows q = quantized_rows_in(scratch.get(), n_rows, m.cols, kInt8HeadGroup);
      quantize_rows(x.data(), m.cols, q, 0, n_rows, isa);
      const double seconds = best_seconds(
          [&] {
            for (int64_t i = 0; i < n_copies; ++i) {
              int8_matmul({{weights.get() + i * one, s}, q, y.data(), m.n_out}, isa, pool);
            }
          },
          0.5);
      print(shape, m.name, n_rows, seconds / static_cast<double>(n_copies), one,
            multiply_adds(n_rows, m.n_out, m.cols));
    }
  }

  void quantize(const char* shape, int32_t cols) const {
    const int32_t n_rows = 512;
    const std::vector<float> x(static_cast<size_t>(n_rows) * cols, 0.5f);
    const Buffer scratch = allocate(quantized_rows_bytes(n_rows, cols, 128));
    const QuantizedRows q = quantized_rows_in(scratch.get(), n_rows, cols, 128);
    const double seconds = best_seconds(
        [&] {
          pool.parallel_for(n_rows, 8, [&](int64_t begin, int64_t end) {
            quantize_rows(x.data(), cols, q, static_cast<int32_t>(begin), static_cast<int32_t>(end),
                          isa);
          });
        },
        0.2);
    print(shape, "quantise", n_rows, seconds, int64_t{n_rows} * cols * 4, 0);
  }
};

int run(int argc, char** argv) {
  int n_threads = 0;
  Isa isa = best_isa();
  std::string wanted = "pocket";
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--json") {
      json = true;
    } else if (flag == "--threads" && !value.empty()) {
      n_threads = std::atoi(argv[++i]);
    } else if (flag == "--shape" && !value.empty()) {
      wanted = argv[++i];
    } else if (flag == "--isa" && parse_isa(value) && isa_supported(*parse_isa(value))) {
      isa = *parse_isa(argv[++i]);
    } else {
      std::fprintf(stderr,
                   "usage: %s [--threads N] [--isa scalar|avx2|avx512] "
                   "[--shape pocket|llama-3-8b] [--json]\nfound: %s %s\n",
                   argv[0], flag.c_str(), value.c_str());
      return 2;
    }
  }
  ThreadPool pool(n_threads);
  MachineProbe probe(isa, pool);
  const MachinePeaks& peaks = probe.measure();
  if (!json) {
    std::printf(
        "%s, %d threads: read %.2f GB/s over %lld MiB, int8 %.0f Gop/s, fma %.0f Gflop/s\n"
        "%-12s %-8s %5s %14s %13s %7s %15s %7s %7s %7s\n",
        name_of(isa), pool.n_threads(), peaks.read_bytes_per_s / 1e9,
        static_cast<long long>(peaks.buffer_bytes >> 20), peaks.int8_ops_per_s / 1e9,
        peaks.fma_flops_per_s / 1e9, "shape", "matrix", "rows", "time", "weights", "of read",
        "useful", "of fma", "of int8", "exec'd");
  }
  const Bench bench{isa, pool, probe, json};
  for (const Shape& shape : shapes()) {
    if (shape.name != wanted) continue;
    for (const Matrix& m : shape.int4) bench.int4(shape.name, m);
    bench.head(shape.name, shape.head);
    bench.quantize(shape.name, shape.int4.front().cols);
  }
  return 0;
}

}  // namespace
}  // namespace incipit::kernels

int main(int argc, char** argv) {
  return incipit::kernels::run(argc, argv);
}
