#include "engine/tokenizer/tokenizer_pipeline.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "engine/tokenizer/space_mark.h"

namespace incipit::engine {
namespace {

using Json = TokenizerJson;

Result<void> read_split(const Json& split, const TokenizerErrors& errors, TokenizerFile& file) {
  const std::string field = "pre_tokenizer.pretokenizers[0].";
  const Json* pattern = member(split, "pattern");
  const Json* regex =
      pattern != nullptr && pattern->is_object() ? member(*pattern, "Regex") : nullptr;
  if (regex == nullptr || !regex->is_string()) {
    return errors.unsupported(field + "pattern", "{\"Regex\": \"…\"}", describe(pattern));
  }
  if (const Json* behavior = member(split, "behavior");
      behavior == nullptr || *behavior != "Isolated") {
    return errors.unsupported(field + "behavior", "\"Isolated\"", describe(behavior));
  }
  if (const Json* invert = member(split, "invert"); !is_null(invert) && *invert != false) {
    return errors.unsupported(field + "invert", "false", describe(invert));
  }
  file.split_pattern = regex->get<std::string>();
  return {};
}

Result<void> check_byte_level(const Json& byte_level, const TokenizerErrors& errors) {
  // trim_offsets concerns character offsets only, which we do not report.
  for (const char* key : {"add_prefix_space", "use_regex"}) {
    const Json* value = member(byte_level, key);
    // Both are true in Hugging Face's library when they are not there.
    if (value == nullptr || *value != false) {
      return errors.unsupported(fmt::format("pre_tokenizer.pretokenizers[1].{}", key), "false",
                                describe(value));
    }
  }
  return {};
}

Result<void> read_byte_level(const Json& root, const TokenizerErrors& errors, TokenizerFile& file) {
  if (const Json* normalizer = member(root, "normalizer"); !is_null(normalizer)) {
    return errors.unsupported("normalizer", "null", type_of(normalizer));
  }
  if (const Json* decoder = member(root, "decoder");
      !is_null(decoder) && type_of(decoder) != "ByteLevel") {
    return errors.unsupported("decoder", "ByteLevel", type_of(decoder));
  }
  const Json* pre_tokenizer = member(root, "pre_tokenizer");
  if (type_of(pre_tokenizer) != "Sequence") {
    return errors.unsupported("pre_tokenizer", "a Sequence of Split and ByteLevel",
                              type_of(pre_tokenizer));
  }
  const Json* parts = member(*pre_tokenizer, "pretokenizers");
  if (parts == nullptr || !parts->is_array()) {
    return errors.corrupt("pre_tokenizer.pretokenizers", "an array", parts);
  }
  constexpr const char* kWanted[] = {"Split", "ByteLevel"};
  for (size_t idx = 0; idx < parts->size(); ++idx) {
    const std::string type = type_of(&(*parts)[idx]);
    const char* wanted = idx < 2 ? kWanted[idx] : "no third part";
    if (type != wanted) {
      return errors.unsupported(fmt::format("pre_tokenizer.pretokenizers[{}]", idx), wanted, type);
    }
  }
  if (parts->size() < 2) {
    return errors.unsupported("pre_tokenizer.pretokenizers", "Split and ByteLevel",
                              describe(parts));
  }
  TRY(read_split((*parts)[0], errors, file));
  return check_byte_level((*parts)[1], errors);
}

// "Replace ' ' by '▁'".
Result<void> check_replace(const Json& replace, const std::string& field,
                           const TokenizerErrors& errors) {
  const Json* pattern = member(replace, "pattern");
  const Json* content = member(replace, "content");
  const Json wanted = {{"String", " "}};
  if (pattern == nullptr || *pattern != wanted) {
    return errors.unsupported(
        field + ".pattern", "{\"String\": \" \"}",
        pattern == nullptr
            ? "nothing"
            : pattern->dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60));
  }
  if (content == nullptr || *content != kSpaceMark) {
    return errors.unsupported(field + ".content", "\"▁\"", describe(content));
  }
  return {};
}

// Nothing, "Replace ' ' by '▁'", or a Sequence of "Prepend '▁'" and that.
Result<void> read_mark_normalizer(const Json* normalizer, const TokenizerErrors& errors,
                                  TokenizerFile& file, bool& replaces) {
  if (is_null(normalizer)) return {};
  const std::string type = type_of(normalizer);
  replaces = true;
  if (type == "Replace") return check_replace(*normalizer, "normalizer", errors);
  const Json* parts = type == "Sequence" ? member(*normalizer, "normalizers") : nullptr;
  if (parts == nullptr || !parts->is_array() || parts->size() != 2) {
    return errors.unsupported("normalizer", "null, Replace, or a Sequence of Prepend and Replace",
                              parts == nullptr ? type : describe(parts));
  }
  const std::string first = type_of(&(*parts)[0]), second = type_of(&(*parts)[1]);
  if (first != "Prepend" || second != "Replace") {
    return errors.unsupported("normalizer.normalizers", "Prepend and Replace",
                              fmt::format("{} and {}", first, second));
  }
  if (const Json* prefix = member((*parts)[0], "prepend");
      prefix == nullptr || *prefix != kSpaceMark) {
    return errors.unsupported("normalizer.normalizers[0].prepend", "\"▁\"", describe(prefix));
  }
  file.leading_space = LeadingSpace::kAlways;
  return check_replace((*parts)[1], "normalizer.normalizers[1]", errors);
}

// Both spellings of when it puts a mark in front, the older one a boolean.
Result<void> read_metaspace(const Json& metaspace, const TokenizerErrors& errors,
                            TokenizerFile& file) {
  if (const Json* mark = member(metaspace, "replacement"); mark == nullptr || *mark != kSpaceMark) {
    return errors.unsupported("pre_tokenizer.replacement", "\"▁\"", describe(mark));
  }
  // True in Hugging Face's library when it is not there.
  if (const Json* split = member(metaspace, "split"); split == nullptr || *split != false) {
    return errors.unsupported("pre_tokenizer.split", "false", describe(split));
  }
  const Json* scheme = member(metaspace, "prepend_scheme");
  const Json* prefix = member(metaspace, "add_prefix_space");
  bool prepends = prefix == nullptr || *prefix != false;
  if (scheme != nullptr) {
    if (*scheme != "first" && *scheme != "always" && *scheme != "never") {
      return errors.unsupported("pre_tokenizer.prepend_scheme", "first, always or never",
                                describe(scheme));
    }
    prepends = *scheme != "never";
  }
  file.leading_space = prepends ? LeadingSpace::kUnlessThere : LeadingSpace::kNever;
  return {};
}

// What it strips is the space that encoding put in front; StreamingDecoder has no use for that.
Result<void> check_mark_decoder(const Json* decoder, const TokenizerErrors& errors) {
  const std::string type = type_of(decoder);
  if (type == "null" || type == "Metaspace") return {};
  const Json* parts = type == "Sequence" ? member(*decoder, "decoders") : nullptr;
  if (parts == nullptr || !parts->is_array()) {
    return errors.unsupported("decoder", "null, Metaspace or a Sequence", type);
  }
  for (size_t idx = 0; idx < parts->size(); ++idx) {
    const std::string part = type_of(&(*parts)[idx]);
    if (part == "Replace" || part == "ByteFallback" || part == "Fuse" || part == "Strip" ||
        part == "Metaspace") {
      continue;
    }
    return errors.unsupported(fmt::format("decoder.decoders[{}]", idx),
                              "Replace, ByteFallback, Fuse, Strip or Metaspace", part);
  }
  return {};
}

Result<void> read_characters(const Json& root, const TokenizerErrors& errors, TokenizerFile& file) {
  file.unit = SymbolUnit::kCharacter;
  bool replaces = false;
  TRY(read_mark_normalizer(member(root, "normalizer"), errors, file, replaces));
  if (const Json* metaspace = member(root, "pre_tokenizer"); !is_null(metaspace)) {
    if (replaces)
      return errors.unsupported("pre_tokenizer", "null beside a normalizer", "Metaspace");
    TRY(read_metaspace(*metaspace, errors, file));
  } else if (!replaces) {
    return errors.unsupported("normalizer", "Replace, or a pre_tokenizer Metaspace", "null");
  }
  return check_mark_decoder(member(root, "decoder"), errors);
}

}  // namespace

Result<void> read_pipeline(const Json& root, const TokenizerErrors& errors, TokenizerFile& file) {
  const Json* model = member(root, "model");
  const Json* fallback =
      model != nullptr && model->is_object() ? member(*model, "byte_fallback") : nullptr;
  const std::string pre_tokenizer = type_of(member(root, "pre_tokenizer"));
  const bool characters = fallback != nullptr && *fallback == true &&
                          (pre_tokenizer == "null" || pre_tokenizer == "Metaspace");
  return characters ? read_characters(root, errors, file) : read_byte_level(root, errors, file);
}

}  // namespace incipit::engine
