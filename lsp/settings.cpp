#include "lsp/settings.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/base/log.h"
#include "engine/config/engine_options.h"
#include "engine/config/prompt_layout.h"
#include "lsp/context_range.h"
#include "lsp/document/utf8.h"
#include "lsp/protocol/json_fields.h"

namespace incipit::lsp {
namespace {

constexpr std::string_view kSection = "incipit";
constexpr size_t kMaxValueShown = 60;

const std::array kRows = {
    SettingRow{"completion.enabled",
               "Suggest completions at all. Off, requests by hand get no suggestion either.",
               &Settings::completion_enabled},
    SettingRow{"completion.maxTokens", "Longest suggestion, in tokens of the model.",
               IntegerSetting{&Settings::completion_max_tokens, 1, 1024}},
    SettingRow{"completion.maxLines", "Longest suggestion, in lines.",
               IntegerSetting{&Settings::completion_max_lines, 1, 200}},
    SettingRow{"completion.contextTokens",
               "Longest prompt, in tokens; 0: as much as the model takes, on a CPU at most 2048.",
               IntegerSetting{&Settings::completion_context_tokens, 0, 1 << 20}},
    SettingRow{"completion.prepareNext",
               "Make the suggestion that follows the one on display, so that it is there when that "
               "one is taken.",
               &Settings::completion_prepare_next},
    SettingRow{"completion.longestDelay",
               "Hold back suggestions that were not asked for by hand, by up to so many "
               "milliseconds; the fewer of them are taken, the longer. 0: show them at once.",
               IntegerSetting{&Settings::completion_longest_delay, 0, 5000}},
    SettingRow{"completion.alternatives",
               "Distinct suggestions that a request by hand is answered with, at most.",
               IntegerSetting{&Settings::completion_alternatives, 1, 5}},
    SettingRow{"completion.minConfidence",
               "Hide suggestions of which the model is less sure (mean probability of a token), "
               "unless they were asked for by hand. 0: show them all.",
               NumberSetting{&Settings::completion_min_confidence, 0, 1}},
    SettingRow{"completion.excludeLanguages",
               "Language ids (\"markdown\") in which nothing is suggested.",
               &Settings::completion_excluded_languages},
    SettingRow{
        "excludeFiles",
        "File name patterns (* and ?). Such files get no suggestion and are no context for others; "
        "files with names of secrets never do, nor text around a private key.",
        &Settings::excluded_files},
    SettingRow{"context.workspace",
               "Tell the model what other files of the workspace define of the names that are used "
               "near the cursor.",
               &Settings::context_workspace},
    SettingRow{"context.neighbours",
               "Tell the model lines of other open documents that are like those around the "
               "cursor.",
               &Settings::context_neighbours},
    SettingRow{"context.recentEdits",
               "Tell the model lines that were edited lately, of other open documents and of "
               "far-away places of this one.",
               &Settings::context_recent_edits},
    SettingRow{"explain.maxTokens", "Longest explanation, in tokens of the model.",
               IntegerSetting{&Settings::explain_max_tokens, 1, 4096}},
    SettingRow{"edit.maxTokens",
               "Longest answer of the commands that write code, in tokens of the model.",
               IntegerSetting{&Settings::edit_max_tokens, 1, 8192}},
    SettingRow{"chat.maxTokens", "Longest answer in a conversation, in tokens of the model.",
               IntegerSetting{&Settings::chat_max_tokens, 1, 8192}},
    SettingRow{"hover",
               "Explain the function or type of the file whose name is pointed at (hover).",
               &Settings::hover},
    SettingRow{"prewarm", "Read ahead while the user types, so that suggestions come sooner.",
               &Settings::prewarm},
    SettingRow{"model",
               "Name or directory of the model; empty: what the command line says. A change loads "
               "the other model.",
               &Settings::model},
    SettingRow{"threads",
               "Threads of the engine; 0: what the command line says. A change loads the model "
               "again.",
               IntegerSetting{&Settings::threads, 0, 1024}},
    SettingRow{"device",
               "Where the model runs: auto (a CUDA GPU where it can be used and the model fits), "
               "cpu, cuda or cuda:N; empty: what the command line says. A change loads the model "
               "again.",
               TextSetting{&Settings::device, "auto, cpu, cuda or cuda:N",
                           [](auto text) { return engine::parse_device(text).ok(); }}},
    SettingRow{
        "gpuMemory",
        "Memory of the GPU for weights, workspace and KV pages: a size (11GiB) or a fraction "
        "of what is free (0.9); empty: what the command line says.",
        TextSetting{&Settings::gpu_memory, "a size such as 11GiB, or a fraction such as 0.9",
                    [](auto text) { return engine::parse_memory_budget(text).ok(); }}},
    SettingRow{
        "kvType",
        "How a CUDA GPU keeps keys and values: f16, or int8, which takes half the memory and "
        "rounds them to 8 bits; empty: what the command line says. A change loads the model "
        "again.",
        TextSetting{&Settings::kv_type, "f16 or int8",
                    [](auto text) { return engine::parse_kv_type(text).ok(); }}},
    SettingRow{
        "kvDisk",
        "How much of what the model has read is kept on disk, so that it is still known after a "
        "restart: a size (2GiB), or 0 for nothing; empty: what the command line says, else "
        "nothing. A change loads the model again.",
        TextSetting{&Settings::kv_disk, "a size such as 2GiB, or 0",
                    [](auto text) { return engine::parse_kv_disk(text).ok(); }}},
    SettingRow{"promptLayout",
               "How completions are asked for: auto (what the model was trained for), fim, "
               "fim-suffix-first, fim-prefix-first, instruct, base or plain; empty: what the "
               "command line says. A change loads the model again.",
               TextSetting{&Settings::prompt_layout,
                           "auto, fim, fim-suffix-first, fim-prefix-first, instruct, base or plain",
                           [](auto text) { return engine::check_prompt_layout(text).ok(); }}},
    SettingRow{"contextTokens",
               "Longest prompt with its answer that the engine makes room for, in tokens; 0: what "
               "the command line says, else what the model knows, at most 8192. Up to eight times "
               "what it knows: by YaRN, which costs quality.",
               IntegerSetting{&Settings::context_tokens, 0, kMostContext, kLeastContext}},
};

const SettingRow* find_row(std::string_view key) {
  const auto found =
      std::find_if(kRows.begin(), kRows.end(), [&](const auto& row) { return row.key == key; });
  return found == kRows.end() ? nullptr : &*found;
}

// "completion" of "completion.maxTokens".
bool is_group(std::string_view key) {
  return std::any_of(kRows.begin(), kRows.end(), [&](const auto& row) {
    return row.key.starts_with(key) && row.key.substr(key.size()).starts_with('.');
  });
}

std::string found_text(const Json& value) {
  std::string printed = print_json(value);
  if (printed.size() > kMaxValueShown)
    printed = to_valid_utf8(printed.substr(0, kMaxValueShown)) + "…";
  return printed;
}

// Stores a good value; otherwise says what is wanted.
struct Store {
  Settings& settings;
  const Json& value;

