#include "engine/tools/model_store.h"

#include <fmt/core.h>

#include <system_error>
#include <utility>

#include "engine/tools/model_directory.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/packed_writer.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

Result<void> write_default(const std::string& name) {
  ASSIGN_OR_RETURN(const fs::path file, default_model_file());
  const std::string line = name + "\n";
  ASSIGN_OR_RETURN(PackedWriter writer,
                   PackedWriter::create(file, static_cast<int64_t>(line.size())));
  TRY(writer.write(0, std::as_bytes(std::span(line))));
  return writer.publish();
}

}  // namespace

Result<void> set_default_model(const std::string& name) {
  if (!is_model_name(name)) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("default model: want a model's name, found \"{}\" (`incipit model add` "
                    "gives a directory one)",
                    name)};
  }
  ASSIGN_OR_RETURN(const fs::path found, find_model(name));
  // A directory that only happens to lie where the command is typed is no model of that name.
  for (const InstalledModel& model : list_models()) {
    if (model.name == name) return write_default(name);
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("default model: want a model's name, found the directory {} (`incipit "
                           "model add` gives it one)",
                           found.string())};
}

Result<RemovedModel> remove_model(const std::string& name) {
  ASSIGN_OR_RETURN(ModelDirectory directory, ModelDirectory::open());
  const fs::path place = directory.model(name);
  std::error_code ignored;
  const bool is_there = is_model_name(name) && fs::exists(fs::symlink_status(place, ignored));
  if (!is_there && name == kShippedModel) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("model \"{}\": want one that was added, found the model that comes "
                             "with incipit, which cannot be removed",
                             name)};
  }
  if (!is_there) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("model \"{}\": want one in {}, found none of that name", name,
                             directory.path().string())};
  }
  const bool is_link = fs::is_symlink(fs::symlink_status(place, ignored));
  if (is_link || !fs::exists(place / kManifestName, ignored)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: want what `incipit model add` made, found something else (remove "
                             "it yourself)",
                             place.string())};
  }
  RemovedModel removed;
  removed.freed_bytes = bytes_in(place);
  removed.was_default = default_model() == name && name != kShippedModel;
  TRY(directory.remove(name));
  if (removed.was_default) {
    if (const auto file = default_model_file()) fs::remove(*file, ignored);
  }
  return removed;
}

}  // namespace incipit::engine
