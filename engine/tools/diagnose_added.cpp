#include <fmt/core.h>

#include "engine/tools/diagnose_internal.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_cache.h"

namespace incipit::engine {
namespace {

Result<int64_t> check_added(const std::filesystem::path& weights, const ModelConfig& config,
                            const ModelManifest& manifest) {
  const std::string where = weights.string();
  ASSIGN_OR_RETURN(const PackedFile file, open_packed_file(weights));
  TRY(check_identity(file, added_identity(config, kAddedHead, manifest.weights_fingerprint),
                     where));
  const auto bound = bind_weights(config, kAddedHead, file.image, where);
  if (!bound.ok()) return bound.error();
  TRY(verify_sections(file.image, where));
  return static_cast<int64_t>(file.image.bytes.size());
}

}  // namespace

int64_t diagnose_added(const std::filesystem::path& dir, const ModelConfig& config,
                       const ModelManifest& manifest, std::vector<Finding>& findings) {
  const std::filesystem::path weights = dir / kAddedWeightsName;
  const auto size = check_added(weights, config, manifest);
  if (!size.ok()) {
    findings.push_back({Severity::kProblem, "model", size.error().message,
                        fmt::format("incipit model add {} --name {} makes it anew", manifest.source,
                                    dir.filename().string())});
    return -1;
  }
  findings.push_back(
      {Severity::kOk, "model",
       fmt::format("added from {} ({}), {}", manifest.source, manifest.format, manifest.conversion),
       ""});
  findings.push_back({Severity::kOk, "packed weights",
                      fmt::format("{}: {}, every checksum holds", weights.string(), in_mib(*size)),
                      ""});
  return *size;
}

}  // namespace incipit::engine
