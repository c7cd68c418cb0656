#include "tests/support/tiny_checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <utility>

#include "kernels/common/check.h"
#include "tests/support/temp_dir.h"

namespace incipit::test {
namespace {

using nlohmann::json;

// 64-bit FNV-1a: seeds each tensor by its name.
uint64_t hash_of(const std::string& text, uint64_t seed) {
  uint64_t hash = 14695981039346656037ULL ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// fp16 bits of a value that fp16 holds exactly.
uint16_t exact_half(double value) {
  if (value == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);  // 0.5 .. 1
  const auto mantissa = static_cast<int>((fraction * 2 - 1) * 1024);
  CHECK_EQ(std::ldexp(1024 + mantissa, exponent - 11), std::abs(value));
  CHECK_GE(exponent, -13);
  return static_cast<uint16_t>((value < 0 ? 0x8000 : 0) | ((exponent + 14) << 10) | mantissa);
}

void append_float(std::string& bytes, const std::string& dtype, double value) {
  const auto single = static_cast<float>(value);
  if (dtype == "F32") {
    append(bytes, single);
  } else if (dtype == "BF16") {
    append(bytes, static_cast<uint16_t>(std::bit_cast<uint32_t>(single) >> 16));
  } else {
    CHECK(dtype == "F16");
    append(bytes, exact_half(value));
  }
}

using Random = std::mt19937_64;

int32_t below(Random& random, int32_t n) {
  return static_cast<int32_t>(random() % static_cast<uint64_t>(n));
}

RawTensor float_tensor(const std::string& name, std::vector<int64_t> shape,
                       const std::string& dtype, uint64_t seed,
                       const std::function<double(Random&)>& draw) {
  RawTensor tensor{name, dtype, std::move(shape), {}};
  int64_t count = 1;
  for (const int64_t extent : tensor.shape) count *= extent;
  Random random(hash_of(name, seed));
  for (int64_t i = 0; i < count; ++i) append_float(tensor.bytes, dtype, draw(random));
  return tensor;
}

// Norm weights in 0.75 .. 1.25; embedding values in -0.5 .. 0.5: seven bits each.
double draw_norm(Random& random) {
  return (96 + below(random, 64)) / 128.0;
}
double draw_embedding(Random& random) {
  return (below(random, 255) - 127) / 256.0;
}

// The tensors of one linear with `rows` outputs and `cols` inputs, GPTQ layout (inputs first).
void add_linear(std::vector<RawTensor>& tensors, const std::string& name, int32_t rows,
                int32_t cols, const TinyOptions& options) {
  if (!options.linear_dtype.empty()) {
    tensors.push_back(float_tensor(name + ".weight", {rows, cols}, options.linear_dtype,
                                   options.seed, draw_embedding));
    return;
  }
  const int32_t group = options.group < 0 ? cols : options.group;
  const int32_t n_groups = (cols + group - 1) / group;
  const bool stores_less_one = options.checkpoint_format != "gptq_v2";
  Random random(hash_of(name, options.seed));

  RawTensor qweight{name + ".qweight", "I32", {cols / 8, rows}, {}};
  for (int32_t i = 0; i < cols / 8 * rows; ++i) {
    append(qweight.bytes, static_cast<uint32_t>(random()));
  }
  RawTensor qzeros{name + ".qzeros", "I32", {n_groups, rows / 8}, {}};
  for (int32_t i = 0; i < n_groups * rows / 8; ++i) {
    uint32_t word = 0;
    for (int32_t j = 0; j < 8; ++j) {
      // 1 .. 15 can be stored in both conventions.
      const int32_t zero = options.zeros == TinyZeros::kSymmetric ? 8 : 1 + below(random, 15);
      word |= static_cast<uint32_t>(zero - (stores_less_one ? 1 : 0)) << (4 * j);
    }
    append(qzeros.bytes, word);
  }
  // q - 8 has a deviation of 4.6, so outputs keep the inputs' size; 11-bit mantissas.
  const int exponent = static_cast<int>(std::floor(std::log2(1 / (4.6 * std::sqrt(cols)))));
  RawTensor scales{name + ".scales", "F16", {n_groups, rows}, {}};
  for (int32_t i = 0; i < n_groups * rows; ++i) {
    append_float(scales.bytes, "F16", std::ldexp(1024 + below(random, 1024), exponent - 10));
  }
  RawTensor g_idx{name + ".g_idx", "I32", {cols}, {}};
  for (int32_t k = 0; k < cols; ++k) append(g_idx.bytes, k / group);

  tensors.push_back(std::move(qweight));
  tensors.push_back(std::move(qzeros));
  tensors.push_back(std::move(scales));
  if (options.group_index == TinyGroupIndex::kPresent) tensors.push_back(std::move(g_idx));
}

std::vector<RawTensor> make_tensors(const TinyOptions& o) {
  std::vector<RawTensor> tensors;
  const std::vector<int64_t> table = {o.vocab, o.hidden};
  const auto norm = [&](const std::string& name) {
    tensors.push_back(float_tensor(name, {o.hidden}, o.norm_dtype, o.seed, draw_norm));
  };
  tensors.push_back(
      float_tensor("model.embed_tokens.weight", table, o.embedding_dtype, o.seed, draw_embedding));
  for (int32_t i = 0; i < o.n_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    norm(layer + "input_layernorm.weight");
    norm(layer + "post_attention_layernorm.weight");
    const int32_t q_rows = o.n_heads * o.head_dim;
    const int32_t kv_rows = o.n_kv_heads * o.head_dim;
    add_linear(tensors, layer + "self_attn.q_proj", q_rows, o.hidden, o);
    add_linear(tensors, layer + "self_attn.k_proj", kv_rows, o.hidden, o);
    add_linear(tensors, layer + "self_attn.v_proj", kv_rows, o.hidden, o);
    add_linear(tensors, layer + "self_attn.o_proj", o.hidden, q_rows, o);
    add_linear(tensors, layer + "mlp.gate_proj", o.ffn, o.hidden, o);
    add_linear(tensors, layer + "mlp.up_proj", o.ffn, o.hidden, o);
    add_linear(tensors, layer + "mlp.down_proj", o.hidden, o.ffn, o);
  }
  norm("model.norm.weight");
  if (o.head == TinyHead::kUntied) {
    tensors.push_back(
        float_tensor("lm_head.weight", table, o.embedding_dtype, o.seed, draw_embedding));
  }
  return tensors;
}

std::string utf8(uint32_t code_point) {  // below U+0800 is all the byte alphabet needs
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 63))};
}

