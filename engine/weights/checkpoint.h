// Checkpoint: all tensors of a model directory, from one safetensors file or from the shards that
// model.safetensors.index.json names, or those of a GGUF file. Opened on the loading thread;
// immutable afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/result.h"
#include "engine/weights/tensor_file.h"

namespace incipit::engine {

class Checkpoint {
 public:
  // Files are looked for in this order: model.safetensors, model.safetensors.index.json, the only
  // *.safetensors in the directory.
  static Result<Checkpoint> open(const std::filesystem::path& dir);
  // A GGUF file, under Hugging Face's tensor names (gguf_model.h).
  static Result<Checkpoint> from_gguf(TensorFile file, int32_t head_dim);

  const Tensor* find(std::string_view name) const;  // nullptr: not in the checkpoint
  // The tensor with this very shape and one of these types, or an error naming file, tensor, wanted
  // and found.
  Result<const Tensor*> require(const std::string& name, std::span<const int64_t> shape,
                                std::span<const TensorType> types) const;
  // "dir/model.safetensors" of a tensor that exists; the directory of one that does not.
  std::string where(std::string_view name) const;

  // TensorFile::release() of a tensor that exists; of another nothing.
  void release(std::string_view name) const;

  const std::vector<TensorFile>& files() const { return files_; }
  // Of a GGUF file: rows of q and k lie as gguf_row() says, in heads of this size; 0: as they are.
  int32_t paired_head_dim() const { return paired_head_dim_; }

 private:
  Checkpoint() = default;
  Result<void> open_shards(const std::filesystem::path& index_path);

  std::filesystem::path dir_;
  std::vector<TensorFile> files_;
  std::unordered_map<std::string, size_t> file_of_;  // only when sharded
  int32_t paired_head_dim_ = 0;
};

// The files that open() would read, the index included; for whoever shows or checks them.
Result<std::vector<std::filesystem::path>> checkpoint_files(const std::filesystem::path& dir);

}  // namespace incipit::engine
