#include "engine/weights/model_registry.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>
#include <system_error>

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

bool is_checkpoint(const fs::path& directory) {
  std::error_code ignored;
  return fs::is_regular_file(directory / "config.json", ignored);
}

// Of a search path. A directory whose name begins with a dot is one that `incipit model` works on.
bool is_model(const fs::path& directory) {
  return !directory.filename().string().starts_with('.') && is_checkpoint(directory);
}

void add_listed(const char* list, std::vector<fs::path>& out) {
  std::string_view rest = list == nullptr ? "" : list;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string_view entry = rest.substr(0, colon);
    if (!entry.empty()) out.emplace_back(entry);
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  }
}

// A name is one path component: "pocket", not "../x".
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

Result<fs::path> user_data_dir() {
  const char* data = std::getenv("XDG_DATA_HOME");
  // The specification asks to ignore a relative path.
  if (data != nullptr && data[0] == '/') return fs::path(data) / "incipit";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return fs::path(home) / ".local" / "share" / "incipit";
  return Error{ErrorCode::kNotFound,
               "data directory: want XDG_DATA_HOME or HOME as an absolute path, found neither"};
}

Result<fs::path> user_models_dir() {
  ASSIGN_OR_RETURN(const fs::path data, user_data_dir());
  return data / "models";
}

Result<fs::path> default_model_file() {
  ASSIGN_OR_RETURN(const fs::path data, user_data_dir());
  return data / "default-model";
}

bool is_model_name(const std::string& name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+";
  constexpr size_t kLongest = 100;
  return !name.empty() && name.size() <= kLongest && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

std::string default_model() {
  if (const auto file = default_model_file()) {
    std::ifstream in(*file);
    std::string name;
    if (std::getline(in, name) && is_model_name(name)) return name;
  }
  return kShippedModel;
}

std::vector<fs::path> model_search_path() {
  std::vector<fs::path> path;
  add_listed(std::getenv("INCIPIT_MODEL_PATH"), path);
  if (const auto own = user_models_dir()) path.push_back(*own);
  std::error_code failure;
  const fs::path executable = fs::read_symlink("/proc/self/exe", failure);
  if (!failure) {
    path.push_back(
        (executable.parent_path() / ".." / "share" / "incipit" / "models").lexically_normal());
  }
  const fs::path source_tree = INCIPIT_SOURCE_MODELS;
  if (fs::is_directory(source_tree, failure)) path.push_back(source_tree);
  return path;
}

std::vector<InstalledModel> list_models() {
  std::vector<InstalledModel> models;
  for (const fs::path& directory : model_search_path()) {
    std::vector<fs::path> found;
    std::error_code failure;
    for (fs::directory_iterator it(directory, failure), end; !failure && it != end;
         it.increment(failure)) {
      if (is_model(it->path())) found.push_back(it->path());
    }
    std::sort(found.begin(), found.end());
    for (const fs::path& model : found) {
      const std::string name = model.filename().string();
      const bool hidden =
          std::any_of(models.begin(), models.end(),
                      [&](const InstalledModel& other) { return other.name == name; });
      if (!hidden) models.push_back({name, model});
    }
  }
  return models;
}

Result<fs::path> find_model(const std::string& given) {
  std::error_code ignored;
  const std::string name_or_dir = given.empty() ? default_model() : given;
  const bool is_directory = !given.empty() && fs::is_directory(name_or_dir, ignored);
  if (is_directory && is_checkpoint(name_or_dir)) return fs::path(name_or_dir);
  std::vector<std::string> searched;
  for (const fs::path& directory : model_search_path()) {
    searched.push_back(directory.string());
    if (is_plain_name(name_or_dir) && is_model(directory / name_or_dir)) {
      return directory / name_or_dir;
    }
  }
  if (is_directory) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format("model \"{}\": want a config.json in this directory, found none", name_or_dir)};
  }
  std::vector<std::string> names;
  for (const InstalledModel& model : list_models()) names.push_back(model.name);
  return Error{
      ErrorCode::kNotFound,
      fmt::format("model \"{}\"{}: want a directory with a config.json, or a name in {}; "
                  "found {}",
                  name_or_dir, given.empty() ? " (the default)" : "", fmt::join(searched, ", "),
                  names.empty() ? "no model there"
                                : fmt::format("these names: {}", fmt::join(names, ", ")))};
}

}  // namespace incipit::engine
