// Weights<CpuTile> over the sections of a packed image, wherever its bytes are. Loading thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/config/model_config.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_names.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

// The packed description of one section: its size follows from kind and shape. `group` and
// `has_zeros` count for INT4 alone.
PackedSection packed_section(const WeightSection& section, int32_t group, bool has_zeros);

// Checks that the image has every section of the model with the right kind, shape and size, and
// points into it. Errors name `where`, section, wanted and found.
Result<Weights<kernels::CpuTile>> bind_weights(const ModelConfig& config, HeadFormat head_format,
                                               const PackedImage& image, const std::string& where);

}  // namespace incipit::engine
