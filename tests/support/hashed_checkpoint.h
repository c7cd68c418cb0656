// Weights that are a hash of their tensor's name and their number in it, so that two languages make
// the same ones without a file: tests/oracle/formats/hashed_numbers.py says which and why they are
// such that packing loses nothing.
#pragma once

#include <string>
#include <vector>

#include "engine/config/model_config.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::test {

// All tensors of a checkpoint in full precision; dtype: F16, BF16 or F32, each of which is exact.
std::vector<RawTensor> hashed_tensors(const engine::ModelConfig& config, const std::string& dtype);

}  // namespace incipit::test
