// Where a model's packed weights lie, and what they must have been made from. Loading thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/base/result.h"
#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

// $XDG_CACHE_HOME/incipit or ~/.cache/incipit; kNotFound when the environment names neither.
Result<std::filesystem::path> default_cache_dir();

// One file for each (model directory, head format, layout): an edited model replaces its own.
Result<std::filesystem::path> packed_path(const std::filesystem::path& model_dir,
                                          const LoadOptions& options);

// What a packed file of this checkpoint must say of itself. The fingerprint covers each file's
// name, size, time of last change and safetensors header, and how it is quantised.
Result<PackedIdentity> packed_identity(const ModelConfig& config, HeadFormat head_format,
                                       const Checkpoint& checkpoint, const QuantConfig& quant);

// The same of weights that `incipit model add` made: the fingerprint is in their manifest.
PackedIdentity added_identity(const ModelConfig& config, HeadFormat head_format,
                              uint64_t weights_fingerprint);

// Up to this size the sections' checksums are verified at each start (it takes a few
// milliseconds); beyond, `incipit doctor` does it.
inline constexpr int64_t kVerifyAtStartBytes = int64_t{256} << 20;

// Opens, checks identity, verifies when small, binds. Any defect is an error that names file,
// section, wanted and found.
Result<Weights<kernels::CpuTile>> map_packed_weights(const std::filesystem::path& path,
                                                     const ModelConfig& config,
                                                     const PackedIdentity& identity);

}  // namespace incipit::engine
