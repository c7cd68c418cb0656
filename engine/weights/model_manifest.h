// What `incipit model add` writes beside the packed weights: incipit.json. Its presence is what
// tells an added model (packed weights and copies of the small files) from a checkpoint. Any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/quantize/quantize_report.h"

namespace incipit::engine {

inline constexpr const char* kManifestName = "incipit.json";
inline constexpr const char* kAddedWeightsName = "model.weights";
// What `incipit` runs with; another head is a matter of tests and benches.
inline constexpr HeadFormat kAddedHead = HeadFormat::kInt8;

struct ModelManifest {
  std::string source;      // absolute path of what was added
  std::string format;      // of the source: "GPTQ INT4 in groups of 128, zero points ..."
  std::string conversion;  // "exact", or what was re-quantised and the error of that
  int64_t source_bytes = 0;
  int64_t packed_bytes = 0;
  uint64_t weights_fingerprint = 0;  // the packed file's PackedIdentity::source_fingerprint
  uint64_t source_fingerprint = 0;   // of everything that was read, the small files included
  uint64_t checksum = 0;             // of the packed file's header, which has those of its sections
  QuantizeReport quantization = {};  // with an empty recipe where there was nothing to choose

  bool operator==(const ModelManifest&) const = default;
};

std::string manifest_json(const ModelManifest& manifest);
Result<ModelManifest> parse_manifest(std::string_view json, const std::string& where);

// Nothing when the directory has no manifest: a checkpoint, or not a model at all.
Result<std::optional<ModelManifest>> read_manifest(const std::filesystem::path& model_dir);

}  // namespace incipit::engine
