// A model's weights as plain row-major files that any program reads without knowing our layouts:
// the input of compare.py. Used by oracle_model alone.
#pragma once

#include <cstdint>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"
#include "engine/weights/weights.h"

namespace incipit::oracle {

using PackedWeights = engine::Weights<kernels::CpuTile>;

// Random weights of that shape with an INT8 head, made such that mistakes show: norm weights differ
// from one, and attention is as uneven as a trained model's.
Result<PackedWeights> make_weights(const engine::ModelConfig& config, uint64_t seed);

// Writes one file (two where there are scales) for each matrix into `directory` and returns their
// list:
//   {"name": "layers.3.qkv", "kind": "int4", "rows": .., "cols": .., "group": 128,
//    "values": "layers.3.qkv.values", "scales": "layers.3.qkv.scales"}
// Little-endian, row-major. int4: two weights a byte, the even column in the low nibble, as
// q = 0..15 where 8 is zero; scales fp16 [rows, ceil(cols / group)]. int8: q = -127..127; scales
// float [rows]. half: fp16. float: fp32.
Result<nlohmann::json> write_plain_weights(const PackedWeights& weights,
                                           const std::filesystem::path& directory);

// What Hugging Face's config.json would say.
nlohmann::json config_json(const engine::ModelConfig& config);

}  // namespace incipit::oracle
