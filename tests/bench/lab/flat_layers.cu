#include "tests/bench/lab/flat_layers.h"

#include <cuda_fp16.h>

#include <algorithm>

#include "kernels/cuda/vector_load.cuh"

namespace incipit::kernels::cuda {

namespace {

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

DeviceBuffer random_halves(int64_t n, int seed) {
  DeviceBuffer b = DeviceBuffer::allocate(n * 2);
  fill_halves<<<1024, 256>>>(b.as<uint16_t>(), n, seed);
  return b;
}
DeviceBuffer random_floats(int64_t n, float from, float to, int seed) {
  DeviceBuffer b = DeviceBuffer::allocate(n * 4);
  fill_floats<<<1024, 256>>>(b.as<float>(), n, from, to, seed);
  return b;
}

}  // namespace

FlatLayers::FlatLayers() {
  for (int i = 0; i < 4; ++i) {
    offsets[i] = layer_bytes;
    layer_bytes += CudaTile::bytes(shapes[i]);
  }
  weights = DeviceBuffer::allocate(layer_bytes * kLabLayers);
  fill_bits<<<4096, 256>>>(weights.as<uint32_t>(), layer_bytes * kLabLayers / 4, 1);
  for (int layer = 0; layer < kLabLayers; ++layer) {
    for (int i = 0; i < 4; ++i) {
      std::byte* const data = weights.data() + layer * layer_bytes + offsets[i];
      const auto n_tiles = static_cast<unsigned>(CudaTile::n_tiles(shapes[i]));
      fill_scales<<<n_tiles, 128>>>(data, CudaTile::tile_bytes(shapes[i]),
                                    CudaTile::quant_bytes(shapes[i]));
    }
  }
  head = DeviceBuffer::allocate(Int8Layout<CudaTile>::bytes({kLabVocab, kLabHidden}));
  fill_bits<<<4096, 256>>>(head.as<uint32_t>(), head.size_bytes() / 4, 2);
  values = random_halves(kFlatRows * kLabHidden, 3);
  attention = random_halves(kFlatRows * kLabHidden, 4);
  act = random_halves(kFlatRows * kLabFfn, 5);
  q = random_halves(kFlatRows * kLabHidden, 6);
  k = random_halves(8 * 16 * 1024, 7);
  v = random_halves(8 * 16 * 1024, 8);
  x = random_floats(kFlatRows * kLabHidden, -1, 1, 9);
  squares = random_floats(kFlatRows * kLabHidden / 16, 1, 10, 10);
  norm = random_floats(kLabHidden, 0.5f, 1.5f, 11);
  cos = random_floats(64 * 64, -1, 1, 12);
  sin = random_floats(64 * 64, -1, 1, 13);
  logits = random_floats(int64_t{kFlatRows} * kLabVocab, 0, 1, 14);
  std::vector<int32_t> counting(64);
  for (int i = 0; i < 64; ++i) counting[static_cast<size_t>(i)] = i;
  for (DeviceBuffer* b : {&positions, &table, &rows}) {
    *b = DeviceBuffer::allocate(256);
    CUDA_CHECK(cudaMemcpy(b->data(), counting.data(), 256, cudaMemcpyHostToDevice));
  }
  sequences = DeviceBuffer::allocate(256);
  const FlatScratchSize size = flat_scratch_size(kLabHidden, kLabFfn, kLabHeads, kLabVocab);
  sums = DeviceBuffer::allocate(size.partial_sum_bytes);
  counters = DeviceBuffer::allocate(size.counter_bytes);
  scratch = {sums.as<float>(), counters.as<int32_t>()};
  CUDA_CHECK(cudaDeviceSynchronize());
}

float FlatLayers::time(const std::function<void()>& work, int n_repeats) const {
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

float FlatLayers::read_milliseconds() const {
  return time(
      [&] {
        read_all<<<132 * 8, 512, 0, stream.get()>>>(weights.as<uint4>(), weights.size_bytes() / 16,
                                                    counters.as<uint32_t>());
      },
      200);
}

std::vector<uint32_t> bits_of(const DeviceBuffer& buffer, int64_t bytes) {
  std::vector<uint32_t> bits(static_cast<size_t>(bytes / 4));
  CUDA_CHECK(
      cudaMemcpy(bits.data(), buffer.data(), static_cast<size_t>(bytes), cudaMemcpyDeviceToHost));
  return bits;
}

void put_bits(const DeviceBuffer& buffer, const std::vector<uint32_t>& bits) {
  CUDA_CHECK(cudaMemcpy(buffer.data(), bits.data(), bits.size() * 4, cudaMemcpyHostToDevice));
  CUDA_CHECK(cudaDeviceSynchronize());
}

}  // namespace incipit::kernels::cuda
