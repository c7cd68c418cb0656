// Where models lie on this machine: a name ("pocket") or a directory becomes the directory of a
// checkpoint in Hugging Face layout. Stateless; reads the environment and the file system at each
// call, from any thread.
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

// Searched in this order: each directory of $INCIPIT_MODEL_PATH (colon separated),
// $XDG_DATA_HOME/incipit/models or ~/.local/share/incipit/models, ../share/incipit/models beside
// the executable's directory, and the source tree's engine/models when this build still has it.
std::vector<std::filesystem::path> model_search_path();

// A directory with a config.json is taken as it is; otherwise a name is looked for along the search
// path. Not found: the error lists where it looked and which names exist.
Result<std::filesystem::path> find_model(const std::string& name_or_dir);

// Every model along the search path; the first of a name hides later ones, as find_model() does.
std::vector<InstalledModel> list_models();

}  // namespace incipit::engine
