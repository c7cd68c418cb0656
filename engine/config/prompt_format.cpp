#include "engine/config/prompt_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/base/json_depth.h"
#include "engine/tokenizer/tokenizer.h"

namespace incipit::engine {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormatFile = "pocket.json";

// Fill-in-the-middle tokens of public code models. Suffix first only where the family was trained
// for it; prefix first is what the others' cards show.
struct FimFamily {
  const char* prefix;
  const char* suffix;
  const char* middle;
  FimOrder order;
};
constexpr FimFamily kFimFamilies[] = {
    // Qwen2.5-Coder, CodeGemma
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", FimOrder::kPrefixFirst},
    // StarCoder, Granite
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", FimOrder::kPrefixFirst},
    // CodeLlama (Rozière et al. 2023, 2.3: half of its infilling data is suffix first)
    {"▁<PRE>", "▁<SUF>", "▁<MID>", FimOrder::kSuffixFirst},
    // DeepSeek-Coder
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", FimOrder::kPrefixFirst},
};
constexpr const char* kFileSeparators[] = {"<|file_sep|>", "<file_sep>", "<filename>"};
constexpr const char* kBeginnings[] = {"<|begin_of_text|>", "<s>", "<｜begin▁of▁sentence｜>"};
constexpr const char* kEndings[] = {
    "<|end_of_text|>", "<|eot_id|>",   "<|eom_id|>",    "<|endoftext|>", "<|im_end|>",
    "<|fim_pad|>",     "<|file_sep|>", "<|repo_name|>", "<fim_pad>",     "<file_sep>",
    "<repo_name>",     "<filename>",   "</s>",          "▁<EOT>",        "<｜end▁of▁sentence｜>",
    "<|EOT|>"};

Error wrong(const std::string& file, std::string_view field, std::string_view want,
            std::string_view found) {
  return Error{ErrorCode::kCorrupt,
               fmt::format("prompt format: {}: {}: want {}, found {}", file, field, want, found)};
}

std::string printed(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string described(const Json& value) {
  if (value.is_structured()) return fmt::format("an {} of {}", value.type_name(), value.size());
  return printed(value);
}

// The parsed file as an object; null when there is no such file.
Result<Json> read_optional(const std::filesystem::path& path) {
  std::error_code status;
  if (!std::filesystem::exists(path, status)) return Json();
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    return Error{ErrorCode::kIo, fmt::format("prompt format: {}: cannot be read", path.string())};
  }
  if (nests_too_deep(text))
    return wrong(path.string(), "top level",
                 fmt::format("at most {} levels of JSON", kMaxJsonDepth), "more");
  try {
    Json root = Json::parse(text);
    if (!root.is_object()) return wrong(path.string(), "top level", "an object", described(root));
    return root;
  } catch (const Json::exception& error) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("prompt format: {}: not JSON: {}", path.string(), error.what())};
  }
}

TokenId first_known(const Tokenizer& tokenizer, std::span<const char* const> spellings) {
  for (const char* spelling : spellings) {
    if (const auto id = tokenizer.special(spelling)) return *id;
  }
  return -1;
}

void add_stop(PromptFormat& format, TokenId id) {
  if (id < 0) return;
  const auto at = std::lower_bound(format.stop.begin(), format.stop.end(), id);
  if (at == format.stop.end() || *at != id) format.stop.insert(at, id);
}

// Reads the fields of one section ("fim", "chat") of the format file.
class Section {
 public:
  Section(const std::string& file, const char* name, const Json& section,
          const Tokenizer& tokenizer)
      : file_(file), name_(name), section_(section), tokenizer_(tokenizer) {}

  bool has(const char* key) const { return section_.contains(key) && !section_[key].is_null(); }

  Result<std::string> text(const char* key) const {
    if (!has(key) || !section_[key].is_string()) {
      return wrong(file_, field(key), "a string", has(key) ? described(section_[key]) : "nothing");
    }
    return section_[key].get<std::string>();
  }

  // False where there is none.
  Result<bool> flag(const char* key) const {
    if (!has(key)) return false;
    if (section_[key].is_boolean()) return section_[key].get<bool>();
    return wrong(file_, field(key), "true or false", described(section_[key]));
  }

  Result<TokenId> token(const char* key) const {
    ASSIGN_OR_RETURN(const std::string spelling, text(key));
    return token_of(field(key), spelling);
  }

  Result<TokenId> token_of(const std::string& where, const std::string& spelling) const {
    if (const auto id = tokenizer_.special(spelling)) return *id;
    return wrong(file_, where, "a special token of the tokenizer", Json(spelling).dump());
  }

