// diagnose(): what this machine and this model offer, and what to do about each problem. Called by
// `incipit doctor` on the main thread; it reads every byte of the model's files and of the packed
// weights, so it takes as long as the disk needs. Leaves everything as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/config/engine_options.h"

namespace incipit::engine {

enum class Severity {
  kOk,
  kNote,     // works, but worth knowing
  kProblem,  // something will not work, or not as it should
};
const char* name_of(Severity severity);  // "ok", "note", "problem"

struct Finding {
  Severity severity = Severity::kOk;
  std::string area;    // "cpu", "cuda", "memory", "model", "files", "packed weights", "tokenizer"
  std::string found;   // one line
  std::string advice;  // what to do; empty when there is nothing to do
};

struct DiagnoseOptions {
  EngineOptions engine;  // but for threads and batches, everything is looked at
};

// Always at least one finding for each area that could be looked at, in the order above.
std::vector<Finding> diagnose(const DiagnoseOptions& options);

}  // namespace incipit::engine
