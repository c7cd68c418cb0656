#include "engine/weights/float_tensor.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/weights/block_formats.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

constexpr std::array<TensorType, 11> kNumberTypes = {
    TensorType::kF16,  TensorType::kBF16, TensorType::kF32,  TensorType::kQ4_0,
    TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
    TensorType::kQ4K,  TensorType::kQ5K,  TensorType::kQ6K};
constexpr const char* kHalfWanted = "a number that fp16 can hold";
static_assert(std::equal(kFloatTypes.begin(), kFloatTypes.end(), kNumberTypes.begin()));

Error bad_value(const Tensor& tensor, const std::string& where, int64_t i, const char* want,
                float found) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}: element {}: want {}, found {}", where,
                                                tensor.name, i, want, found)};
}

constexpr uint16_t kExponent = 0x7c00;  // all ones: infinite or not a number

}  // namespace

std::span<const TensorType> number_types(const Checkpoint& checkpoint) {
  const bool blocks = checkpoint.paired_head_dim() != 0;
  return std::span(kNumberTypes).first(blocks ? kNumberTypes.size() : kFloatTypes.size());
}

float float_at(const Tensor& tensor, int64_t i) {
  if (tensor.type == TensorType::kF32) {
    float value = 0;
    std::memcpy(&value, tensor.data.data() + i * 4, sizeof(value));
    return value;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, tensor.data.data() + i * 2, sizeof(bits));
  if (tensor.type == TensorType::kBF16) return std::bit_cast<float>(uint32_t{bits} << 16);
  return kernels::half_to_float(bits);
}

void copy_floats(const Tensor& tensor, int64_t first, std::span<float> out) {
  CHECK_LE(first + static_cast<int64_t>(out.size()), tensor.n_elements());
  if (tensor.type == TensorType::kF32) {
    if (!out.empty()) std::memcpy(out.data(), tensor.data.data() + first * 4, out.size() * 4);
    return;
  }
  if (is_block_type(tensor.type)) {
    const BlockShape block = block_shape(tensor.type);
    CHECK_EQ(first % block.n_elements, 0);
    const auto skip = static_cast<size_t>(first / block.n_elements * block.n_bytes);
    const size_t n_bytes =
        out.size() / static_cast<size_t>(block.n_elements) * static_cast<size_t>(block.n_bytes);
    dequantise_blocks(tensor.type, tensor.data.subspan(skip, n_bytes), out);
    return;
  }
  const std::byte* from = tensor.data.data() + first * 2;
  const bool brain = tensor.type == TensorType::kBF16;
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + i * 2, sizeof(bits));
    out[i] = brain ? std::bit_cast<float>(uint32_t{bits} << 16) : kernels::half_to_float(bits);
  }
}

Result<void> read_floats(const Tensor& tensor, const std::string& where, std::span<float> out) {
  CHECK_EQ(static_cast<int64_t>(out.size()), tensor.n_elements());
  copy_floats(tensor, 0, out);
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i])) continue;
    return bad_value(tensor, where, static_cast<int64_t>(i), "a finite number", out[i]);
  }
  return {};
}

int64_t copy_halves(const Tensor& tensor, int64_t first, std::span<uint16_t> out) {
  constexpr size_t kChunk = 4096;  // a multiple of every block
  const bool as_they_are = tensor.type == TensorType::kF16;
  if (as_they_are) std::memcpy(out.data(), tensor.data.data() + first * 2, out.size() * 2);
  std::array<float, kChunk> floats;
  for (size_t begin = 0; begin < out.size(); begin += kChunk) {
    const size_t end = std::min(begin + kChunk, out.size());
    if (!as_they_are) {
      const auto some = std::span(floats).first(end - begin);
      copy_floats(tensor, first + static_cast<int64_t>(begin), some);
      std::ranges::transform(some, out.begin() + static_cast<ptrdiff_t>(begin),
                             kernels::float_to_half);
    }
    for (size_t i = begin; i < end; ++i)
      if ((out[i] & kExponent) == kExponent) return first + static_cast<int64_t>(i);
  }
  return -1;
}

Error not_a_half(const Tensor& tensor, const std::string& where, int64_t i) {
  const int64_t block = is_block_type(tensor.type) ? block_shape(tensor.type).n_elements : 1;
  std::vector<float> floats(static_cast<size_t>(block));  // blocks are read whole
  copy_floats(tensor, i / block * block, floats);
  return bad_value(tensor, where, i, kHalfWanted, floats[static_cast<size_t>(i % block)]);
}

Result<void> check_no_bias(const Checkpoint& checkpoint, const std::string& linear, int32_t rows) {
  const std::string name = linear + ".bias";
  if (checkpoint.find(name) == nullptr) return {};
  const std::array<int64_t, 1> shape = {rows};
  ASSIGN_OR_RETURN(const Tensor* bias, checkpoint.require(name, shape, kFloatTypes));
  for (int64_t i = 0; i < bias->n_elements(); ++i) {
    const float value = float_at(*bias, i);
    if (value == 0) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: {}: element {}: want 0 (no biases), found {}",
                             checkpoint.where(name), name, i, value)};
  }
  return {};
}

}  // namespace incipit::engine
