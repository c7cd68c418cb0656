#include "engine/weights/float_tensor.h"

#include <fmt/core.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

Error bad_value(const Tensor& tensor, const std::string& where, int64_t i, const char* want) {
  return Error{ErrorCode::kCorrupt, fmt::format("{}: {}: element {}: want {}, found {}", where,
                                                tensor.name, i, want, float_at(tensor, i))};
}

}  // namespace

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
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = float_at(tensor, static_cast<int64_t>(i));
    if (!std::isfinite(out[i])) {
      return bad_value(tensor, where, static_cast<int64_t>(i), "a finite number");
    }
  }
  return {};
}

Result<void> read_halves(const Tensor& tensor, const std::string& where, std::span<uint16_t> out) {
  CHECK_EQ(static_cast<int64_t>(out.size()), tensor.n_elements());
  constexpr uint16_t kExponent = 0x7c00;  // all ones: infinite or not a number
  for (size_t i = 0; i < out.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (tensor.type == TensorType::kF16) {
      std::memcpy(&out[i], tensor.data.data() + index * 2, sizeof(out[i]));
    } else {
      out[i] = kernels::float_to_half(float_at(tensor, index));
    }
    if ((out[i] & kExponent) == kExponent) {
      return bad_value(tensor, where, index, "a number that fp16 can hold");
    }
  }
  return {};
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
