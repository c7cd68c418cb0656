// A seeded tiny Llama checkpoint in Hugging Face GPTQ layout, with a byte-level tokenizer beside
// it, written into a directory: every file a user's model directory has, small enough for any test.
// Change `config` or the tensors before write() to make a broken one. A tensor's values depend on
// the seed and its name alone, and are exact in fp16, bf16 and fp32: two checkpoints that differ
// only in dtypes, shards or the head's tie hold the same numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace incipit::test {

struct RawTensor {
  std::string name;
  std::string dtype;  // as safetensors spells it
  std::vector<int64_t> shape;
  std::string bytes;
};

// A safetensors file of these tensors, in this order.
std::string safetensors_bytes(const std::vector<RawTensor>& tensors);

enum class TinyHead { kTied, kUntied };
enum class TinyZeros { kSymmetric, kAsymmetric };
enum class TinyGroupIndex { kPresent, kAbsent };

struct TinyOptions {
  uint64_t seed = 1;
  int32_t n_layers = 2;
  int32_t hidden = 128;
  int32_t n_heads = 2;
  int32_t n_kv_heads = 1;
  int32_t head_dim = 64;
  int32_t ffn = 256;
  int32_t vocab = 320;  // at least 267: bytes and special tokens
  int32_t max_positions = 512;
  int32_t group = 128;  // -1: one group a column
  int32_t n_shards = 1;
  TinyHead head = TinyHead::kTied;
  TinyZeros zeros = TinyZeros::kSymmetric;
  TinyGroupIndex group_index = TinyGroupIndex::kPresent;
  std::string checkpoint_format = "gptq";  // "gptq" stores zero - 1, "gptq_v2" stores the zero
  std::string linear_dtype;        // F16, BF16 or F32: linears in full precision, not quantised
  std::string norm_dtype = "F16";  // F16, BF16 or F32
  std::string embedding_dtype = "F16";  // also of an untied head
  bool llama3_rope = false;             // with rope_scaling of type llama3
};

struct TinyCheckpoint {
  nlohmann::json config;  // config.json, quantization_config included
  nlohmann::json tokenizer;
  std::vector<RawTensor> tensors;
  int32_t n_shards = 1;

  RawTensor& tensor(const std::string& name);  // aborts when there is none
  void erase(const std::string& name);
  void write(const std::filesystem::path& dir) const;  // makes the directory
};

TinyCheckpoint make_tiny_checkpoint(const TinyOptions& options = {});
void write_tiny_checkpoint(const std::filesystem::path& dir, const TinyOptions& options = {});

}  // namespace incipit::test