// GPT-2's alphabet: a character for each byte, printable ones stand for themselves.
std::vector<std::string> byte_alphabet() {
  std::vector<uint32_t> code_points;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    code_points.push_back(printable ? byte : next++);
  }
  std::sort(code_points.begin(), code_points.end());
  std::vector<std::string> alphabet;
  for (const uint32_t code_point : code_points) alphabet.push_back(utf8(code_point));
  return alphabet;
}

const std::vector<std::string>& special_names() {
  static const std::vector<std::string> names = {
      "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
      "<|eot_id|>",        "<|fim_prefix|>",  "<|fim_suffix|>",      "<|fim_middle|>",
      "<|fim_pad|>",       "<|repo_name|>",   "<|file_sep|>"};
  return names;
}

// Byte tokens, then merges while there is room, then the special tokens.
json make_tokenizer(int32_t vocab_size) {
  json vocab = json::object();
  for (const std::string& token : byte_alphabet()) vocab[token] = vocab.size();
  json merges = json::array();
  const size_t n_tokens = static_cast<size_t>(vocab_size) - special_names().size();
  const std::string space = utf8(288);
  const auto merge = [&](const std::string& left, const std::string& right) {
    if (vocab.size() >= n_tokens || vocab.contains(left + right)) return;
    vocab[left + right] = vocab.size();
    merges.push_back(left + " " + right);
  };
  merge(space, space);
  merge(space + space, space + space);
  for (const char* left : {"r", "e", "i", "o", "s"}) {
    for (const char* right : {"e", "n", "t", "r", "f", "s", "d", "l", "a"}) merge(left, right);
  }
  merge("re", "t");
  merge("ret", "r");
  for (const char left : std::string("abcdghklmnptuvwxy")) {
    for (const char right : std::string("aeioutnrs")) {
      merge(std::string(1, left), std::string(1, right));
    }
  }
  json added = json::array();
  auto id = static_cast<int64_t>(vocab.size());
  for (const std::string& name : special_names()) {
    added.push_back({{"id", id++},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const char* split =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             {{{"type", "Split"},
               {"pattern", {{"Regex", split}}},
               {"behavior", "Isolated"},
               {"invert", false}},
              byte_level}}}},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", true},
            {"vocab", vocab},
            {"merges", merges}}}};
}

