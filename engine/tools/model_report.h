// What is known of each model on this machine: `incipit model list` and `show`. Reads small files
// and headers only, so it takes milliseconds. Main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/quantize/quantize_report.h"

namespace incipit::engine {

// Weights, and keys and values of one sequence of that many tokens.
struct ExpectedMemory {
  int32_t context_tokens = 0;
  int64_t bytes = 0;
  bool beyond_training = false;  // longer than the model was trained for
};

struct ModelReport {
  std::string name;
  std::string directory;
  bool is_default = false;
  bool is_added = false;  // by `incipit model add`; otherwise a checkpoint that is packed when used
  std::string problem;    // why it cannot be used; then only what is above counts
  ModelConfig config;
  int64_t n_parameters = 0;
  std::string source;           // of an added model: where it came from
  std::string format;           // "GPTQ INT4 in groups of 128, ..."
  std::string conversion;       // of an added model: "exact", or the error
  QuantizeReport quantization;  // of an added model; recipe empty: there was nothing to choose
  int64_t source_bytes = 0;
  int64_t packed_bytes = 0;
  std::string checksum;                // of an added model: 16 hexadecimal digits
  std::string notice;                  // that the licence wants shown; may be empty
  std::vector<ExpectedMemory> memory;  // at 8192 and 16384 tokens
};

// The model of a name, of a directory, or (empty) the default one.
Result<ModelReport> report_model(const std::string& name_or_dir);

// Every model that has a name, those with a problem included.
std::vector<ModelReport> report_models();

}  // namespace incipit::engine
