// Lab of the flat products: the sequence qkv, out, gate and up, down of 32 layers of Llama-3-8B
// with weight buffers of their own (3.6 GB, so nothing stays in L2), as a graph with programmatic
// dependent launch, at 1 to 64 rows; each matrix alone; the narrow against the wide kernel; the
// head. First it checks that both kernels give the same bits for every number of rows. Prints
// microseconds and the share of the measured read bandwidth.
//
//   flat_matmul_lab [n_repeats]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/flat_product.cuh"
#include "kernels/cuda/stream.h"

namespace incipit::kernels::cuda {
namespace {

constexpr int kLayers = 32;
constexpr int32_t kHidden = 4096;
constexpr int32_t kFfn = 14336;
constexpr int32_t kVocab = 128256;
constexpr HeadShape kHeads = {32, 8, 128};
constexpr int32_t kQkv = 6144;

__device__ uint32_t hash(uint64_t i) {
  i = (i ^ (i >> 31)) * 0x9e3779b97f4a7c15ull;
  i = (i ^ (i >> 29)) * 0xbf58476d1ce4e5b9ull;
  return static_cast<uint32_t>(i >> 32);
}
__global__ void fill_bits(uint32_t* data, int64_t n, uint64_t seed) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll)
    data[i] = hash(i + seed * 0x1234567ull);
}
// Scales of a packed INT4 matrix: 0.002 to 0.004.
__global__ void fill_scales(std::byte* data, int64_t tile_bytes, int64_t quant_bytes) {
  auto* halves = reinterpret_cast<__half*>(data + blockIdx.x * tile_bytes + quant_bytes);
  for (int64_t i = threadIdx.x; i < (tile_bytes - quant_bytes) / 2; i += blockDim.x)
    halves[i] = __float2half(0.002f + 0.002f * (hash(i + blockIdx.x) & 0xffff) / 65536.0f);
}
__global__ void fill_floats(float* data, int64_t n, float from, float to, uint64_t seed) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll)
    data[i] = from + (to - from) * (hash(i + seed * 77777) & 0xffffff) / 16777216.0f;
}
__global__ void fill_halves(uint16_t* data, int64_t n, uint64_t seed) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll)
    data[i] = __half_as_ushort(__float2half((hash(i + seed * 99) & 0xffff) / 32768.0f - 1.0f));
}
__global__ void read_all(const uint4* data, int64_t n, uint32_t* sink) {
  uint32_t sum = 0;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < n; i += 4 * stride) {
    uint4 v[4];
    for (int k = 0; k < 4; ++k) v[k] = load_streamed(data + i + k * stride);
    for (int k = 0; k < 4; ++k) sum ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
  }
  if (sum == 0x12345678u) *sink = sum;
}

enum class Path { kAuto, kNarrow, kWide };

struct Lab {
  DeviceBuffer weights, head, values, attention, act, x, squares, norm, cos, sin, q, k, v, logits;
  DeviceBuffer positions, sequences, table, rows, sums, counters;
  Stream stream = make_stream();
  Int4Shape shapes[4] = {{kQkv, kHidden}, {kHidden, kHidden}, {2 * kFfn, kHidden}, {kHidden, kFfn}};
  int64_t offsets[4];
  int64_t layer_bytes = 0;
  FlatScratch scratch;

  Lab();
  Int4View<CudaTile> view(int layer, int i) const {
    return {weights.data() + layer * layer_bytes + offsets[i], shapes[i]};
  }
  NormedRows normed() const { return {values.as<uint16_t>(), squares.as<float>()}; }

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
  float time(const std::function<void()>& work, int n_repeats) const;
};

