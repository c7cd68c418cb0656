// A tensor's elements, and everything the engine reads of a model's weights, as bytes: two models
// are equal when these are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "engine/weights/weights.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::test {

// Element i of a tensor of Ts.
template <class T>
T read_at(std::span<const std::byte> bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

inline void append_bytes(std::string& out, const void* data, int64_t bytes) {
  out.append(static_cast<const char*>(data), static_cast<size_t>(bytes));
}

inline void append_matrix(std::string& out, const kernels::Int4View<kernels::CpuTile>& view) {
  append_bytes(out, view.data, kernels::CpuTile::bytes(view.shape));
  append_bytes(out, &view.shape.rows, 12);  // rows, cols, group
  out += view.shape.has_zeros ? 'z' : '-';
}

// Everything the engine reads, as bytes.
inline std::string bytes_of(const engine::Weights<kernels::CpuTile>& w) {
  std::string out;
  const int64_t hidden = w.config.hidden;
  for (const auto& layer : w.layers) {
    append_bytes(out, layer.input_norm, hidden * 4);
    append_bytes(out, layer.post_norm, hidden * 4);
    for (const auto* view : {&layer.qkv, &layer.out, &layer.gate_up, &layer.down}) {
      append_matrix(out, *view);
    }
  }
  append_bytes(out, w.final_norm, hidden * 4);
  append_bytes(out, w.embedding, hidden * w.config.vocab * 2);
  if (w.head_int8.data != nullptr) {
    append_bytes(out, w.head_int8.data, kernels::packed_bytes<kernels::CpuTile>(w.head_int8.shape));
  }
  if (w.head_f16 != nullptr) append_bytes(out, w.head_f16, hidden * w.config.vocab * 2);
  return out;
}

}  // namespace incipit::test
