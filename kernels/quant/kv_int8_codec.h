// INT8 keys and values on the host: slow and obvious, through the layout's own functions. Tests
// compare the CUDA backend with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/quant/kv_int8_layout.h"

namespace incipit::kernels {

enum class KvPart { kKeys, kValues };

// The block of one KV head in a page.
struct KvInt8Block {
  KvPart part = KvPart::kKeys;
  int32_t head_dim = 0;
  std::byte* data = nullptr;  // [KvInt8Layout::head_bytes(head_dim)]
};

// Puts a token's head_dim values there: q = round to nearest even of value * (127 / absmax).
void quantize_token(const KvInt8Block& block, int32_t token, std::span<const float> values);

// What the block says.
int32_t quantized_value(const KvInt8Block& block, int32_t token, int32_t d);  // q
double scale_of(const KvInt8Block& block, int32_t token);
double value_of(const KvInt8Block& block, int32_t token, int32_t d);  // q * scale

}  // namespace incipit::kernels
