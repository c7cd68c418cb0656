#include "engine/weights/model_manifest.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <system_error>

#include "engine/config/json_fields.h"

namespace incipit::engine {
namespace {

constexpr int64_t kManifestVersion = 1;

std::string hex(uint64_t number) {
  return fmt::format("{:016x}", number);
}

// JSON has no unsigned 64-bit integers that every reader keeps: hashes are 16 hexadecimal digits.
Result<uint64_t> read_hex(const JsonFields& fields, const char* key) {
  ASSIGN_OR_RETURN(const std::string text, fields.string_or(key, ""));
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  const bool whole = error == std::errc() && end == text.data() + text.size() && text.size() == 16;
  if (!whole) return fields.wanted(key, "16 hexadecimal digits", ErrorCode::kCorrupt);
  return number;
}

}  // namespace

std::string manifest_json(const ModelManifest& manifest) {
  const nlohmann::ordered_json json = {{"version", kManifestVersion},
                                       {"source", manifest.source},
                                       {"format", manifest.format},
                                       {"conversion", manifest.conversion},
                                       {"source_bytes", manifest.source_bytes},
                                       {"packed_bytes", manifest.packed_bytes},
                                       {"weights_fingerprint", hex(manifest.weights_fingerprint)},
                                       {"source_fingerprint", hex(manifest.source_fingerprint)},
                                       {"checksum", hex(manifest.checksum)}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<ModelManifest> parse_manifest(std::string_view json, const std::string& where) {
  constexpr int64_t kMaxBytes = std::numeric_limits<int64_t>::max();
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(json, where));
  const JsonFields fields(parsed, where);
  ASSIGN_OR_RETURN(const int64_t version, fields.integer("version", 0, kMaxBytes));
  if (version != kManifestVersion) {
    return fields.wanted("version", fmt::format("{}", kManifestVersion), ErrorCode::kUnsupported);
  }
  ModelManifest manifest;
  ASSIGN_OR_RETURN(manifest.source, fields.string_or("source", ""));
  ASSIGN_OR_RETURN(manifest.format, fields.string_or("format", ""));
  ASSIGN_OR_RETURN(manifest.conversion, fields.string_or("conversion", ""));
  ASSIGN_OR_RETURN(manifest.source_bytes, fields.integer("source_bytes", 0, kMaxBytes));
  ASSIGN_OR_RETURN(manifest.packed_bytes, fields.integer("packed_bytes", 0, kMaxBytes));
  ASSIGN_OR_RETURN(manifest.weights_fingerprint, read_hex(fields, "weights_fingerprint"));
  ASSIGN_OR_RETURN(manifest.source_fingerprint, read_hex(fields, "source_fingerprint"));
  ASSIGN_OR_RETURN(manifest.checksum, read_hex(fields, "checksum"));
  return manifest;
}

Result<std::optional<ModelManifest>> read_manifest(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / kManifestName;
  const auto text = read_text_file(path);
  if (!text.ok()) {
    if (text.error().code == ErrorCode::kNotFound) return std::optional<ModelManifest>();
    return text.error();
  }
  ASSIGN_OR_RETURN(ModelManifest manifest, parse_manifest(*text, path.string()));
  return std::optional<ModelManifest>(std::move(manifest));
}

}  // namespace incipit::engine
