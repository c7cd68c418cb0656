#include "tests/support/hashed_checkpoint.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "engine/weights/weight_names.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::test {
namespace {

// SplitMix64's outputs in any order, from the seed FNV-1a makes of a name.
class Draw {
 public:
  explicit Draw(const std::string& name) {
    for (const char c : name) seed_ = (seed_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  int32_t below(int64_t i, uint64_t n) const {
    uint64_t z = seed_ + static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<int32_t>((z ^ (z >> 31)) % n);
  }

 private:
  uint64_t seed_ = 14695981039346656037ULL;
};

void append_number(std::string& bytes, const std::string& dtype, float value) {
  char raw[4];
  size_t n = 2;
  if (dtype == "F32") {
    n = 4;
    std::memcpy(raw, &value, n);
  } else if (dtype == "BF16") {
    const auto bits = std::bit_cast<uint32_t>(value);
    CHECK_EQ(bits & 0xFFFF, 0U);
    const auto upper = static_cast<uint16_t>(bits >> 16);
    std::memcpy(raw, &upper, n);
  } else {
    CHECK(dtype == "F16");
    const uint16_t half = kernels::float_to_half(value);
    CHECK_EQ(kernels::half_to_float(half), value);
    std::memcpy(raw, &half, n);
  }
  bytes.append(raw, n);
}

constexpr int32_t kGroup = 32;

int exponent_of(int32_t cols) {
  return -(6 + (std::bit_width(static_cast<uint32_t>(cols - 1)) + 1) / 2);
}

class Numbers {
 public:
  Numbers(engine::WeightKind kind, const std::string& name, int32_t cols)
      : kind_(kind),
        cols_(cols),
        draw_(name),
        scale_(name + ".scale"),
        extreme_(name + ".extreme") {}

  float at(int32_t row, int32_t col) const {
    const int64_t i = int64_t{row} * cols_ + col;
    if (kind_ == engine::WeightKind::kFloat) {
      return static_cast<float>(96 + draw_.below(i, 64)) / 128;
    }
    if (kind_ == engine::WeightKind::kHalf) {
      const bool largest = col == row % cols_;
      return static_cast<float>(largest ? 127 : draw_.below(i, 255) - 127) / 128;
    }
    const int32_t n_groups = (cols_ + kGroup - 1) / kGroup;
    const int64_t group = int64_t{row} * n_groups + col / kGroup;
    const int32_t mantissa = 8 + scale_.below(group, 8);
    const bool extreme = col % kGroup == extreme_.below(group, 8);
    const int32_t integer = extreme ? -8 : draw_.below(i, 15) - 7;
    return std::ldexp(static_cast<float>(integer * mantissa), exponent_of(cols_));
  }

 private:
  engine::WeightKind kind_;
  int32_t cols_;
  Draw draw_, scale_, extreme_;
};

}  // namespace

std::vector<RawTensor> hashed_tensors(const engine::ModelConfig& config, const std::string& dtype) {
  const std::string suffix = ".weight";
  std::vector<RawTensor> tensors;
  for (const auto& section : engine::weight_sections(config, engine::HeadFormat::kF16)) {
    for (const engine::WeightPart& part : section.parts) {
      std::string name = part.tensor;
      if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
      const Numbers numbers(section.kind, name, section.cols);
      RawTensor tensor{name + suffix, dtype, {part.rows, section.cols}, {}};
      if (section.kind == engine::WeightKind::kFloat) tensor.shape.pop_back();
      for (int32_t row = 0; row < part.rows; ++row) {
        for (int32_t col = 0; col < section.cols; ++col) {
          append_number(tensor.bytes, dtype, numbers.at(row, col));
        }
      }
      tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

}  // namespace incipit::test