  Result<std::vector<TokenId>> tokens(const char* key) const {
    std::vector<TokenId> ids;
    if (!has(key)) return ids;
    const Json& list = section_[key];
    if (!list.is_array()) return wrong(file_, field(key), "an array of strings", described(list));
    for (size_t idx = 0; idx < list.size(); ++idx) {
      const std::string where = fmt::format("{}[{}]", field(key), idx);
      if (!list[idx].is_string()) return wrong(file_, where, "a string", described(list[idx]));
      ASSIGN_OR_RETURN(const TokenId id, token_of(where, list[idx].get<std::string>()));
      ids.push_back(id);
    }
    return ids;
  }

 private:
  std::string field(const char* key) const { return fmt::format("{}.{}", name_, key); }

  const std::string& file_;
  const char* name_;
  const Json& section_;
  const Tokenizer& tokenizer_;
};

Result<FimFormat> read_fim(const Section& section) {
  FimFormat fim;
  ASSIGN_OR_RETURN(fim.prefix, section.token("prefix"));
  ASSIGN_OR_RETURN(fim.suffix, section.token("suffix"));
  ASSIGN_OR_RETURN(fim.middle, section.token("middle"));
  if (section.has("file_separator")) {
    ASSIGN_OR_RETURN(fim.file_separator, section.token("file_separator"));
  }
  if (section.has("repository")) {
    ASSIGN_OR_RETURN(fim.repository, section.token("repository"));
  }
  // The templates say which orders the model was trained for; suffix first when it knows both.
  const bool prefix_first_only = section.has("psm") && !section.has("spm");
  fim.order = prefix_first_only ? FimOrder::kPrefixFirst : FimOrder::kSuffixFirst;
  if (section.has("spm")) {
    ASSIGN_OR_RETURN(const std::string spm, section.text("spm"));
    ASSIGN_OR_RETURN(const std::string middle, section.text("middle"));
    fim.middle_at_cursor = spm.ends_with(middle);
  }
  return fim;
}

std::optional<FimFormat> detect_fim(const Tokenizer& tokenizer) {
  for (const FimFamily& family : kFimFamilies) {
    const auto prefix = tokenizer.special(family.prefix);
    const auto suffix = tokenizer.special(family.suffix);
    const auto middle = tokenizer.special(family.middle);
    if (!prefix || !suffix || !middle) continue;
    return FimFormat{*prefix,      *suffix,
                     *middle,      first_known(tokenizer, kFileSeparators),
                     family.order, tokenizer.special("<|repo_name|>").value_or(-1)};
  }
  return std::nullopt;
}

// A chat template that comes with the checkpoint says it; without one, tokens that Llama 3.1
// brought, or its scaling of RoPE where the tokenizer is Meta's file, which has no names.
Result<SystemTurn> detect_system_turn(const std::filesystem::path& model_dir,
                                      const Tokenizer& tokenizer) {
  constexpr std::string_view kSign = "Cutting Knowledge Date";
  const auto dated = [](bool is_it) {
    return is_it ? SystemTurn::kAlwaysDated : SystemTurn::kWhenGiven;
  };
  std::ifstream file(model_dir / "chat_template.jinja", std::ios::binary);
  if (file) {
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return dated(text.find(kSign) != std::string::npos);
  }
  ASSIGN_OR_RETURN(const Json settings, read_optional(model_dir / "tokenizer_config.json"));
  if (settings.is_object() && settings.contains("chat_template")) {
    // A string, or a list of named ones.
    return dated(printed(settings["chat_template"]).find(kSign) != std::string::npos);
  }
  if (tokenizer.special("<|eom_id|>")) return SystemTurn::kAlwaysDated;
  ASSIGN_OR_RETURN(const Json config, read_optional(model_dir / "config.json"));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.is_object() || !config.contains(key) || !config[key].is_object()) continue;
    const Json& scaling = config[key];
    if (scaling.contains("rope_type") && scaling["rope_type"] == "llama3") {
      return SystemTurn::kAlwaysDated;
    }
  }
  return SystemTurn::kWhenGiven;
}

// Base and Instruct checkpoints of Llama 3 share a tokenizer. Instruct models end their turns with
// <|eot_id|>, which the configuration says, or bring a template of a conversation; a base model
// names another end and has no template. One that says nothing may be either.
Result<bool> is_base_model(const std::filesystem::path& model_dir, const ChatFormat& chat,
                           const std::vector<TokenId>& ends) {
  if (ends.empty() || std::binary_search(ends.begin(), ends.end(), chat.end_of_turn)) return false;
  std::error_code status;
  if (std::filesystem::exists(model_dir / "chat_template.jinja", status)) return false;
  ASSIGN_OR_RETURN(const Json settings, read_optional(model_dir / "tokenizer_config.json"));
  if (!settings.is_object()) return true;
  if (settings.contains("chat_template") && !settings["chat_template"].is_null()) return false;
  return !settings.contains("eos_token") ||
         printed(settings["eos_token"]).find("<|eot_id|>") == std::string::npos;
}

