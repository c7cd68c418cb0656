// What `incipit model add` does with the linears of a source: keep their integers, round them to
// nearest, or quantise them by GPTQ, and with which text. Main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/quantize/calibration_text.h"
#include "engine/quantize/model_quantizer.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/quantize_device.h"
#include "engine/weights/pack_checkpoint.h"

namespace incipit::engine {

enum class QuantizeMethod {
  kAuto,  // GPTQ for full precision where this machine can do it in acceptable time, else kRtn
  kGptq,
  kRtn
};

struct QuantizeOptions {
  QuantizeMethod method = QuantizeMethod::kAuto;
  std::vector<std::filesystem::path> calibration;  // empty: the text that comes with the program
  bool measure = false;                            // what rounding to nearest costs, too
  CalibrationSizes sizes;
  std::string device = "auto";  // of the arithmetic, see parse_device()
};

struct QuantizeChoice {
  bool walks = false;  // through a ModelQuantizer; otherwise sections are packed as they come
  QuantizeInputs inputs;
  QuantizeDevice device;  // of the walk
  std::string recipe;     // QuantizeReport's; empty: nothing to choose
  std::string note;       // why kAuto did not take GPTQ; may be empty
  // The user has no wish of their own: whatever was made of the same source before does.
  bool takes_any = false;
};

// Linears with more weights than this take a CPU hours; kAuto leaves them to a CUDA device or to
// the user.
inline constexpr int64_t kMostWeightsOnCpu = 1500000000;

// kInvalidArgument where the source is quantised already and GPTQ or rounding was asked for, where
// the text is too short; where the memory would not do, kOutOfMemory; where the device that was
// asked for cannot be used, its error.
Result<QuantizeChoice> choose_quantizing(const QuantizeOptions& options,
                                         const OpenedCheckpoint& opened,
                                         const Tokenizer& tokenizer);

}  // namespace incipit::engine