json make_config(const TinyOptions& o, const json& tokenizer) {
  const auto special = [&](size_t i) { return tokenizer["added_tokens"][i]["id"]; };
  json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"hidden_size", o.hidden},
                 {"intermediate_size", o.ffn},
                 {"num_hidden_layers", o.n_layers},
                 {"num_attention_heads", o.n_heads},
                 {"num_key_value_heads", o.n_kv_heads},
                 {"head_dim", o.head_dim},
                 {"vocab_size", o.vocab},
                 {"max_position_embeddings", o.max_positions},
                 {"rope_theta", 10000.0},
                 {"rope_scaling", nullptr},
                 {"rms_norm_eps", 1e-5},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", o.head == TinyHead::kTied},
                 {"bos_token_id", special(0)},
                 {"eos_token_id", {special(1), special(4)}},
                 {"quantization_config",
                  {{"bits", 4},
                   {"group_size", o.group},
                   {"desc_act", false},
                   {"sym", o.zeros == TinyZeros::kSymmetric},
                   {"quant_method", "gptq"},
                   {"checkpoint_format", o.checkpoint_format}}}};
  if (!o.linear_dtype.empty()) config.erase("quantization_config");
  if (o.llama3_rope) {
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", 8.0},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 64}};
  }
  return config;
}

}  // namespace

std::string safetensors_bytes(const std::vector<RawTensor>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  size_t offset = 0;
  for (const RawTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string file;
  append(file, static_cast<uint64_t>(text.size()));
  file += text;
  for (const RawTensor& tensor : tensors) file += tensor.bytes;
  return file;
}

RawTensor& TinyCheckpoint::tensor(const std::string& name) {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const RawTensor& tensor) { return tensor.name == name; });
  CHECK(it != tensors.end());
  return *it;
}

void TinyCheckpoint::erase(const std::string& name) {
  tensors.erase(tensors.begin() + (&tensor(name) - tensors.data()));
}

void TinyCheckpoint::write(const std::filesystem::path& dir) const {
  std::filesystem::create_directories(dir);
  write_file(dir / "config.json", config.dump(2));
  write_file(dir / "tokenizer.json", tokenizer.dump());
  if (n_shards == 1) {
    write_file(dir / "model.safetensors", safetensors_bytes(tensors));
    return;
  }
  json weight_map;
  size_t total = 0;
  for (int32_t shard = 0; shard < n_shards; ++shard) {
    char name[64];
    std::snprintf(name, sizeof(name), "model-%05d-of-%05d.safetensors", shard + 1, n_shards);
    std::vector<RawTensor> part;
    for (size_t i = static_cast<size_t>(shard); i < tensors.size();
         i += static_cast<size_t>(n_shards)) {
      part.push_back(tensors[i]);
      weight_map[tensors[i].name] = name;
      total += tensors[i].bytes.size();
    }
    write_file(dir / name, safetensors_bytes(part));
  }
  const json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  write_file(dir / "model.safetensors.index.json", index.dump(2));
}

TinyCheckpoint make_tiny_checkpoint(const TinyOptions& options) {
  CHECK_GE(options.vocab, static_cast<int32_t>(256 + special_names().size()));
  TinyCheckpoint checkpoint;
  checkpoint.tokenizer = make_tokenizer(options.vocab);
  checkpoint.config = make_config(options, checkpoint.tokenizer);
  checkpoint.tensors = make_tensors(options);
  checkpoint.n_shards = options.n_shards;
  return checkpoint;
}

void write_tiny_checkpoint(const std::filesystem::path& dir, const TinyOptions& options) {
  make_tiny_checkpoint(options).write(dir);
}

}  // namespace incipit::test
