#include "engine/weights/model_manifest.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

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

using OrderedJson = nlohmann::ordered_json;

OrderedJson quantization_json(const QuantizeReport& report) {
  OrderedJson json = {{"recipe", report.recipe}};
  if (report.quality.n_tokens > 0) {
    json["quality"] = {{"tokens", report.quality.n_tokens},
                       {"kl_divergence", report.quality.kl_divergence},
                       {"top1_agreement", report.quality.top1_agreement},
                       {"loss_full", report.quality.loss_full},
                       {"loss_quantized", report.quality.loss_quantised}};
  }
  for (const SectionLoss& section : report.sections) {
    json["sections"].push_back({{"name", section.name},
                                {"output_error", section.output_error},
                                {"damping", section.damping}});
  }
  for (const LayerLoss& layer : report.layers) json["layers"].push_back(layer.hidden_error);
  return json;
}

Result<QuantizeQuality> parse_quality(const nlohmann::json& json, const std::string& where) {
  constexpr double kMost = std::numeric_limits<double>::max();
  const JsonFields fields(json, where, "quantization.quality.");
  QuantizeQuality quality;
  ASSIGN_OR_RETURN(quality.n_tokens,
                   fields.integer("tokens", 1, std::numeric_limits<int64_t>::max()));
  ASSIGN_OR_RETURN(quality.kl_divergence, fields.number("kl_divergence", -kMost, kMost));
  ASSIGN_OR_RETURN(quality.top1_agreement, fields.number("top1_agreement", 0, 1));
  ASSIGN_OR_RETURN(quality.loss_full, fields.number("loss_full", -kMost, kMost));
  ASSIGN_OR_RETURN(quality.loss_quantised, fields.number("loss_quantized", -kMost, kMost));
  return quality;
}

// Elements of a list of that key; none where there is no list.
const nlohmann::json& list_or_empty(const nlohmann::json& json, const char* key) {
  static const nlohmann::json kEmpty = nlohmann::json::array();
  const auto it = json.find(key);
  return it == json.end() || !it->is_array() ? kEmpty : *it;
}

Result<QuantizeReport> parse_quantization(const nlohmann::json& json, const std::string& where) {
  constexpr double kMost = std::numeric_limits<double>::max();
  const JsonFields fields(json, where, "quantization.");
  QuantizeReport report;
  ASSIGN_OR_RETURN(report.recipe, fields.string_or("recipe", ""));
  ASSIGN_OR_RETURN(const nlohmann::json* quality, fields.object_or_null("quality"));
  if (quality != nullptr) {
    ASSIGN_OR_RETURN(report.quality, parse_quality(*quality, where));
  }
  for (const nlohmann::json& entry : list_or_empty(json, "sections")) {
    if (!entry.is_object()) return fields.wanted("sections", "objects", ErrorCode::kCorrupt);
    const JsonFields section(entry, where, "quantization.sections.");
    SectionLoss loss;
    ASSIGN_OR_RETURN(loss.name, section.string_or("name", ""));
    ASSIGN_OR_RETURN(loss.output_error, section.number("output_error", 0, kMost));
    ASSIGN_OR_RETURN(loss.damping, section.number("damping", 0, kMost));
    report.sections.push_back(std::move(loss));
  }
  for (const nlohmann::json& error : list_or_empty(json, "layers")) {
    if (!error.is_number()) return fields.wanted("layers", "numbers", ErrorCode::kCorrupt);
    report.layers.push_back({error.get<double>()});
  }
  return report;
}

}  // namespace

std::string manifest_json(const ModelManifest& manifest) {
  OrderedJson json = {{"version", kManifestVersion},
                      {"source", manifest.source},
                      {"format", manifest.format},
                      {"conversion", manifest.conversion},
                      {"source_bytes", manifest.source_bytes},
                      {"packed_bytes", manifest.packed_bytes},
                      {"weights_fingerprint", hex(manifest.weights_fingerprint)},
                      {"source_fingerprint", hex(manifest.source_fingerprint)},
                      {"checksum", hex(manifest.checksum)}};
  if (!manifest.quantization.recipe.empty()) {
    json["quantization"] = quantization_json(manifest.quantization);
  }
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
  ASSIGN_OR_RETURN(const nlohmann::json* quantization, fields.object_or_null("quantization"));
  if (quantization != nullptr) {
    ASSIGN_OR_RETURN(manifest.quantization, parse_quantization(*quantization, where));
  }
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
