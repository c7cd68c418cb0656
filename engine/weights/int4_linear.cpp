#include "engine/weights/int4_linear.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "engine/weights/float_tensor.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

using Format = QuantConfig::Format;
using Zeros = QuantConfig::Zeros;

constexpr int32_t kNibbles = 8;  // in a word
constexpr std::array<TensorType, 1> kWordTypes = {TensorType::kI32};
constexpr std::array<TensorType, 2> kIndexTypes = {TensorType::kI32, TensorType::kI64};
// AutoAWQ's interleaving: the nibble that holds output 8c + i.
constexpr std::array<int32_t, kNibbles> kAwqNibble = {0, 4, 1, 5, 2, 6, 3, 7};

uint32_t word_at(const Tensor& tensor, int64_t i) {
  uint32_t word = 0;
  std::memcpy(&word, tensor.data.data() + i * 4, sizeof(word));
  return word;
}

int32_t nibble(uint32_t word, int32_t j) {
  return static_cast<int32_t>(word >> (4 * j)) & 15;
}

// Nibble j of a word becomes byte j.
uint64_t nibbles_to_bytes(uint32_t word) {
  uint64_t x = word;
  x = (x | (x << 16)) & 0x0000ffff0000ffffULL;
  x = (x | (x << 8)) & 0x00ff00ff00ff00ffULL;
  return (x | (x << 4)) & 0x0f0f0f0f0f0f0f0fULL;
}

// The suffixes and shapes of one format, as in the table of the header.
struct FormatNames {
  const char* quants;
  const char* zeros;
  const char* scales;
  const char* groups;  // nullptr: no such tensor
};

FormatNames names_of(Format format) {
  if (format == Format::kCompressed) {
    return {".weight_packed", ".weight_zero_point", ".weight_scale", ".weight_g_idx"};
  }
  return {".qweight", ".qzeros", ".scales", format == Format::kGptq ? ".g_idx" : nullptr};
}

using Shape = std::array<int64_t, 2>;

Shape quants_shape(const Int4Linear& linear) {
  const int64_t rows = linear.rows, cols = linear.cols;
  if (linear.config.format == Format::kAwq) return {cols, rows / kNibbles};
  if (linear.config.format == Format::kCompressed) return {rows, cols / kNibbles};
  return {cols / kNibbles, rows};
}

Shape zeros_shape(const Int4Linear& linear) {
  const int64_t rows = linear.rows;
  if (linear.config.format == Format::kCompressed) return {rows / kNibbles, linear.n_groups()};
  return {linear.n_groups(), rows / kNibbles};
}

Shape scales_shape(const Int4Linear& linear) {
  if (linear.config.format == Format::kCompressed) return {linear.rows, linear.n_groups()};
  return {linear.n_groups(), linear.rows};
}

int64_t index_at(const Tensor& tensor, int64_t i) {
  if (tensor.type == TensorType::kI32) return static_cast<int32_t>(word_at(tensor, i));
  int64_t index = 0;
  std::memcpy(&index, tensor.data.data() + i * 8, sizeof(index));
  return index;
}

// Fills group_of, unless every input is in group k / group: what counts is the tensor, not the
// desc_act flag.
Result<void> read_groups(const Checkpoint& checkpoint, const char* suffix, Int4Linear& linear) {
  const std::string name = linear.name + suffix;
  if (checkpoint.find(name) == nullptr) {
    if (!linear.config.desc_act) return {};
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: {}: want the group of each input, found desc_act = true and no "
                             "such tensor",
                             checkpoint.where(name), name)};
  }
  const std::array<int64_t, 1> shape = {linear.cols};
  ASSIGN_OR_RETURN(const Tensor* g_idx, checkpoint.require(name, shape, kIndexTypes));
  bool in_order = true;
  std::vector<int32_t> group_of;
  for (int32_t k = 0; k < linear.cols; ++k) {
    const int64_t found = index_at(*g_idx, k);
    if (found < 0 || found >= linear.n_groups()) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: {}: element {}: want a group in 0..{}, found {}",
                               checkpoint.where(name), name, k, linear.n_groups() - 1, found)};
    }
    in_order = in_order && found == k / linear.group();
    group_of.push_back(static_cast<int32_t>(found));
  }
  if (!in_order) linear.group_of = std::move(group_of);
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

