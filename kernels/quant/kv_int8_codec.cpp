#include "kernels/quant/kv_int8_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/common/check.h"

namespace incipit::kernels {

namespace {

int64_t byte_of(const KvInt8Block& block, int32_t token, int32_t d) {
  return block.part == KvPart::kKeys ? KvInt8Layout::key_byte(block.head_dim, token, d)
                                     : KvInt8Layout::value_byte(block.head_dim, token, d);
}

}  // namespace

void quantize_token(const KvInt8Block& block, int32_t token, std::span<const float> values) {
  CHECK_EQ(values.size(), static_cast<size_t>(block.head_dim));
  float absmax = KvInt8Layout::kLeastAbsmax;
  for (const float value : values) absmax = std::max(absmax, std::fabs(value));
  const float inverse = KvInt8Layout::kLargest / absmax;
  for (int32_t d = 0; d < block.head_dim; ++d) {
    const float q = std::nearbyint(values[static_cast<size_t>(d)] * inverse);
    block.data[byte_of(block, token, d)] =
        static_cast<std::byte>(static_cast<int32_t>(q) + KvInt8Layout::kBias);
  }
  float stored = absmax / KvInt8Layout::kLargest;
  if (block.part == KvPart::kValues) stored = std::log2(stored);
  std::memcpy(block.data + KvInt8Layout::scale_byte(block.head_dim, token), &stored,
              sizeof(stored));
}

int32_t quantized_value(const KvInt8Block& block, int32_t token, int32_t d) {
  return static_cast<int32_t>(block.data[byte_of(block, token, d)]) - KvInt8Layout::kBias;
}

double scale_of(const KvInt8Block& block, int32_t token) {
  float stored = 0;
  std::memcpy(&stored, block.data + KvInt8Layout::scale_byte(block.head_dim, token),
              sizeof(stored));
  return block.part == KvPart::kKeys ? double{stored} : std::exp2(double{stored});
}

double value_of(const KvInt8Block& block, int32_t token, int32_t d) {
  return quantized_value(block, token, d) * scale_of(block, token);
}

}  // namespace incipit::kernels