Lab::Lab() {
  for (int i = 0; i < 4; ++i) {
    offsets[i] = layer_bytes;
    layer_bytes += CudaTile::bytes(shapes[i]);
  }
  weights = DeviceBuffer::allocate(layer_bytes * kLayers);
  fill_bits<<<4096, 256>>>(weights.as<uint32_t>(), layer_bytes * kLayers / 4, 1);
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int i = 0; i < 4; ++i) {
      const FlatWeights w = flat_weights(view(layer, i));
      fill_scales<<<w.n_tiles, 128>>>(const_cast<std::byte*>(w.data), w.tile_bytes, w.scales_at);
    }
  }
  const Int8Shape head_shape = {kVocab, kHidden};
  head = DeviceBuffer::allocate(Int8Layout<CudaTile>::bytes(head_shape));
  fill_bits<<<4096, 256>>>(head.as<uint32_t>(), head.size_bytes() / 4, 2);
  const auto halves = [](int64_t n, int seed) {
    DeviceBuffer b = DeviceBuffer::allocate(n * 2);
    fill_halves<<<1024, 256>>>(b.as<uint16_t>(), n, seed);
    return b;
  };
  const auto floats = [](int64_t n, float from, float to, int seed) {
    DeviceBuffer b = DeviceBuffer::allocate(n * 4);
    fill_floats<<<1024, 256>>>(b.as<float>(), n, from, to, seed);
    return b;
  };
  values = halves(kFlatRows * kHidden, 3);
  attention = halves(kFlatRows * kHidden, 4);
  act = halves(kFlatRows * kFfn, 5);
  q = halves(kFlatRows * kHidden, 6);
  k = halves(8 * 16 * 1024, 7);
  v = halves(8 * 16 * 1024, 8);
  x = floats(kFlatRows * kHidden, -1, 1, 9);
  squares = floats(kFlatRows * kHidden / 16, 1, 10, 10);
  norm = floats(kHidden, 0.5f, 1.5f, 11);
  cos = floats(64 * 64, -1, 1, 12);
  sin = floats(64 * 64, -1, 1, 13);
  logits = floats(int64_t{kFlatRows} * kVocab, 0, 1, 14);
  std::vector<int32_t> counting(64);
  for (int i = 0; i < 64; ++i) counting[i] = i;
  for (DeviceBuffer* b : {&positions, &table, &rows}) {
    *b = DeviceBuffer::allocate(256);
    CUDA_CHECK(cudaMemcpy(b->data(), counting.data(), 256, cudaMemcpyHostToDevice));
  }
  sequences = DeviceBuffer::allocate(256);
  const FlatScratchSize size = flat_scratch_size(kHidden, kFfn, kHeads, kVocab);
  sums = DeviceBuffer::allocate(size.partial_sum_bytes);
  counters = DeviceBuffer::allocate(size.counter_bytes);
  scratch = {sums.as<float>(), counters.as<int32_t>()};
  CUDA_CHECK(cudaDeviceSynchronize());
}

void Lab::launch(int layer, int i, int32_t n_rows, Path path, const LaunchContext& context) const {
  const FlatWeights w = flat_weights(view(layer, i));
  const FlatRows stream_rows = {values.as<uint16_t>(), nullptr, n_rows, squares.as<float>(), 1e-5f};
  if (i == 0) {
    const RowBatch batch = {n_rows, positions.as<int32_t>(), sequences.as<int32_t>(),
                            table.as<int32_t>(), 64};
    product(path, w, stream_rows,
            RopeAppendEpilogue{batch,
                               kHeads,
                               cos.as<float>(),
                               sin.as<float>(),
                               q.as<uint16_t>(),
                               {k.as<uint16_t>(), v.as<uint16_t>()}},
            context);
  } else if (i == 2) {
    product(path, w, stream_rows, GateUpEpilogue{kFfn, act.as<uint16_t>()}, context);
  } else {
    const uint16_t* in = i == 1 ? attention.as<uint16_t>() : act.as<uint16_t>();
    product(path, w, {in, nullptr, n_rows, nullptr, 0},
            AddEpilogue{kHidden, x.as<float>(), norm.as<float>(), normed()}, context);
  }
}

void Lab::head_product(int32_t n_rows, const LaunchContext& context) const {
  FlatHeadParams p;
  p.n_logit_rows = n_rows;
  p.hidden = kHidden;
  p.vocab = kVocab;
  p.rows = rows.as<int32_t>();
  p.in = normed();
  p.w_int8 = {head.data(), {kVocab, kHidden}};
  p.logits = logits.as<float>();
  flat_head(p, scratch, context);
}

