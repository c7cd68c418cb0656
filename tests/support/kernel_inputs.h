// Random inputs for kernel tests: a fresh seed each run (printed, or taken from INCIPIT_TEST_SEED),
// matrices, activations, aligned buffers, and the instruction sets of this machine.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/common/half.h"
#include "kernels/cpu/isa.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::kernels {

// One seed a process; every test mixes in its own shape.
inline uint32_t test_seed() {
  static const uint32_t seed = [] {
    const char* fixed = std::getenv("INCIPIT_TEST_SEED");
    const uint32_t value = fixed != nullptr
                               ? static_cast<uint32_t>(std::strtoul(fixed, nullptr, 10))
                               : std::random_device{}();
    std::printf("seed: %u (repeat with INCIPIT_TEST_SEED=%u)\n", value, value);
    return value;
  }();
  return seed;
}

inline std::vector<Isa> isas_of_this_machine() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_supported(isa)) isas.push_back(isa);
  }
  return isas;
}

// 64-byte aligned bytes, filled with 0xff: floats of it are NaN, so a value that a kernel forgets
// to write, or reads without having written, shows.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t size)
      : size_(size),
        data_(static_cast<std::byte*>(
            ::operator new (static_cast<size_t>(size), std::align_val_t{64}))) {
    std::memset(data_.get(), 0xff, static_cast<size_t>(size));
  }
  std::byte* data() const { return data_.get(); }
  std::span<std::byte> span() const { return {data_.get(), static_cast<size_t>(size_)}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  int64_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

inline std::vector<float> poisoned(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), std::numeric_limits<float>::quiet_NaN());
}

inline Int4Matrix random_int4(const Int4Shape& shape, std::mt19937& random) {
  Int4Matrix m;
  m.shape = shape;
  std::uniform_int_distribution<int> nibble(0, 15);
  std::uniform_int_distribution<int> zero(0, 16);
  std::uniform_real_distribution<float> scale(0.001f, 0.05f);
  m.q.resize(static_cast<size_t>(int64_t{shape.rows} * shape.cols));
  for (uint8_t& q : m.q) q = static_cast<uint8_t>(nibble(random));
  m.scales.resize(static_cast<size_t>(int64_t{shape.rows} * shape.n_groups()));
  for (uint16_t& s : m.scales) s = float_to_half(scale(random));
  if (shape.has_zeros) {
    m.zeros.resize(m.scales.size());
    for (uint8_t& z : m.zeros) z = static_cast<uint8_t>(zero(random));
  }
  return m;
}

inline Int8Matrix random_int8(const Int8Shape& shape, std::mt19937& random) {
  Int8Matrix m;
  m.shape = shape;
  std::uniform_int_distribution<int> weight(-127, 127);
  std::uniform_real_distribution<float> scale(0.0001f, 0.01f);
  m.q.resize(static_cast<size_t>(int64_t{shape.rows} * shape.cols));
  for (int8_t& q : m.q) q = static_cast<int8_t>(weight(random));
  m.scales.resize(static_cast<size_t>(shape.rows));
  for (float& s : m.scales) s = scale(random);
  return m;
}

// Normal values; about one row in four carries an outlier, as the residual streams of real models
// do.
inline std::vector<float> random_rows(int64_t n_rows, int64_t cols, std::mt19937& random) {
  std::normal_distribution<float> value(0.0f, 1.0f);
  std::vector<float> rows(static_cast<size_t>(n_rows * cols));
  for (float& x : rows) x = value(random);
  for (int64_t row = 0; row < n_rows; ++row) {
    if (random() % 4 == 0) rows[static_cast<size_t>(row * cols + random() % cols)] *= 50.0f;
  }
  return rows;
}

// A packed matrix with its storage.
template <class View>
struct Packed {
  AlignedBytes bytes;
  View view;
};

inline Packed<Int4View<CpuTile>> packed(const Int4Matrix& m) {
  AlignedBytes bytes(packed_bytes<CpuTile>(m.shape));
  pack<CpuTile>(m, bytes.span());
  const std::byte* data = bytes.data();
  return {std::move(bytes), {data, m.shape}};
}

inline Packed<Int8View<CpuTile>> packed(const Int8Matrix& m) {
  AlignedBytes bytes(packed_bytes<CpuTile>(m.shape));
  pack<CpuTile>(m, bytes.span());
  const std::byte* data = bytes.data();
  return {std::move(bytes), {data, m.shape}};
}

}  // namespace incipit::kernels
