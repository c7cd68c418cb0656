// How a GPTQ checkpoint is quantised: quantization_config of config.json, or quantize_config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

inline constexpr int32_t kWholeColumn = -1;

struct GptqConfig {
  enum class Zeros { kStoredLessOne, kStored };  // "gptq" (v1, AutoGPTQ) and "gptq_v2"

  int32_t group = 128;  // 32, 64, 128 or kWholeColumn
  Zeros zeros = Zeros::kStoredLessOne;
  bool desc_act = false;  // what the file claims; the g_idx tensors are what counts

  bool operator==(const GptqConfig&) const = default;
};

// "GPTQ INT4 in groups of 128, zero points stored less one (v1)".
std::string describe(const GptqConfig& config);

// A quantize_config.json. Anything but 4 bit GPTQ with a group this program can run is
// kUnsupported, naming file, key, wanted and found.
Result<GptqConfig> parse_gptq_config(std::string_view json, const std::string& where);

// config.json's quantization_config when it is there, quantize_config.json otherwise.
Result<GptqConfig> load_gptq_config(const std::filesystem::path& model_dir);

}  // namespace incipit::engine