void import_input_words(const Int4Linear& linear, int32_t begin, int32_t end, uint8_t* q) {
  const int64_t word_cols = linear.cols / kNibbles;
  if (linear.config.format == Format::kCompressed) {
    for (int64_t i = begin * word_cols; i < end * word_cols; ++i) {
      const uint64_t bytes = nibbles_to_bytes(word_at(*linear.quants, i));
      std::memcpy(q + (i - begin * word_cols) * kNibbles, &bytes, sizeof(bytes));
    }
    return;
  }
  for (int64_t r = 0; r < word_cols; ++r) {
    for (int32_t n = begin; n < end; ++n) {
      const uint64_t bytes = nibbles_to_bytes(word_at(*linear.quants, r * linear.rows + n));
      std::memcpy(q + int64_t{n - begin} * linear.cols + r * kNibbles, &bytes, sizeof(bytes));
    }
  }
}

void import_output_words(const Int4Linear& linear, int32_t begin, int32_t end, uint8_t* q) {
  const int64_t word_rows = linear.rows / kNibbles;
  for (int64_t k = 0; k < linear.cols; ++k) {
    for (int32_t n = begin; n < end; ++n) {
      const uint32_t word = word_at(*linear.quants, k * word_rows + n / kNibbles);
      q[int64_t{n - begin} * linear.cols + k] =
          static_cast<uint8_t>(nibble(word, kAwqNibble[static_cast<size_t>(n % kNibbles)]));
    }
  }
}

// Rows begin .. end-1 of the integers, [end - begin, cols], in the order of the checkpoint.
void import_integers(const Int4Linear& linear, int32_t begin, int32_t end, uint8_t* q) {
  if (linear.config.format == Format::kAwq) {
    import_output_words(linear, begin, end, q);
  } else {
    import_input_words(linear, begin, end, q);
  }
}

// Sixteen rows at a time: one cache line of each row of words that holds several outputs, read
// once. Each time use(first, last).
template <class Use>
void for_each_block(int32_t begin, int32_t end, const Use& use) {
  constexpr int32_t kBlock = 16;
  for (int32_t first = begin; first < end; first += kBlock)
    use(first, std::min(first + kBlock, end));
}

// The same with the integers of each row in turn: use(n, q).
template <class Use>
void for_each_row(const Int4Linear& linear, int32_t begin, int32_t end, const Use& use) {
  std::vector<uint8_t> q;
  for_each_block(begin, end, [&](int32_t first, int32_t last) {
    q.resize(static_cast<size_t>(last - first) * static_cast<size_t>(linear.cols));
    import_integers(linear, first, last, q.data());
    for (int32_t n = first; n < last; ++n) use(n, q.data() + int64_t{n - first} * linear.cols);
  });
}

// The scales and zeros of row n.
void import_groups(const Int4Linear& linear, int32_t n, const Int4Rows& out) {
  for (int32_t g = 0; g < out.shape.n_groups(); ++g) {
    const int32_t source = g * out.shape.group / linear.group();
    const int64_t i = int64_t{n} * out.shape.n_groups() + g;
    out.scales[i] = kernels::float_to_half(scale_of(linear, source, n));
    if (out.zeros != nullptr) out.zeros[i] = static_cast<uint8_t>(zero_of(linear, source, n));
  }
}

}  // namespace

std::string quants_name(const std::string& name, const QuantConfig& config) {
  return name + names_of(config.format).quants;
}

Result<Int4Linear> find_int4_linear(const Checkpoint& checkpoint, const std::string& name,
                                    int32_t rows, int32_t cols, const QuantConfig& config) {
  CHECK_EQ(rows % kNibbles, 0);
  CHECK_EQ(cols % kNibbles, 0);
  Int4Linear linear;
  linear.name = name;
  linear.rows = rows;
  linear.cols = cols;
  linear.config = config;
  const FormatNames suffix = names_of(config.format);
  ASSIGN_OR_RETURN(linear.quants,
                   checkpoint.require(name + suffix.quants, quants_shape(linear), kWordTypes));
  if (config.zeros != Zeros::kNone) {
    ASSIGN_OR_RETURN(linear.zeros,
                     checkpoint.require(name + suffix.zeros, zeros_shape(linear), kWordTypes));
  }
  ASSIGN_OR_RETURN(linear.scales,
                   checkpoint.require(name + suffix.scales, scales_shape(linear), kFloatTypes));
  TRY(check_scales(checkpoint, *linear.scales));
  if (suffix.groups != nullptr) TRY(read_groups(checkpoint, suffix.groups, linear));
  TRY(check_no_bias(checkpoint, name, rows));
  return linear;
}

