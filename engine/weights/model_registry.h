// Where models lie on this machine: a name ("pocket") or a directory becomes a directory that
// load_weights() takes: one in Hugging Face layout, or one that `incipit model add` made.
// Stateless; reads the environment and the file system at each call, from any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace incipit::engine {

struct InstalledModel {
  std::string name;                 // the directory's name
  std::filesystem::path directory;  // has a config.json
};

// The model that comes with the program, and the default until the user says otherwise.
inline constexpr const char* kShippedModel = "pocket";

// $XDG_DATA_HOME/incipit or ~/.local/share/incipit; kNotFound when the environment names neither.
Result<std::filesystem::path> user_data_dir();
// Where `incipit model add` puts models: "models" in there.
Result<std::filesystem::path> user_models_dir();
// The file that holds the name of the user's default model.
Result<std::filesystem::path> default_model_file();

// What an empty name means: the user's default model, else kShippedModel.
std::string default_model();

// A name is one path component that can be typed: letters, digits, "-", "_", ".", "+"; not a
// leading dot.
bool is_model_name(const std::string& name);

// Searched in this order: each directory of $INCIPIT_MODEL_PATH (colon separated),
// $XDG_DATA_HOME/incipit/models or ~/.local/share/incipit/models, ../share/incipit/models beside
// the executable's directory, and the source tree's engine/models when this build still has it.
std::vector<std::filesystem::path> model_search_path();

// A directory with a config.json is taken as it is; otherwise a name is looked for along the search
// path; an empty name is the default model. Not found: the error lists where it looked and which
// names exist.
Result<std::filesystem::path> find_model(const std::string& name_or_dir);

// Every model along the search path; the first of a name hides later ones, as find_model() does.
std::vector<InstalledModel> list_models();

}  // namespace incipit::engine
