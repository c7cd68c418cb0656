// Settings: what a user may choose about the server, typed, with every default, bound and
// description in one table (settings.cpp). They come in layers (a file, initializationOptions, what
// the client pushes, what it is asked for); for each key the highest layer that has it counts. A
// wrong value changes nothing and yields a text for the user. Io thread only.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp {

struct Settings {
  bool completion_enabled = true;
  int32_t completion_max_tokens = 64;
  int32_t completion_max_lines = 12;
  int32_t completion_context_tokens = 0;
  bool completion_prepare_next = true;
  int32_t completion_longest_delay = 0;
  int32_t completion_alternatives = 3;
  double completion_min_confidence = 0.4;
  std::vector<std::string> completion_excluded_languages;
  std::vector<std::string> excluded_files;
  int32_t explain_max_tokens = 160;
  int32_t edit_max_tokens = 1024;
  int32_t chat_max_tokens = 1024;
  bool context_workspace = true;
  bool context_neighbours = true;
  bool context_recent_edits = false;
  bool hover = false;
  bool prewarm = true;
  std::string model;
  int32_t threads = 0;
  std::string device;
  std::string gpu_memory;
  std::string kv_type;
  std::string kv_disk;
  std::string prompt_layout;
  int32_t context_tokens = 0;
};

struct IntegerSetting {
  int32_t Settings::*member;
  int32_t min = 0;
  int32_t max = 0;
  int32_t least = 0;  // of those that are not `min`, where it stands for "not chosen"
};

struct NumberSetting {
  double Settings::*member;
  double min = 0;
  double max = 0;
};

// A text that is read: "" (not chosen) or one that `is_good`.
struct TextSetting {
  std::string Settings::*member;
  const char* wanted;  // in words, for the user
  bool (*is_good)(std::string_view);
};

struct SettingRow {
  std::string_view key;  // without the "incipit." that a client writes before it
  std::string_view description;
  std::variant<bool Settings::*, IntegerSetting, NumberSetting, TextSetting,
               std::string Settings::*, std::vector<std::string> Settings::*>
      field;
};

std::span<const SettingRow> setting_rows();

enum class SettingsLayer { kFile, kInitialization, kPushed, kPulled };

class SettingsStack {
 public:
  const Settings& current() const { return current_; }

  // Replaces a layer. `given` is an object of keys, nested or dotted, with or without the "incipit"
  // section around it; null empties the layer. Returns texts for the user, one for each wrong value
  // ("incipit.completion.maxTokens: want an integer 1..1024, found "many"; stays 64"). The key
  // comes first and the text is short: editors cut it. Keys that nobody knows are logged.
  std::vector<std::string> set(SettingsLayer layer, const Json& given);

 private:
  using Values = std::map<std::string_view, Json>;  // keys of setting_rows()

  void resolve();

  std::array<Values, 4> layers_;
  Settings current_;
};

// Errors name the file and what is wrong with it.
Result<Json> read_settings_file(const std::filesystem::path& path);

}  // namespace incipit::lsp
