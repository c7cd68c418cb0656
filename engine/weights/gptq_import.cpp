#include "engine/weights/gptq_import.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/weights/float_tensor.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/common/math.h"

namespace incipit::engine {
namespace {

constexpr int32_t kNibbles = 8;        // in a word
constexpr int32_t kColumnGroup = 128;  // what a whole-column scale is repeated for
constexpr std::array<TensorType, 1> kWordTypes = {TensorType::kI32};
constexpr std::array<TensorType, 2> kIndexTypes = {TensorType::kI32, TensorType::kI64};

uint32_t word_at(const Tensor& tensor, int64_t i) {
  uint32_t word = 0;
  std::memcpy(&word, tensor.data.data() + i * 4, sizeof(word));
  return word;
}

int32_t source_group(const GptqConfig& config, int32_t cols) {
  return config.group == kWholeColumn ? cols : config.group;
}

// Nibble j of a word becomes byte j.
uint64_t nibbles_to_bytes(uint32_t word) {
  uint64_t x = word;
  x = (x | (x << 16)) & 0x0000ffff0000ffffULL;
  x = (x | (x << 8)) & 0x00ff00ff00ff00ffULL;
  return (x | (x << 4)) & 0x0f0f0f0f0f0f0f0fULL;
}

// The zero of output n in source group g, 0..16.
uint8_t zero_at(const GptqLinear& linear, int32_t g, int32_t n) {
  const uint32_t word =
      word_at(*linear.qzeros, int64_t{g} * (linear.rows / kNibbles) + n / kNibbles);
  const uint32_t stored = (word >> (4 * (n % kNibbles))) & 15U;
  const bool less_one = linear.config.zeros == GptqConfig::Zeros::kStoredLessOne;
  return static_cast<uint8_t>(stored + (less_one ? 1 : 0));
}

int64_t index_at(const Tensor& tensor, int64_t i) {
  if (tensor.type == TensorType::kI32) return static_cast<int32_t>(word_at(tensor, i));
  int64_t index = 0;
  std::memcpy(&index, tensor.data.data() + i * 8, sizeof(index));
  return index;
}

Result<void> check_group_index(const Checkpoint& checkpoint, const GptqLinear& linear) {
  const std::string name = linear.name + ".g_idx";
  if (checkpoint.find(name) == nullptr) {
    if (!linear.config.desc_act) return {};
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: {}: want inputs in the order of their groups, found desc_act = "
                             "true and no such tensor to show the order",
                             checkpoint.where(name), name)};
  }
  const std::array<int64_t, 1> shape = {linear.cols};
  ASSIGN_OR_RETURN(const Tensor* g_idx, checkpoint.require(name, shape, kIndexTypes));
  const int32_t group = source_group(linear.config, linear.cols);
  for (int32_t k = 0; k < linear.cols; ++k) {
    const int64_t found = index_at(*g_idx, k);
    if (found == k / group) continue;
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: {}: element {}: want {} (inputs in the order of their groups; "
                             "desc_act is not supported), found {}",
                             checkpoint.where(name), name, k, k / group, found)};
  }
  return {};
}

Result<void> check_scales(const Checkpoint& checkpoint, const Tensor& scales) {
  for (int64_t i = 0; i < scales.n_elements(); ++i) {
    const float scale = float_at(scales, i);
    const uint16_t half = kernels::float_to_half(scale);
    if (std::isfinite(scale) && std::isfinite(kernels::half_to_float(half))) continue;
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: {}: element {}: want a number that fp16 can hold, found {}",
                             checkpoint.where(scales.name), scales.name, i, scale)};
  }
  return {};
}

// Some quantisers write a bias of zeros for layers that have none.
Result<void> check_no_bias(const Checkpoint& checkpoint, const GptqLinear& linear) {
  const std::string name = linear.name + ".bias";
  if (checkpoint.find(name) == nullptr) return {};
  const std::array<int64_t, 1> shape = {linear.rows};
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

// The common mistakes have one line each: an unquantised linear, and a group size other than said.
Error explain_missing(const Checkpoint& checkpoint, const std::string& name, const Error& error) {
  const Tensor* plain = checkpoint.find(name + ".weight");
  if (checkpoint.find(name + ".qweight") != nullptr || plain == nullptr) return error;
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("{}: {}.qweight: want a GPTQ INT4 linear, found an unquantised {}.weight "
                  "({} {})",
                  checkpoint.where(plain->name), name, name, name_of(plain->type),
                  describe_shape(plain->shape))};
}

void import_quants(const GptqLinear& linear, int32_t begin, int32_t end, uint8_t* q) {
  // Sixteen outputs at a time: one cache line of each word row, read once.
  constexpr int32_t kBlock = 16;
  const int32_t word_rows = linear.cols / kNibbles;
  for (int32_t first = begin; first < end; first += kBlock) {
    const int32_t last = std::min(first + kBlock, end);
    for (int32_t r = 0; r < word_rows; ++r) {
      for (int32_t n = first; n < last; ++n) {
        const uint64_t bytes =
            nibbles_to_bytes(word_at(*linear.qweight, int64_t{r} * linear.rows + n));
        std::memcpy(q + int64_t{n} * linear.cols + int64_t{r} * kNibbles, &bytes, sizeof(bytes));
      }
    }
  }
}