std::optional<ChatFormat> detect_chat(const Tokenizer& tokenizer) {
  const auto start = tokenizer.special("<|start_header_id|>");
  const auto end = tokenizer.special("<|end_header_id|>");
  const auto turn = tokenizer.special("<|eot_id|>");
  if (!start || !end || !turn) return std::nullopt;
  return ChatFormat{*start, *end, *turn, "", SystemTurn::kWhenGiven, ChatSkill::kAnything};
}

// Ids under `key`: a number, an array of numbers, or nothing.
Result<std::vector<TokenId>> read_ids(const std::string& file, const Json& root, const char* key,
                                      const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  if (!root.is_object() || !root.contains(key) || root[key].is_null()) return ids;
  const Json list = root[key].is_array() ? root[key] : Json::array({root[key]});
  for (const Json& id : list) {
    const bool known = id.is_number_integer() && id >= 0 && id < tokenizer.vocab_size();
    if (!known) {
      return wrong(file, key, fmt::format("token ids in 0..{}", tokenizer.vocab_size() - 1),
                   described(id));
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

// Beginning and end of text as the checkpoint's configuration names them.
Result<void> read_model_ids(const std::filesystem::path& model_dir, const Tokenizer& tokenizer,
                            PromptFormat& format) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::filesystem::path path = model_dir / name;
    ASSIGN_OR_RETURN(const Json root, read_optional(path));
    ASSIGN_OR_RETURN(const std::vector<TokenId> begin,
                     read_ids(path.string(), root, "bos_token_id", tokenizer));
    ASSIGN_OR_RETURN(const std::vector<TokenId> end,
                     read_ids(path.string(), root, "eos_token_id", tokenizer));
    if (format.bos < 0 && !begin.empty()) format.bos = begin[0];
    for (const TokenId id : end) add_stop(format, id);
  }
  if (format.bos < 0) format.bos = first_known(tokenizer, kBeginnings);
  return {};
}

Result<void> read_format_file(const std::string& file, const Json& root, const Tokenizer& tokenizer,
                              PromptFormat& format) {
  for (const char* name : {"fim", "chat"}) {
    if (root.contains(name) && !root[name].is_object()) {
      return wrong(file, name, "an object", described(root[name]));
    }
  }
  if (root.contains("fim")) {
    const Section section(file, "fim", root["fim"], tokenizer);
    ASSIGN_OR_RETURN(format.fim, read_fim(section));
    ASSIGN_OR_RETURN(const std::vector<TokenId> stop, section.tokens("stop"));
    for (const TokenId id : stop) add_stop(format, id);
  }
  if (root.contains("chat")) {
    const Section section(file, "chat", root["chat"], tokenizer);
    format.chat = detect_chat(tokenizer);
    if (!format.chat) {
      return wrong(file, "chat",
                   "a tokenizer with <|start_header_id|>, <|end_header_id|> and <|eot_id|>",
                   "one without");
    }
    ASSIGN_OR_RETURN(std::string explain, section.text("explain"));
    if (explain.find("{code}") == std::string::npos) {
      return wrong(file, "chat.explain", "a text with {code}", Json(explain).dump());
    }
    format.chat->explain_template = std::move(explain);
    ASSIGN_OR_RETURN(const bool general, section.flag("general"));
    format.chat->skill = general ? ChatSkill::kAnything : ChatSkill::kExplainsOnly;
  }
  return {};
}

}  // namespace

Result<PromptFormat> load_prompt_format(const std::filesystem::path& model_dir,
                                        const Tokenizer& tokenizer) {
  PromptFormat format;
  TRY(read_model_ids(model_dir, tokenizer, format));
  const std::filesystem::path path = model_dir / kFormatFile;
  ASSIGN_OR_RETURN(const Json root, read_optional(path));
  if (root.is_object()) {
    TRY(read_format_file(path.string(), root, tokenizer, format));
    TRY(choose_prompt_layout("auto", format));
    return format;
  }
  format.fim = detect_fim(tokenizer);
  format.chat = detect_chat(tokenizer);
  if (format.chat) {
    ASSIGN_OR_RETURN(const bool is_base, is_base_model(model_dir, *format.chat, format.stop));
    if (is_base) format.chat.reset();
  }
  if (format.chat) {
    ASSIGN_OR_RETURN(format.chat->system, detect_system_turn(model_dir, tokenizer));
  }
  for (const char* spelling : kEndings) add_stop(format, tokenizer.special(spelling).value_or(-1));
  if (format.fim) {
    // A model that opens another hole has finished this one.
    for (const TokenId id : {format.fim->prefix, format.fim->suffix, format.fim->middle}) {
      add_stop(format, id);
    }
  }
  TRY(choose_prompt_layout("auto", format));
  return format;
}

}  // namespace incipit::engine
