// Lab of the flat products: the sequence qkv, out, gate and up, down of 32 layers of Llama-3-8B
// with weight buffers of their own (3.6 GB, so nothing stays in L2), as a graph with programmatic
// dependent launch, at 1 to 64 rows; each matrix alone; the narrow against the wide kernel; the
// head. First it checks that both kernels give the same bits for every number of rows. Prints
// microseconds and the share of the measured read bandwidth.
//
//   flat_matmul_lab [n_repeats]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cuda/flat_product.cuh"
#include "tests/bench/lab/flat_layers.h"

namespace incipit::kernels::cuda {
namespace {

enum class Path { kAuto, kNarrow, kWide };

struct Lab : FlatLayers {
  template <class Epilogue>
  void product(Path path, const FlatWeights& w, const FlatRows& in, const Epilogue& e,
               const LaunchContext& context) const {
    if (path == Path::kAuto) return flat_int4_product(w, in, scratch, e, context);
    if (path == Path::kNarrow)
      return launch_narrow<Int4Group128>(w, in, narrow_launch<Int4Group128>(w, in.n_rows), e,
                                         context);
    flat_wide<Int4Group128>(w, in, scratch, e, context);
  }
  void launch(int layer, int i, int32_t n_rows, Path path, const LaunchContext& context) const;
  void head_product(int32_t n_rows, const LaunchContext& context) const;
};

void Lab::launch(int layer, int i, int32_t n_rows, Path path, const LaunchContext& context) const {
  const FlatWeights w = flat_weights(view(layer, i));
  const FlatRows stream_rows = {values.as<uint16_t>(), nullptr, n_rows, squares.as<float>(), 1e-5f};
  if (i == 0) {
    product(path, w, stream_rows,
            RopeAppendEpilogue{batch(n_rows), kLabHeads, cos.as<float>(), sin.as<float>(),
                               q.as<uint16_t>(), kv().k_pages, kv().v_pages},
            context);
  } else if (i == 2) {
    product(path, w, stream_rows, GateUpEpilogue{kLabFfn, act.as<uint16_t>()}, context);
  } else {
    const uint16_t* in = i == 1 ? attention.as<uint16_t>() : act.as<uint16_t>();
    product(path, w, {in, nullptr, n_rows, nullptr, 0},
            AddEpilogue{kLabHidden, x.as<float>(), norm.as<float>(), normed()}, context);
  }
}

void Lab::head_product(int32_t n_rows, const LaunchContext& context) const {
  FlatHeadParams p;
  p.n_logit_rows = n_rows;
  p.hidden = kLabHidden;
  p.vocab = kLabVocab;
  p.rows = rows.as<int32_t>();
  p.in = normed();
  p.w_int8 = {head.data(), {kLabVocab, kLabHidden}};
  p.logits = logits.as<float>();
  flat_head(p, scratch, context);
}

bool fits(const Lab& lab, int i, int32_t n_rows) {
  return narrow_launch<Int4Group128>(flat_weights(lab.view(0, i)), n_rows).ring_stages > 0;
}

// Outputs of every product for every path and number of rows against those of 64 rows.
int check_bits(Lab& lab) {
  int n_bad = 0;
  const LaunchContext context = {lab.stream.get(), false};
  const DeviceBuffer* outs[4] = {&lab.q, &lab.x, &lab.act, &lab.x};
  const int64_t row_bytes[4] = {kLabHidden * 2, kLabHidden * 4, kLabFfn * 2, kLabHidden * 4};
  const std::vector<uint32_t> x0 = bits_of(lab.x, lab.x.size_bytes());
  const std::vector<uint32_t> values0 = bits_of(lab.values, lab.values.size_bytes());
  const std::vector<uint32_t> squares0 = bits_of(lab.squares, lab.squares.size_bytes());
  const std::vector<uint32_t> act0 = bits_of(lab.act, lab.act.size_bytes());
  for (int i = 0; i < 4; ++i) {
    std::vector<uint32_t> want;
    for (const int32_t n_rows : {64, 1, 2, 3, 5, 8, 9, 16, 17, 32, 33, 63}) {
      for (const Path path : {Path::kWide, Path::kNarrow}) {
        if (path == Path::kNarrow && !fits(lab, i, n_rows)) continue;
        put_bits(lab.x, x0);
        put_bits(lab.values, values0);
        put_bits(lab.squares, squares0);
        put_bits(lab.act, act0);
        if (i != 3) CUDA_CHECK(cudaMemset(outs[i]->data(), i == 1 ? 0 : 0xff, row_bytes[i] * 64));
        CUDA_CHECK(cudaDeviceSynchronize());
        lab.launch(0, i, n_rows, path, context);
        CUDA_CHECK(cudaDeviceSynchronize());
        const std::vector<uint32_t> got = bits_of(*outs[i], row_bytes[i] * n_rows);
        if (n_rows == 64) want = got;
        if (std::memcmp(got.data(), want.data(), got.size() * 4) == 0) continue;
        size_t n_differ = 0;
        for (size_t j = 0; j < got.size(); ++j) n_differ += got[j] != want[j];
        std::printf("BITS DIFFER: %s %d rows %s: %zu of %zu words\n", kLabProducts[i], n_rows,
                    path == Path::kWide ? "wide" : "narrow", n_differ, got.size());
        ++n_bad;
      }
    }
  }
  put_bits(lab.x, x0);
  put_bits(lab.values, values0);
  put_bits(lab.squares, squares0);
  put_bits(lab.act, act0);
  return n_bad;
}

int run(int n_repeats) {
  Lab lab;
  prepare_flat_matmul();
  prepare_int4_product<RopeAppendEpilogue>();
  prepare_int4_product<AddEpilogue>();
  prepare_int4_product<GateUpEpilogue>();
  std::printf("bits: %d faults\n", check_bits(lab));
  const LaunchContext plain = {lab.stream.get(), false};
  const LaunchContext pdl = {lab.stream.get(), true};
  const float read_ms = lab.read_milliseconds();
  const double read_rate = lab.weights.size_bytes() / read_ms / 1e6;
  std::printf("read %.0f GB/s; layers floor %.3f ms\n", read_rate, read_ms);

  const auto sequence = [&](int32_t n_rows, Path path, int only, const LaunchContext& context) {
    return lab.time(
        [&] {
          for (int layer = 0; layer < kLabLayers; ++layer) {
            for (int i = 0; i < 4; ++i) {
              if (only >= 0 && i != only) continue;
              Path p = path;
              if (!fits(lab, i, n_rows)) p = Path::kWide;
              lab.launch(layer, i, n_rows, p, context);
            }
          }
        },
        n_repeats);
  };
  std::printf(
      "rows path   all[ms] share  no-pdl   qkv    out    gate_up down [us a kernel]  head[us]\n");
  for (const int32_t n_rows : {1, 2, 4, 8, 16, 24, 32, 48, 64}) {
    for (const Path path : {Path::kNarrow, Path::kWide}) {
      if (path == Path::kNarrow && n_rows > 8) continue;
      const float all = sequence(n_rows, path, -1, pdl);
      std::printf("%3d  %-6s %.3f  %4.1f%%  %.3f ", n_rows,
                  path == Path::kNarrow ? "narrow" : "wide", all, 100 * read_ms / all,
                  sequence(n_rows, path, -1, plain));
      for (int i = 0; i < 4; ++i)
        std::printf(" %6.2f", 1000 * sequence(n_rows, path, i, pdl) / kLabLayers);
      std::printf("   %.1f\n", 1000 * lab.time([&] { lab.head_product(n_rows, pdl); }, n_repeats));
    }
  }
  return 0;
}

}  // namespace
}  // namespace incipit::kernels::cuda

int main(int argc, char** argv) {
  return incipit::kernels::cuda::run(argc > 1 ? std::atoi(argv[1]) : 15);
}