void import_groups(const GptqLinear& linear, const kernels::Int4Shape& shape, int32_t begin,
                   int32_t end, uint16_t* scales, uint8_t* zeros) {
  const bool whole = linear.config.group == kWholeColumn;
  for (int32_t n = begin; n < end; ++n) {
    for (int32_t g = 0; g < shape.n_groups(); ++g) {
      const int32_t source = whole ? 0 : g;
      const int64_t i = int64_t{n} * shape.n_groups() + g;
      scales[i] =
          kernels::float_to_half(float_at(*linear.scales, int64_t{source} * linear.rows + n));
      if (shape.has_zeros) zeros[i] = zero_at(linear, source, n);
    }
  }
}

}  // namespace

int32_t GptqLinear::n_source_groups() const {
  return static_cast<int32_t>(kernels::ceil_div(cols, source_group(config, cols)));
}

Result<GptqLinear> find_gptq_linear(const Checkpoint& checkpoint, const std::string& name,
                                    int32_t rows, int32_t cols, const GptqConfig& config) {
  CHECK_EQ(rows % kNibbles, 0);
  CHECK_EQ(cols % kNibbles, 0);
  GptqLinear linear{name, rows, cols, config, nullptr, nullptr, nullptr};
  const std::array<int64_t, 2> qweight_shape = {cols / kNibbles, rows};
  const std::array<int64_t, 2> qzeros_shape = {linear.n_source_groups(), rows / kNibbles};
  const std::array<int64_t, 2> scales_shape = {linear.n_source_groups(), rows};
  const auto qweight = checkpoint.require(name + ".qweight", qweight_shape, kWordTypes);
  if (!qweight.ok()) return explain_missing(checkpoint, name, qweight.error());
  linear.qweight = *qweight;
  ASSIGN_OR_RETURN(linear.qzeros, checkpoint.require(name + ".qzeros", qzeros_shape, kWordTypes));
  ASSIGN_OR_RETURN(linear.scales, checkpoint.require(name + ".scales", scales_shape, kFloatTypes));
  TRY(check_scales(checkpoint, *linear.scales));
  TRY(check_group_index(checkpoint, linear));
  TRY(check_no_bias(checkpoint, linear));
  return linear;
}

bool is_symmetric(const GptqLinear& linear) {
  const bool less_one = linear.config.zeros == GptqConfig::Zeros::kStoredLessOne;
  const uint32_t middle = less_one ? 0x77777777U : 0x88888888U;
  for (int64_t i = 0; i < linear.qzeros->n_elements(); ++i) {
    if (word_at(*linear.qzeros, i) != middle) return false;
  }
  return true;
}

bool has_ambiguous_zeros(const GptqLinear& linear) {
  if (linear.config.zeros != GptqConfig::Zeros::kStoredLessOne) return false;
  for (int32_t g = 0; g < linear.n_source_groups(); ++g) {
    for (int32_t n = 0; n < linear.rows; ++n) {
      if (zero_at(linear, g, n) == 16) return true;
    }
  }
  return false;
}

kernels::Int4Shape imported_shape(std::span<const GptqLinear> parts) {
  CHECK(!parts.empty());
  kernels::Int4Shape shape;
  shape.cols = parts[0].cols;
  shape.group = parts[0].config.group == kWholeColumn ? kColumnGroup : parts[0].config.group;
  for (const GptqLinear& part : parts) {
    CHECK_EQ(part.cols, shape.cols);
    CHECK_EQ(part.config.group, parts[0].config.group);
    shape.rows += part.rows;
    shape.has_zeros = shape.has_zeros || !is_symmetric(part);
  }
  return shape;
}

kernels::Int4Matrix import_gptq(std::span<const GptqLinear> parts, kernels::ThreadPool* pool) {
  kernels::Int4Matrix matrix;
  matrix.shape = imported_shape(parts);
  const auto n_groups = static_cast<size_t>(int64_t{matrix.shape.rows} * matrix.shape.n_groups());
  matrix.q.resize(static_cast<size_t>(int64_t{matrix.shape.rows} * matrix.shape.cols));
  matrix.scales.resize(n_groups);
  if (matrix.shape.has_zeros) matrix.zeros.resize(n_groups);

  int64_t first_row = 0;
  for (const GptqLinear& part : parts) {
    const int64_t first_group = first_row * matrix.shape.n_groups();
    const auto import_rows = [&](int64_t begin, int64_t end) {
      const auto from = static_cast<int32_t>(begin);
      const auto to = static_cast<int32_t>(end);
      import_quants(part, from, to, matrix.q.data() + first_row * matrix.shape.cols);
      import_groups(part, matrix.shape, from, to, matrix.scales.data() + first_group,
                    matrix.shape.has_zeros ? matrix.zeros.data() + first_group : nullptr);
    };
    if (pool != nullptr) {
      pool->parallel_for(part.rows, 64, import_rows);
    } else {
      import_rows(0, part.rows);
    }
    first_row += part.rows;
  }
  return matrix;
}

}  // namespace incipit::engine