  std::optional<std::string> operator()(bool Settings::*member) const {
    if (!value.is_boolean()) return "true or false";
    settings.*member = value.get<bool>();
    return std::nullopt;
  }
  std::optional<std::string> operator()(const IntegerSetting& setting) const {
    const auto number = read_fields<int64_t>(value, "");
    if (!number || *number < setting.min || *number > setting.max ||
        (*number > setting.min && *number < setting.least)) {
      if (setting.least <= setting.min + 1)
        return fmt::format("an integer {}..{}", setting.min, setting.max);
      return fmt::format("{}, or an integer {}..{}", setting.min, setting.least, setting.max);
    }
    settings.*setting.member = static_cast<int32_t>(*number);
    return std::nullopt;
  }
  std::optional<std::string> operator()(const NumberSetting& setting) const {
    if (!value.is_number() || value.get<double>() < setting.min ||
        value.get<double>() > setting.max) {
      return fmt::format("a number {}..{}", setting.min, setting.max);
    }
    settings.*setting.member = value.get<double>();
    return std::nullopt;
  }
  std::optional<std::string> operator()(const TextSetting& setting) const {
    const auto* text = value.get_ptr<const std::string*>();
    if (text == nullptr || !(text->empty() || setting.is_good(*text))) return setting.wanted;
    settings.*setting.member = *text;
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::string Settings::*member) const {
    if (!value.is_string()) return "a string";
    settings.*member = value.get<std::string>();
    return std::nullopt;
  }
  std::optional<std::string> operator()(std::vector<std::string> Settings::*member) const {
    auto strings = read_fields<std::vector<std::string>>(value, "");
    if (!strings) return "an array of strings";
    settings.*member = std::move(*strings);
    return std::nullopt;
  }
};

Json current_value(const Settings& settings, const SettingRow& row) {
  return std::visit(
      [&](const auto& field) -> Json {
        if constexpr (requires { field.member; }) {
          return settings.*field.member;
        } else {
          return settings.*field;
        }
      },
      row.field);
}

using Pairs = std::vector<std::pair<std::string, Json>>;

// {"completion": {"maxTokens": 5}} and {"completion.maxTokens": 5} become one pair. An object where
// a row expects a value stays a value, so that it is refused by name.
void flatten(const std::string& key, const Json& value, Pairs& out) {
  if (!value.is_object() || find_row(key)) {
    out.emplace_back(key, value);
    return;
  }
  for (const auto& [name, inner] : value.items()) {
    flatten(key.empty() ? name : fmt::format("{}.{}", key, name), inner, out);
  }
}

// "completion.maxTokens" and whatever else begins with a name of ours.
bool is_ours(std::string_view key) {
  const std::string_view first = key.substr(0, key.find('.'));
  return find_row(first) || is_group(first);
}

// Some clients send the section's content, some the section, some a mixture, and some with it all
// the settings they have, those of others too. Where a key is given twice, the section's counts.
Pairs own_pairs(const Json& given) {
  const std::string prefix = fmt::format("{}.", kSection);
  const auto is_of_section = [&](const auto& item) {
    return item.key() == kSection || item.key().starts_with(prefix);
  };
  const auto items = given.items();
  const bool has_section = std::any_of(items.begin(), items.end(), is_of_section);
  Pairs own;
  Pairs of_section;
  for (const auto& [name, value] : items) {
    if (name == kSection) {
      if (value.is_object()) flatten("", value, of_section);
    } else if (name.starts_with(prefix)) {
      flatten(name.substr(prefix.size()), value, of_section);
    } else if (is_ours(name)) {
      flatten(name, value, own);
    } else if (!has_section) {  // beside a section they are those of others
      log::warn("settings: {}: no such setting", name);
    }
  }
  std::erase_if(own, [&](const auto& pair) {
    return std::any_of(of_section.begin(), of_section.end(),
                       [&](const auto& other) { return other.first == pair.first; });
  });
  std::move(of_section.begin(), of_section.end(), std::back_inserter(own));
  return own;
}

// Not std::ifstream: its buffer throws when it reads a directory or a bad disk.
Result<std::string> read_whole(const std::filesystem::path& path) {
  const auto failed = [&path](int number) {
    return Error{
        number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
        fmt::format("settings file {}: cannot be read: {}", path.string(), std::strerror(number))};
  };
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return failed(errno);
  std::string text;
  char buffer[1 << 12];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file)) text.append(buffer, n);
  const int number = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (number != 0) return failed(number);
  return text;
}

}  // namespace