int32_t zero_of(const Int4Linear& linear, int32_t g, int32_t n) {
  if (linear.zeros == nullptr) return kernels::kSymmetricZero;
  const int64_t word_rows = linear.rows / kNibbles;
  if (linear.config.format == Format::kCompressed) {
    return nibble(word_at(*linear.zeros, int64_t{n / kNibbles} * linear.n_groups() + g),
                  n % kNibbles);
  }
  const uint32_t word = word_at(*linear.zeros, g * word_rows + n / kNibbles);
  if (linear.config.format == Format::kAwq) {
    return nibble(word, kAwqNibble[static_cast<size_t>(n % kNibbles)]);
  }
  // Nibble by nibble: adding 0x11111111 to the word would carry out of a 15.
  return nibble(word, n % kNibbles) + (linear.config.zeros == Zeros::kStoredLessOne ? 1 : 0);
}

float scale_of(const Int4Linear& linear, int32_t g, int32_t n) {
  const bool by_rows = linear.config.format == Format::kCompressed;
  return float_at(*linear.scales,
                  by_rows ? int64_t{n} * linear.n_groups() + g : int64_t{g} * linear.rows + n);
}

bool is_symmetric(const Int4Linear& linear) {
  if (linear.zeros == nullptr) return true;
  const uint32_t middle = linear.config.zeros == Zeros::kStoredLessOne ? 0x77777777U : 0x88888888U;
  for (int64_t i = 0; i < linear.zeros->n_elements(); ++i) {
    if (word_at(*linear.zeros, i) != middle) return false;
  }
  return true;
}

bool has_ambiguous_zeros(const Int4Linear& linear) {
  if (linear.zeros == nullptr || linear.config.zeros != Zeros::kStoredLessOne) return false;
  for (int32_t g = 0; g < linear.n_groups(); ++g) {
    for (int32_t n = 0; n < linear.rows; ++n) {
      if (zero_of(linear, g, n) == 16) return true;
    }
  }
  return false;
}

std::optional<std::vector<int32_t>> grouped_order(const Int4Linear& linear) {
  CHECK(!linear.group_of.empty());
  std::vector<int32_t> order(linear.group_of.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return linear.group_of[static_cast<size_t>(a)] < linear.group_of[static_cast<size_t>(b)];
  });
  for (size_t p = 0; p < order.size(); ++p) {
    const int32_t group = linear.group_of[static_cast<size_t>(order[p])];
    if (group != static_cast<int32_t>(p) / linear.group()) return std::nullopt;
  }
  return order;
}

void import_rows(const Int4Linear& linear, std::span<const int32_t> order, int32_t begin,
                 int32_t end, const Int4Rows& out) {
  if (order.empty()) {
    for_each_block(begin, end, [&](int32_t first, int32_t last) {
      import_integers(linear, first, last, out.q + int64_t{first} * linear.cols);
    });
  } else {
    for_each_row(linear, begin, end, [&](int32_t n, const uint8_t* q) {
      uint8_t* to = out.q + int64_t{n} * linear.cols;
      for (size_t p = 0; p < order.size(); ++p) to[p] = q[order[p]];
    });
  }
  for (int32_t n = begin; n < end; ++n) import_groups(linear, n, out);
}

void dequantise_rows(const Int4Linear& linear, int32_t begin, int32_t end, float* out) {
  const auto n_groups = static_cast<size_t>(linear.n_groups());
  std::vector<float> scales(n_groups);
  std::vector<float> zeros(n_groups);
  for_each_row(linear, begin, end, [&](int32_t n, const uint8_t* q) {
    for (size_t g = 0; g < n_groups; ++g) {
      scales[g] = scale_of(linear, static_cast<int32_t>(g), n);
      zeros[g] = static_cast<float>(zero_of(linear, static_cast<int32_t>(g), n));
    }
    float* row = out + int64_t{n - begin} * linear.cols;
    for (int32_t k = 0; k < linear.cols; ++k) {
      const auto g = static_cast<size_t>(
          linear.group_of.empty() ? k / linear.group() : linear.group_of[static_cast<size_t>(k)]);
      row[k] = (static_cast<float>(q[k]) - zeros[g]) * scales[g];
    }
  });
}

}  // namespace incipit::engine
