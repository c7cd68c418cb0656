#include "engine/config/quant_config.h"

#include <fmt/core.h>

#include "engine/config/json_fields.h"

namespace incipit::engine {
namespace {

using Format = QuantConfig::Format;
using Zeros = QuantConfig::Zeros;

Result<int32_t> read_group(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const int64_t group, fields.integer("group_size", -1, INT32_MAX));
  if (group != 32 && group != 64 && group != 128 && group != kWholeColumn) {
    return fields.wanted("group_size", "32, 64, 128 or -1", ErrorCode::kUnsupported);
  }
  return static_cast<int32_t>(group);
}

Result<void> check_bits(const JsonFields& fields, const char* key) {
  ASSIGN_OR_RETURN(const int64_t bits, fields.integer(key, 1, 64));
  if (bits != 4) return fields.wanted(key, "4", ErrorCode::kUnsupported);
  return {};
}

Result<QuantConfig> read_gptq(const JsonFields& fields) {
  TRY(check_bits(fields, "bits"));
  QuantConfig config;
  ASSIGN_OR_RETURN(config.group, read_group(fields));
  ASSIGN_OR_RETURN(config.desc_act, fields.boolean_or("desc_act", false));
  ASSIGN_OR_RETURN(const auto format, fields.string_or("checkpoint_format", "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    return fields.wanted("checkpoint_format", "\"gptq\" or \"gptq_v2\"", ErrorCode::kUnsupported);
  }
  config.zeros = format == "gptq" ? Zeros::kStoredLessOne : Zeros::kStored;
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

Result<QuantConfig> read_awq(const JsonFields& fields) {
  TRY(check_bits(fields, "bits"));
  QuantConfig config{.format = Format::kAwq, .zeros = Zeros::kStored};
  ASSIGN_OR_RETURN(config.group, read_group(fields));
  // "gemv" and "gemv_fast" pack along the other dimension.
  ASSIGN_OR_RETURN(const auto version, fields.string_or("version", "gemm"));
  if (version != "gemm" && version != "GEMM") {
    return fields.wanted("version", "\"gemm\"", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const bool zero_point, fields.boolean_or("zero_point", true));
  if (!zero_point) return fields.wanted("zero_point", "true", ErrorCode::kUnsupported);
  return config;
}

// The one group of linears that all have; `where` and `prefix` name it in errors.
Result<QuantConfig> read_compressed_weights(const nlohmann::json& scheme, const std::string& where,
                                            const std::string& prefix) {
  const JsonFields scheme_fields(scheme, where, prefix);
  for (const char* key : {"input_activations", "output_activations"}) {
    if (scheme_fields.has(key)) {
      return scheme_fields.wanted(key, "null (activations as they are)", ErrorCode::kUnsupported);
    }
  }
  ASSIGN_OR_RETURN(const auto* weights, scheme_fields.object_or_null("weights"));
  if (weights == nullptr) return scheme_fields.wanted("weights", "an object");
  const JsonFields fields(*weights, where, prefix + "weights.");
  TRY(check_bits(fields, "num_bits"));
  ASSIGN_OR_RETURN(const auto type, fields.string_or("type", "int"));
  if (type != "int") return fields.wanted("type", "\"int\"", ErrorCode::kUnsupported);
  ASSIGN_OR_RETURN(const auto strategy, fields.string_or("strategy", "group"));
  QuantConfig config{.format = Format::kCompressed, .group = kWholeColumn};
  if (strategy == "group") {
    ASSIGN_OR_RETURN(config.group, read_group(fields));
  } else if (strategy != "channel") {
    return fields.wanted("strategy", "\"group\" or \"channel\"", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const bool symmetric, fields.boolean_or("symmetric", true));
  config.zeros = symmetric ? Zeros::kNone : Zeros::kStored;
  ASSIGN_OR_RETURN(const auto order, fields.string_or("actorder", ""));
  config.desc_act = order == "group";
  return config;
}

Result<QuantConfig> read_compressed(const JsonFields& fields, const std::string& where) {
  ASSIGN_OR_RETURN(const auto format, fields.string_or("format", ""));
  if (format != "pack-quantized") {
    return fields.wanted("format", "\"pack-quantized\"", ErrorCode::kUnsupported);
  }
  ASSIGN_OR_RETURN(const auto* groups, fields.object_or_null("config_groups"));
  if (groups == nullptr || groups->size() != 1 || !groups->begin()->is_object()) {
    return fields.wanted("config_groups", "one scheme for all linears", ErrorCode::kUnsupported);
  }
  return read_compressed_weights(*groups->begin(), where,
                                 "config_groups." + groups->begin().key() + ".");
}

Result<QuantConfig> read(const JsonFields& fields, const std::string& where) {
  ASSIGN_OR_RETURN(const auto method, fields.string_or("quant_method", "gptq"));
  if (method == "gptq") return read_gptq(fields);
  if (method == "awq") return read_awq(fields);
  if (method == "compressed-tensors") return read_compressed(fields, where);
  return fields.wanted("quant_method", "\"gptq\", \"awq\" or \"compressed-tensors\"",
                       ErrorCode::kUnsupported);
}

const char* name_of(Format format) {
  switch (format) {
    case Format::kDense:
      return "full precision";
    case Format::kGptq:
      return "GPTQ";
    case Format::kAwq:
      return "AWQ";
    case Format::kCompressed:
      return "compressed-tensors";
    case Format::kGguf:
      return "GGUF";
  }
  return "";
}

}  // namespace

std::string describe(const QuantConfig& config) {
  const bool integers = config.format != Format::kDense && config.format != Format::kGguf;
  if (!integers) return name_of(config.format);
  const std::string group =
      config.group == kWholeColumn ? "whole columns" : fmt::format("groups of {}", config.group);
  std::string zeros = "symmetric";
  if (config.zeros == Zeros::kStoredLessOne) zeros = "zero points stored less one (v1)";
  if (config.zeros == Zeros::kStored) {
    zeros = config.format == Format::kGptq ? "zero points as stored (v2)" : "with zero points";
  }
  return fmt::format("{} INT4 in {}, {}{}", name_of(config.format), group, zeros,
                     config.desc_act ? ", inputs reordered" : "");
}

Result<QuantConfig> parse_quant_config(std::string_view json, const std::string& where) {
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(json, where));
  return read(JsonFields(parsed, where), where);
}

Result<QuantConfig> load_quant_config(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "config.json";
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  ASSIGN_OR_RETURN(const auto parsed, parse_json_object(text, path.string()));
  const JsonFields fields(parsed, path.string());
  ASSIGN_OR_RETURN(const auto* nested, fields.object_or_null("quantization_config"));
  if (nested != nullptr) {
    return read(JsonFields(*nested, path.string(), "quantization_config."), path.string());
  }
  const auto beside = model_dir / "quantize_config.json";
  const auto beside_text = read_text_file(beside);
  if (beside_text.ok()) return parse_quant_config(*beside_text, beside.string());
  if (beside_text.error().code != ErrorCode::kNotFound) return beside_text.error();
  return QuantConfig{.format = Format::kDense};
}

}  // namespace incipit::engine