std::span<const SettingRow> setting_rows() {
  return kRows;
}

std::vector<std::string> SettingsStack::set(SettingsLayer layer, const Json& given) {
  Values& values = layers_[static_cast<size_t>(layer)];
  if (given.is_null()) {
    values.clear();
    resolve();
    return {};
  }
  if (!given.is_object()) {
    return {fmt::format("{}: want an object of settings, found {}", kSection, found_text(given))};
  }
  const Values before = std::exchange(values, {});
  std::vector<std::string> problems;
  // The section itself may be the wrong thing ({"incipit": 5}) or nothing ({"incipit": null}).
  const auto section = given.find(kSection);
  if (section != given.end() && !section->is_object() && !section->is_null()) {
    values = before;
    problems.push_back(
        fmt::format("{}: want an object of settings, found {}", kSection, found_text(*section)));
  }
  for (auto& [key, value] : own_pairs(given)) {
    const SettingRow* row = find_row(key);
    if (!row && is_group(key)) {
      problems.push_back(fmt::format("{}.{}: want an object of settings, found {}", kSection, key,
                                     found_text(value)));
      continue;
    }
    if (!row) {
      log::warn("settings: {}.{}: no such setting", kSection, key);
      continue;
    }
    if (value.is_null()) continue;  // absent
    Settings scratch;
    const auto wanted = std::visit(Store{scratch, value}, row->field);
    if (!wanted) {
      values[row->key] = value;
      continue;
    }
    // What counted until now goes on counting.
    if (const auto old = before.find(row->key); old != before.end()) values.insert(*old);
    problems.push_back(fmt::format("{}.{}: want {}, found {}; stays {}", kSection, key, *wanted,
                                   found_text(value), print_json(current_value(current_, *row))));
  }
  resolve();
  return problems;
}

void SettingsStack::resolve() {
  current_ = Settings();
  for (const Values& values : layers_) {
    for (const auto& [key, value] : values)
      std::visit(Store{current_, value}, find_row(key)->field);
  }
}

Result<Json> read_settings_file(const std::filesystem::path& path) {
  Result<std::string> text = read_whole(path);
  if (!text) return text.error();
  Result<Json> parsed = parse_json(std::move(text).value());
  if (!parsed) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("settings file {}: {}", path.string(), parsed.error().message)};
  }
  return parsed;
}

}  // namespace incipit::lsp
