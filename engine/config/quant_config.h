// How the linears of a checkpoint are stored: quantization_config of config.json, or
// quantize_config.json beside it, or neither.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

inline constexpr int32_t kWholeColumn = -1;

struct QuantConfig {
  enum class Format {
    kDense,       // F32, F16 or BF16: no quantization_config
    kGptq,        // AutoGPTQ, GPTQModel
    kAwq,         // AutoAWQ, version "gemm"
    kCompressed,  // compressed-tensors, format "pack-quantized"
    kGguf         // each tensor has its own type
  };
  enum class Zeros {
    kStoredLessOne,  // "gptq" (v1, AutoGPTQ)
    kStored,         // "gptq_v2", AWQ, asymmetric compressed-tensors
    kNone            // symmetric compressed-tensors: every zero is 8
  };

  Format format = Format::kGptq;
  int32_t group = 128;  // 32, 64, 128 or kWholeColumn; of no meaning when dense
  Zeros zeros = Zeros::kStoredLessOne;
  bool desc_act = false;  // what the file claims; the g_idx tensors are what counts

  bool operator==(const QuantConfig&) const = default;
};

// "GPTQ INT4 in groups of 128, zero points stored less one (v1)".
std::string describe(const QuantConfig& config);

// A quantize_config.json, or the object of that meaning in a config.json. What this program cannot
// read is kUnsupported, naming file, key, wanted and found.
Result<QuantConfig> parse_quant_config(std::string_view json, const std::string& where);

// config.json's quantization_config when it is there, else quantize_config.json, else dense.
Result<QuantConfig> load_quant_config(const std::filesystem::path& model_dir);

}  // namespace incipit::engine
