// 32 layers of Llama-3-8B for the laboratories of the flat products: weights of their own for each
// (3.6 GB, so nothing stays in L2), random activations of 64 rows, and timing of a graph.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/stream.h"

namespace incipit::kernels::cuda {

inline constexpr int kLabLayers = 32;
inline constexpr int32_t kLabHidden = 4096;
inline constexpr int32_t kLabFfn = 14336;
inline constexpr int32_t kLabVocab = 128256;
inline constexpr HeadShape kLabHeads = {32, 8, 128};
inline constexpr int32_t kLabQkv = 6144;
inline constexpr const char* kLabProducts[4] = {"qkv", "out", "gate_up", "down"};

struct FlatLayers {
  DeviceBuffer weights, head;
  DeviceBuffer values, attention, act;  // inputs: of qkv and gate_up, of out, of down
  DeviceBuffer x, squares, norm, cos, sin, q, k, v, logits;
  DeviceBuffer positions, sequences, table, rows, sums, counters;
  Stream stream = make_stream();
  Int4Shape shapes[4] = {{kLabQkv, kLabHidden},
                         {kLabHidden, kLabHidden},
                         {2 * kLabFfn, kLabHidden},
                         {kLabHidden, kLabFfn}};
  int64_t offsets[4];
  int64_t layer_bytes = 0;
  FlatScratch scratch;

  FlatLayers();
  Int4View<CudaTile> view(int layer, int i) const {
    return {weights.data() + layer * layer_bytes + offsets[i], shapes[i]};
  }
  NormedRows normed() const { return {values.as<uint16_t>(), squares.as<float>()}; }
  RowBatch batch(int32_t n_rows) const {
    return {n_rows, positions.as<int32_t>(), sequences.as<int32_t>(), table.as<int32_t>(), 64};
  }
  KvLayerView kv() const { return {k.as<uint16_t>(), v.as<uint16_t>()}; }

  // Median milliseconds of a graph of `work`, which launches on `stream`.
  float time(const std::function<void()>& work, int n_repeats) const;
  // Milliseconds of reading all weights once; warms the card up, too.
  float read_milliseconds() const;
};

std::vector<uint32_t> bits_of(const DeviceBuffer& buffer, int64_t bytes);
// Waits: the stream of the layers does not wait for the default one.
void put_bits(const DeviceBuffer& buffer, const std::vector<uint32_t>& bits);

}  // namespace incipit::kernels::cuda
