#include "engine/weights/checkpoint.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/config/json_fields.h"
#include "engine/config/shard_index.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

// Older quantisers name their one file gptq_model-4bit-128g.safetensors and alike.
Result<fs::path> only_safetensors_file(const fs::path& dir) {
  std::vector<fs::path> found;
  std::string none = "no safetensors file";
  std::error_code failure;
  for (fs::directory_iterator it(dir, failure), end; !failure && it != end; it.increment(failure)) {
    const fs::path extension = it->path().extension();
    if (extension == ".safetensors") found.push_back(it->path());
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
      none = fmt::format("{}, a PyTorch pickle, which can run code when it is opened",
                         it->path().filename().string());
  }
  if (failure) {
    return Error{ErrorCode::kIo, fmt::format("{}: {}", dir.string(), failure.message())};
  }
  if (found.size() == 1) return found[0];
  return Error{
      ErrorCode::kNotFound,
      fmt::format("{}: want {}, {} or one *.safetensors, found {}", dir.string(), kSingleName,
                  kIndexName,
                  found.empty() ? none : fmt::format("{} of them and no index", found.size()))};
}

std::string describe_types(std::span<const TensorType> types) {
  std::vector<const char*> names;
  for (const TensorType type : types) names.push_back(name_of(type));
  return fmt::format("{}", fmt::join(names, " or "));
}

}  // namespace

Result<std::vector<fs::path>> checkpoint_files(const fs::path& dir) {
  std::error_code ignored;
  if (fs::exists(dir / kSingleName, ignored)) return std::vector<fs::path>{dir / kSingleName};
  const fs::path index = dir / kIndexName;
  const auto text = read_text_file(index);
  if (text.ok()) {
    ASSIGN_OR_RETURN(const auto shards, parse_shard_index(*text, index.string()));
    std::vector<fs::path> files = {index};
    for (const auto& [tensor, file] : shards) {
      if (std::find(files.begin(), files.end(), dir / file) == files.end()) {
        files.push_back(dir / file);
      }
    }
    std::sort(files.begin() + 1, files.end());
    return files;
  }
  if (text.error().code != ErrorCode::kNotFound) return text.error();
  ASSIGN_OR_RETURN(const fs::path only, only_safetensors_file(dir));
  return std::vector<fs::path>{only};
}

Result<Checkpoint> Checkpoint::open(const fs::path& dir) {
  Checkpoint checkpoint;
  checkpoint.dir_ = dir;
  ASSIGN_OR_RETURN(const auto paths, checkpoint_files(dir));
  if (paths[0].filename() == kIndexName) {
    TRY(checkpoint.open_shards(paths[0]));
    return checkpoint;
  }
  ASSIGN_OR_RETURN(TensorFile file, TensorFile::open(paths[0]));
  checkpoint.files_.push_back(std::move(file));
  return checkpoint;
}

Result<Checkpoint> Checkpoint::from_gguf(TensorFile file, int32_t head_dim) {
  Checkpoint checkpoint;
  checkpoint.dir_ = fs::path(file.where()).parent_path();
  checkpoint.files_.push_back(std::move(file));
  checkpoint.paired_head_dim_ = head_dim;
  return checkpoint;
}

Result<void> Checkpoint::open_shards(const fs::path& index_path) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(index_path));
  ASSIGN_OR_RETURN(const auto shards, parse_shard_index(text, index_path.string()));
  std::unordered_map<std::string, size_t> opened;
  for (const auto& [tensor, name] : shards) {
    auto it = opened.find(name);
    if (it == opened.end()) {
      ASSIGN_OR_RETURN(TensorFile file, TensorFile::open(dir_ / name));
      it = opened.emplace(name, files_.size()).first;
      files_.push_back(std::move(file));
    }
    if (files_[it->second].find(tensor) == nullptr) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: {}: want this tensor, as {} says, found nothing",
                               (dir_ / name).string(), tensor, kIndexName)};
    }
    file_of_.emplace(tensor, it->second);
  }
  return {};
}

const Tensor* Checkpoint::find(std::string_view name) const {
  if (file_of_.empty()) return files_.empty() ? nullptr : files_[0].find(name);
  const auto it = file_of_.find(std::string(name));
  return it == file_of_.end() ? nullptr : files_[it->second].find(name);
}

void Checkpoint::release(std::string_view name) const {
  for (const TensorFile& file : files_) {
    const Tensor* tensor = file.find(name);
    if (tensor != nullptr) file.release(*tensor);
  }
}

std::string Checkpoint::where(std::string_view name) const {
  if (file_of_.empty()) return files_.empty() ? dir_.string() : files_[0].where();
  const auto it = file_of_.find(std::string(name));
  return it == file_of_.end() ? (dir_ / kIndexName).string() : files_[it->second].where();
}

Result<const Tensor*> Checkpoint::require(const std::string& name, std::span<const int64_t> shape,
                                          std::span<const TensorType> types) const {
  const std::string want = fmt::format("{} {}", describe_types(types), describe_shape(shape));
  const Tensor* tensor = find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("{}: {}: want {}, found no such tensor", where(name), name, want)};
  }
  const bool type_fits = std::find(types.begin(), types.end(), tensor->type) != types.end();
  if (!type_fits ||
      !std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
    return Error{type_fits ? ErrorCode::kCorrupt : ErrorCode::kUnsupported,
                 fmt::format("{}: {}: want {}, found {} {}", where(name), name, want,
                             name_of(tensor->type), describe_shape(tensor->shape))};
  }
  return tensor;
}

}  // namespace incipit::engine
