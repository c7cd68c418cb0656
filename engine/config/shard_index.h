// model.safetensors.index.json: which file holds which tensor of a sharded checkpoint.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

// Tensor name to file name. A file name is a plain name: an index cannot point outside its
// directory.
Result<std::map<std::string, std::string>> parse_shard_index(std::string_view json,
                                                             const std::string& where);

}  // namespace incipit::engine
