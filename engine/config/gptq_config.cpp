#include "engine/config/gptq_config.h"

#include <fmt/core.h>

#include "engine/config/json_fields.h"

namespace incipit::engine {
namespace {

Result<GptqConfig> read(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const auto method, fields.string_or("quant_method", "gptq"));
  if (method != "gptq") return fields.wanted("quant_method", "\"gptq\"", ErrorCode::kUnsupported);
  ASSIGN_OR_RETURN(const int64_t bits, fields.integer("bits", 1, 64));
  if (bits != 4) return fields.wanted("bits", "4", ErrorCode::kUnsupported);

  GptqConfig config;
  ASSIGN_OR_RETURN(const int64_t group, fields.integer("group_size", -1, INT32_MAX));
  if (group != 32 && group != 64 && group != 128 && group != kWholeColumn) {
    return fields.wanted("group_size", "32, 64, 128 or -1", ErrorCode::kUnsupported);
  }
  config.group = static_cast<int32_t>(group);
  ASSIGN_OR_RETURN(config.desc_act, fields.boolean_or("desc_act", false));
  ASSIGN_OR_RETURN(const auto format, fields.string_or("checkpoint_format", "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    return fields.wanted("checkpoint_format", "\"gptq\" or \"gptq_v2\"", ErrorCode::kUnsupported);
  }
  config.zeros = format == "gptq" ? GptqConfig::Zeros::kStoredLessOne : GptqConfig::Zeros::kStored;
  ASSIGN_OR_RETURN(const auto pack, fields.string_or("pack_dtype", "int32"));
  if (pack != "int32") return fields.wanted("pack_dtype", "\"int32\"", ErrorCode::kUnsupported);
  ASSIGN_OR_RETURN(const bool head, fields.boolean_or("lm_head", false));
  if (head) {
    return fields.wanted("lm_head", "false (an unquantised head)", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const auto* dynamic, fields.object_or_null("dynamic"));
  if (dynamic != nullptr && !dynamic->empty()) {
    return fields.wanted("dynamic", "one setting for all linears", ErrorCode::kUnsupported);
  }
  return config;
}

}  // namespace

std::string describe(const GptqConfig& config) {
  const std::string group =
      config.group == kWholeColumn ? "whole columns" : fmt::format("groups of {}", config.group);
  const bool stored = config.zeros == GptqConfig::Zeros::kStored;
  return fmt::format("GPTQ INT4 in {}, zero points {}", group,
                     stored ? "as stored (v2)" : "stored less one (v1)");
}

Result<GptqConfig> parse_gptq_config(std::string_view json, const std::string& where) {
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(json, where));
  return read(JsonFields(parsed, where));
}

Result<GptqConfig> load_gptq_config(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(text, path.string()));
  const JsonFields fields(parsed, path.string());
  ASSIGN_OR_RETURN(const auto* nested, fields.object_or_null("quantization_config"));
  if (nested != nullptr) return read(JsonFields(*nested, path.string(), "quantization_config."));

  const auto beside = model_dir / "quantize_config.json";
  const auto beside_text = read_text_file(beside);
  if (beside_text.ok()) return parse_gptq_config(*beside_text, beside.string());
  if (beside_text.error().code != ErrorCode::kNotFound) return beside_text.error();
  return fields.wanted("quantization_config",
                       "a GPTQ INT4 checkpoint (here or in quantize_config.json)",
                       ErrorCode::kUnsupported);
}

}  // namespace incipit::engine