// Median milliseconds of a graph of `work`.
float Lab::time(const std::function<void()>& work, int n_repeats) const {
  const GraphExec graph = capture(stream.get(), work);
  const Event from = make_event(cudaEventDefault);
  const Event to = make_event(cudaEventDefault);
  std::vector<float> times;
  for (int i = 0; i < n_repeats + 5; ++i) {
    CUDA_CHECK(cudaEventRecord(from.get(), stream.get()));
    CUDA_CHECK(cudaGraphLaunch(graph.get(), stream.get()));
    CUDA_CHECK(cudaEventRecord(to.get(), stream.get()));
    CUDA_CHECK(cudaEventSynchronize(to.get()));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, from.get(), to.get()));
    if (i >= 5) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::vector<uint32_t> bits_of(const DeviceBuffer& b, int64_t bytes) {
  std::vector<uint32_t> bits(static_cast<size_t>(bytes / 4));
  CUDA_CHECK(cudaMemcpy(bits.data(), b.data(), static_cast<size_t>(bytes), cudaMemcpyDeviceToHost));
  return bits;
}

bool fits(const Lab& lab, int i, int32_t n_rows) {
  return narrow_launch<Int4Group128>(flat_weights(lab.view(0, i)), n_rows).ring_stages > 0;
}

// Outputs of every product for every path and number of rows against those of 64 rows.
int check_bits(Lab& lab) {
  int n_bad = 0;
  const char* names[4] = {"qkv", "out", "gate_up", "down"};
  const LaunchContext context = {lab.stream.get(), false};
  const DeviceBuffer* outs[4] = {&lab.q, &lab.x, &lab.act, &lab.x};
  const int64_t row_bytes[4] = {kHidden * 2, kHidden * 4, kFfn * 2, kHidden * 4};
  const std::vector<uint32_t> x0 = bits_of(lab.x, lab.x.size_bytes());
  const std::vector<uint32_t> values0 = bits_of(lab.values, lab.values.size_bytes());
  const std::vector<uint32_t> squares0 = bits_of(lab.squares, lab.squares.size_bytes());
  const std::vector<uint32_t> act0 = bits_of(lab.act, lab.act.size_bytes());
  const auto put = [](const DeviceBuffer& b, const std::vector<uint32_t>& bits) {
    CUDA_CHECK(cudaMemcpy(b.data(), bits.data(), bits.size() * 4, cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaDeviceSynchronize());  // the lab's stream does not wait for the default one
  };
  for (int i = 0; i < 4; ++i) {
    std::vector<uint32_t> want;
    for (const int32_t n_rows : {64, 1, 2, 3, 5, 8, 9, 16, 17, 32, 33, 63}) {
      for (const Path path : {Path::kWide, Path::kNarrow}) {
        if (path == Path::kNarrow && !fits(lab, i, n_rows)) continue;
        put(lab.x, x0);
        put(lab.values, values0);
        put(lab.squares, squares0);
        put(lab.act, act0);
        if (i != 3) CUDA_CHECK(cudaMemset(outs[i]->data(), i == 1 ? 0 : 0xff, row_bytes[i] * 64));
        CUDA_CHECK(cudaDeviceSynchronize());
        lab.launch(0, i, n_rows, path, context);
        CUDA_CHECK(cudaDeviceSynchronize());
        const std::vector<uint32_t> got = bits_of(*outs[i], row_bytes[i] * n_rows);
        if (n_rows == 64) want = got;
        if (std::memcmp(got.data(), want.data(), got.size() * 4) == 0) continue;
        size_t n_differ = 0;
        for (size_t j = 0; j < got.size(); ++j) n_differ += got[j] != want[j];
        std::printf("BITS DIFFER: %s %d rows %s: %zu of %zu words\n", names[i], n_rows,
                    path == Path::kWide ? "wide" : "narrow", n_differ, got.size());
        ++n_bad;
      }
    }
  }
  put(lab.x, x0);
  put(lab.values, values0);
  put(lab.squares, squares0);
  put(lab.act, act0);
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
  const float read_ms = lab.time(
      [&] {
        read_all<<<132 * 8, 512, 0, lab.stream.get()>>>(
            lab.weights.as<uint4>(), lab.weights.size_bytes() / 16, lab.counters.as<uint32_t>());
      },
      200);  // which also warms the card up
  const double read_rate = lab.weights.size_bytes() / read_ms / 1e6;
  std::printf("read %.0f GB/s; layers floor %.3f ms\n", read_rate, read_ms);

  const auto sequence = [&](int32_t n_rows, Path path, int only, const LaunchContext& context) {
    return lab.time(
        [&] {
          for (int layer = 0; layer < kLayers; ++layer) {
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
        std::printf(" %6.2f", 1000 * sequence(n_rows, path, i, pdl) / kLayers);
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
