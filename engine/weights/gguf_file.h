// GgufFile: one GGUF file (version 2 or 3), mapped read-only: metadata, and tensors under their own
// names. Every length, count, offset, type and shape is checked before it is used, so a tensor's
// bytes can be read without further checks. Opened on the loading thread; immutable afterwards.
// (Format: "GGUF", u32 version, u64 number of tensors, u64 number of metadata entries; entries;
// tensor descriptions; data at a multiple of general.alignment. https://github.com/ggml-org/ggml)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "engine/weights/tensor_file.h"

namespace incipit::engine {

// Integers of every width are int64_t, both floats are double; strings point into the file.
using GgufValue = std::variant<int64_t, double, bool, std::string_view, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string_view>>;

class GgufFile {
 public:
  static Result<GgufFile> open(const std::filesystem::path& path);
  // The same checks over bytes in memory, which must outlive the result; `where` names them in
  // errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& where);

  const std::string& where() const { return where_; }
  // Everything before the data: what two files of the same size and time would differ in.
  std::span<const std::byte> header() const { return header_; }
  int64_t size_bytes() const { return size_bytes_; }
  const std::shared_ptr<const void>& mapping() const { return mapping_; }

  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  // Shapes are outermost first, as in safetensors: [outputs, inputs].
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const;  // nullptr: not in this file

  // A value of one kind; nullptr when there is none of that name.
  template <class T>
  const T* value(std::string_view key) const {
    const auto it = metadata_.find(key);
    return it == metadata_.end() ? nullptr : std::get_if<T>(&it->second);
  }

 private:
  GgufFile() = default;

  std::shared_ptr<const void> mapping_;  // null when the bytes are borrowed
  std::string where_;
  std::span<const std::byte> header_;
  int64_t size_bytes_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<Tensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace incipit::engine
