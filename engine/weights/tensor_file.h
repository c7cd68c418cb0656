// TensorFile: one safetensors file, mapped read-only. Every length, offset, size, dtype and shape
// in its header is checked before it is used, so a Tensor's bytes can be read without further
// checks. Opened on the loading thread; immutable afterwards. (Format: u64 little-endian header
// length, JSON header, data; https://huggingface.co/docs/safetensors.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/result.h"

namespace incipit::engine {

enum class TensorType {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
  // Blocks of GGUF, which safetensors does not have.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4K,
  kQ5K,
  kQ6K
};
const char* name_of(TensorType type);  // as the file spells it: "F16"
int64_t size_of(TensorType type);      // bytes of one element; 0 of a block type

// A borrowed tensor: valid as long as the TensorFile it came from. The data has no alignment.
struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // row-major, little-endian, exactly the product of shape

  int64_t n_elements() const;  // the product of shape
};

// "[2, 128]".
std::string describe_shape(std::span<const int64_t> shape);

class TensorFile {
 public:
  static Result<TensorFile> open(const std::filesystem::path& path);
  // The same checks over bytes in memory, which must outlive the result; `where` names them in
  // errors.
  static Result<TensorFile> parse(std::span<const std::byte> bytes, const std::string& where);
  // Tensors that another format's reader has checked; `mapping` keeps their bytes alive.
  static Result<TensorFile> from_tensors(const std::string& where,
                                         std::span<const std::byte> header, int64_t size_bytes,
                                         std::vector<Tensor> tensors,
                                         std::shared_ptr<const void> mapping);

  const std::string& where() const { return where_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of their data
  const Tensor* find(std::string_view name) const;                 // nullptr: not in this file
  std::span<const std::byte> header() const { return header_; }    // length and JSON
  int64_t size_bytes() const { return size_bytes_; }
  // Takes the pages of a mapped tensor of this file out of this process's memory; reading it again
  // brings them back. Nothing where bytes are borrowed.
  void release(const Tensor& tensor) const;

 private:
  TensorFile() = default;

  std::shared_ptr<const void> mapping_;  // null when the bytes are borrowed
  std::string where_;
  std::span<const std::byte> header_;
  int64_t size_bytes_ = 0;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace incipit::engine
