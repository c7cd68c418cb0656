#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/model_store.h"
#include "engine/weights/block_formats.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/gguf_file.h"
#include "engine/weights/gguf_model.h"
#include "engine/weights/gguf_tokenizer.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/weights.h"
#include "tests/support/environment.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::GgufBuilder;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint32_t kF32Type = 0, kQ4KType = 12;

Result<GgufFile> parsed(const std::string& bytes) {
  return GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf");
}

// tests/golden/gguf/blocks.gguf, made by tests/oracle/formats/make_gguf.py: blocks of random bits
// of each type, and the numbers that they stand for.
TEST(GgufBlocks, AreReadAsTheirDescriptionsSay) {
  const auto file = GgufFile::open(INCIPIT_SOURCE_DIR "/tests/golden/gguf/blocks.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"}) {
    SCOPED_TRACE(type);
    const Tensor* blocks = file->find(type);
    const Tensor* wanted = file->find(std::string(type) + ".wanted");
    ASSERT_TRUE(blocks != nullptr && wanted != nullptr);
    EXPECT_STREQ(name_of(blocks->type), type);
    const auto n = static_cast<size_t>(blocks->n_elements());
    ASSERT_EQ(n, 2U * static_cast<size_t>(block_shape(blocks->type).n_elements));
    std::vector<float> got(n), want(n);
    copy_floats(*blocks, 0, got);
    copy_floats(*wanted, 0, want);
    for (size_t i = 0; i < n; ++i)
      ASSERT_NEAR(got[i], want[i], 1e-6 * (1 + std::fabs(want[i]))) << i;
    // From the second block on.
    std::vector<float> tail(n / 2);
    copy_floats(*blocks, static_cast<int64_t>(n / 2), tail);
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), got.begin() + static_cast<int64_t>(n / 2)));
  }
}

TEST(GgufFile, NamesWhatIsWrongWithAFile) {
  GgufBuilder good;
  good.add("general.architecture", "llama");
  good.add_tensor("a", {2, 32}, kF32Type, std::string(256, 'x'));
  good.add_tensor("b", {256}, kQ4KType, std::string(144, 'x'));
  ASSERT_TRUE(parsed(good.file()).ok()) << parsed(good.file()).error().message;

  const auto number = [](auto value) { return GgufBuilder::bytes(value); };
  const auto text = [](const std::string& string) { return GgufBuilder::string(string); };
  struct Wrong {
    std::string bytes;
    const char* says;
  };
  std::vector<Wrong> table = {
      {"", "magic: want 4 bytes"},
      {"GGML1234", "magic: want GGUF"},
      {"GGUF" + number(uint32_t{1}), "version: want 2 or 3"},
      {"GGUF" + number(uint32_t{0x03000000}), "little-endian, found 50331648"},
      {"GGUF" + number(uint32_t{3}) + number(uint64_t{0}) + number(uint64_t{1} << 60),
       "number of metadata entries: want at most 0"},
      {"GGUF" + number(uint32_t{3}) + number(uint64_t{1} << 60) + number(uint64_t{0}),
       "number of tensors: want at most 0"},
  };
  const auto with_entry = [&](const std::string& entry, const char* says) {
    GgufBuilder builder = good;
    builder.add_raw(entry);
    table.push_back({builder.file(), says});
  };
  with_entry(text(std::string(70000, 'k')) + number(uint32_t{8}), "a metadata key: want a string");
  with_entry(number(uint64_t{1} << 40), "a metadata key: want a string of at most 65535");
  with_entry(text("k") + number(uint32_t{13}), "k: want a type in 0..12, found 13");
  with_entry(text("k") + number(uint32_t{8}) + number(uint64_t{1} << 50), "k: want a string of");
  with_entry(text("k") + number(uint32_t{9}) + number(uint32_t{4}) + number(uint64_t{1} << 61),
             "k: want at most");
  with_entry(text("k") + number(uint32_t{9}) + number(uint32_t{9}) + number(uint64_t{1}),
             "k: want values in an array, found arrays");
  with_entry(text("general.architecture") + number(uint32_t{8}) + text("x"), "each key once");
  with_entry(text("general.alignment") + number(uint32_t{4}) + number(uint32_t{24}),
             "general.alignment: want a power of two");
  const auto with_tensor = [&](const std::string& name, std::vector<int64_t> shape, uint32_t type,
                               const char* says) {
    GgufBuilder builder = good;
    builder.add_tensor(name, std::move(shape), type, "");
    table.push_back({builder.file(), says});
  };
  with_tensor("c", {4}, 20, "c: type: want one of F32, F16, Q4_0");
  with_tensor("c", {4}, 20, "found IQ4_NL (20)");
  with_tensor("c", {1, 1, 1, 1, 1}, 0, "c: want at most 4 dimensions");
  with_tensor("c", {0}, 0, "c: want sizes from 1");
  with_tensor("c", {int64_t{1} << 40, int64_t{1} << 40}, 0, "c: want at most the file's");
  with_tensor("c", {100}, kQ4KType, "c: want rows of a multiple of 256 elements for Q4_K");
  with_tensor("c", {1}, 0, "c: want 4 bytes at a multiple of 32");
  GgufBuilder twice = good;
  twice.add_tensor("a", {1}, 0, "1234");
  table.push_back({twice.file(), "want each name once, found a twice"});
  std::string overlap = good.file();
  const std::string b_row =
      text("b") + number(uint32_t{1}) + number(uint64_t{256}) + number(uint32_t{kQ4KType});
  overlap.replace(overlap.find(b_row) + b_row.size(), 8, number(uint64_t{224}));
  table.push_back({overlap, "b: overlaps a: want data at offset 256 or later, found 224"});
  for (const Wrong& wrong : table) {
    const auto file = parsed(wrong.bytes);
    ASSERT_FALSE(file.ok()) << wrong.says;
    EXPECT_THAT(file.error().message, AllOf(HasSubstr("m.gguf: "), HasSubstr(wrong.says)));
  }
}

TEST(GgufFile, RefusesEveryTruncationOfASmallFile) {
  GgufBuilder builder;
  builder.add("general.architecture", "llama");
  builder.add("tokens", std::vector<std::string>{"a", "bc"});
  builder.add_tensor("a", {8}, kF32Type, std::string(32, 'x'));
  const std::string whole = builder.file();
  ASSERT_TRUE(parsed(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parsed(whole.substr(0, n)).ok()) << n;
}

// What convert_hf_to_gguf.py makes of a checkpoint in full precision: other names, rows of q and k
// in pairs, configuration and tokenizer as metadata.
GgufBuilder gguf_of(const test::TinyCheckpoint& tiny, const test::TinyOptions& options) {
  GgufBuilder builder;
  builder.add("general.architecture", "llama");
  builder.add("llama.embedding_length", static_cast<uint32_t>(options.hidden));
  builder.add("llama.feed_forward_length", static_cast<uint32_t>(options.ffn));
  builder.add("llama.block_count", static_cast<uint32_t>(options.n_layers));
  builder.add("llama.attention.head_count", static_cast<uint32_t>(options.n_heads));
  builder.add("llama.attention.head_count_kv", static_cast<uint32_t>(options.n_kv_heads));
  builder.add("llama.context_length", static_cast<uint32_t>(options.max_positions));
  builder.add("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  builder.add("llama.rope.freq_base", 10000.0F);
  std::vector<std::string> tokens(static_cast<size_t>(options.vocab));
  std::vector<int32_t> types(tokens.size(), 5);  // unused
  for (size_t id = 0; id < tokens.size(); ++id) tokens[id] = "[PAD" + std::to_string(id) + "]";
  for (const auto& [spelling, id] : tiny.tokenizer["model"]["vocab"].items()) {
    tokens[id.get<size_t>()] = spelling;
    types[id.get<size_t>()] = 1;
  }
  for (const auto& added : tiny.tokenizer["added_tokens"]) {
    tokens[added["id"].get<size_t>()] = added["content"];
    types[added["id"].get<size_t>()] = 3;
  }
  builder.add("tokenizer.ggml.model", "gpt2");
  builder.add("tokenizer.ggml.pre", "llama-bpe");
  builder.add("tokenizer.ggml.tokens", tokens);
  builder.add("tokenizer.ggml.token_type", types);
  builder.add("tokenizer.ggml.merges",
              tiny.tokenizer["model"]["merges"].get<std::vector<std::string>>());
  builder.add("tokenizer.ggml.bos_token_id", tiny.config["bos_token_id"].get<uint32_t>());
  builder.add("tokenizer.ggml.eos_token_id", tiny.config["eos_token_id"][0].get<uint32_t>());
  builder.add("tokenizer.ggml.eot_token_id", tiny.config["eos_token_id"][1].get<uint32_t>());
  const std::vector<std::pair<std::string, std::string>> names = {
      {"model.embed_tokens.", "token_embd."},
      {"model.norm.", "output_norm."},
      {"model.layers.", "blk."},
      {"input_layernorm.", "attn_norm."},
      {"post_attention_layernorm.", "ffn_norm."},
      {"self_attn.q_proj.", "attn_q."},
      {"self_attn.k_proj.", "attn_k."},
      {"self_attn.v_proj.", "attn_v."},
      {"self_attn.o_proj.", "attn_output."},
      {"mlp.gate_proj.", "ffn_gate."},
      {"mlp.up_proj.", "ffn_up."},
      {"mlp.down_proj.", "ffn_down."}};
  for (const test::RawTensor& tensor : tiny.tensors) {
    std::string name = tensor.name;
    for (const auto& [from, to] : names) {
      const size_t at = name.find(from);
      if (at != std::string::npos) name.replace(at, from.size(), to);
    }
    std::string bytes = tensor.bytes;
    if (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight")) {
      const auto dim = static_cast<size_t>(options.head_dim);
      const size_t row_bytes = static_cast<size_t>(tensor.shape[1]) * 4;
      for (size_t row = 0; row < static_cast<size_t>(tensor.shape[0]); ++row) {
        const size_t head = row / dim, pair = row % dim / 2, half = row % 2;
        const size_t from = head * dim + half * dim / 2 + pair;
        bytes.replace(row * row_bytes, row_bytes, tensor.bytes, from * row_bytes, row_bytes);
      }
    }
    builder.add_tensor(name, tensor.shape, kF32Type, bytes);
  }
  return builder;
}

struct GgufModel : ::testing::Test {
  test::TempDir dir;
  test::Environment home{"HOME", (dir / "home").string()};
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  test::Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()};
  test::TinyOptions options;

  GgufModel() { options.linear_dtype = options.norm_dtype = options.embedding_dtype = "F32"; }
};

TEST_F(GgufModel, IsTheModelOfTheDirectoryThatItWasMadeFrom) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  tiny.write(dir / "plain");
  test::write_file(dir / "tiny.f32.gguf", gguf_of(tiny, options).file());
  QuantizeOptions rounded;
  rounded.method = QuantizeMethod::kRtn;
  const auto plain = add_model({dir / "plain", "", rounded});
  const auto gguf = add_model({dir / "tiny.f32.gguf", "", rounded});
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  EXPECT_EQ(gguf->name, "tiny.f32");
  EXPECT_EQ(gguf->format, "GGUF");
  EXPECT_EQ(gguf->conversion, plain->conversion);
  EXPECT_THAT(gguf->conversion, HasSubstr("re-quantised: 14 of 14 linears"));
  const auto wanted = load_weights(plain->directory, {}), got = load_weights(gguf->directory, {});
  ASSERT_TRUE(wanted.ok() && got.ok()) << got.error().message;
  EXPECT_TRUE(test::bytes_of(*got) == test::bytes_of(*wanted));
  EXPECT_EQ(got->config.eos, wanted->config.eos);
  EXPECT_EQ(got->config.bos, wanted->config.bos);
  EXPECT_EQ(got->config.norm_eps, wanted->config.norm_eps);
  EXPECT_EQ(got->config.tied_head, wanted->config.tied_head);
  EXPECT_EQ(add_model({dir / "tiny.f32.gguf", ""}).value().outcome,
            AddedModel::Outcome::kAlreadyThere);

  const auto theirs = Tokenizer::load(plain->directory / "tokenizer.json").value();
  const auto ours = Tokenizer::load(gguf->directory / "tokenizer.json").value();
  EXPECT_EQ(ours->vocab_size(), theirs->vocab_size());
  for (const char* text :
       {"def mean(values):\n    return  1234", "größe\r\n\t\"don't\"", "<|eot_id|>"}) {
    EXPECT_EQ(ours->encode(text), theirs->encode(text)) << text;
  }
  EXPECT_EQ(ours->special("<|eot_id|>"), theirs->special("<|eot_id|>"));
}

TEST_F(GgufModel, ReadsTheScalingOfRopeFromItsDivisors) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  for (const double factor : {8.0, 32.0, 5.0}) {
    GgufBuilder builder = gguf_of(tiny, options);
    std::string divisors;
    for (int i = 0; i < 32; ++i) {
      const double wavelength = 2 * std::numbers::pi * std::pow(10000.0, i / 32.0);
      const double smooth = (8192 / wavelength - 1) / 3;
      const double divisor = wavelength < 2048   ? 1
                             : wavelength > 8192 ? factor
                                                 : 1 / ((1 - smooth) / factor + smooth);
      divisors += GgufBuilder::bytes(static_cast<float>(divisor));
    }
    builder.add_tensor("rope_freqs.weight", {32}, kF32Type, divisors);
    const std::string bytes = builder.file();
    const auto json = gguf_config_json(parsed(bytes).value());
    if (factor == 5) {
      ASSERT_FALSE(json.ok());
      EXPECT_THAT(json.error().message, HasSubstr("rope_freqs.weight: want the divisors of Llama"));
      continue;
    }
    const auto config = parse_model_config(json.value(), "m.gguf");
    ASSERT_TRUE(config.ok()) << config.error().message;
    ASSERT_TRUE(config->rope_scaling.has_value());
    EXPECT_EQ(config->rope_scaling->factor, factor);
  }
}

TEST_F(GgufModel, ReadsTheNumbersOfYarn) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  const auto config_with = [&](const std::string& key, float number) {
    GgufBuilder builder = gguf_of(tiny, options);
    builder.add("llama.rope.scaling.type", "yarn");
    builder.add("llama.rope.scaling.factor", 4.0F);
    builder.add("llama.rope.scaling.original_context_length", uint32_t{512});
    builder.add("llama.rope.scaling.yarn_beta_fast", 24.0F);
    builder.add("llama.rope.scaling." + key, number);
    const std::string bytes = builder.file();
    return gguf_config_json(parsed(bytes).value());
  };
  const auto json = config_with("yarn_beta_slow", 2.0F);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto config = parse_model_config(json.value(), "m.gguf");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->rope_scaling->factor, 4);
  EXPECT_EQ(config->rope_scaling->beta_fast, 24);
  EXPECT_EQ(config->rope_scaling->beta_slow, 2);
  const auto other = config_with("yarn_attn_factor", 1.5F);
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message,
              HasSubstr("llama.rope.scaling.yarn_attn_factor: want 1, found 1.5"));
}

TEST_F(GgufModel, RefusesByNameWhatItCannotRun) {
  struct Wrong {
    const char* key;
    const char* value;
    const char* says;
  };
  for (const Wrong& wrong :
       {Wrong{"general.architecture", "qwen2", "general.architecture: want llama, found qwen2"},
        Wrong{"tokenizer.ggml.model", "bert", "tokenizer.ggml.model: want gpt2"},
        Wrong{"tokenizer.ggml.pre", "qwen2", "tokenizer.ggml.pre: want llama-bpe, found qwen2"},
        Wrong{"llama.rope.scaling.type", "longrope",
              "scaling.type: want none, linear or yarn, found longrope"}}) {
    GgufBuilder builder;
    for (const char* key : {"general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.pre",
                            "llama.rope.scaling.type"}) {
      const bool is_it = std::string(key) == wrong.key;
      const std::string good = std::string(key) == "general.architecture"   ? "llama"
                               : std::string(key) == "tokenizer.ggml.model" ? "gpt2"
                               : std::string(key) == "tokenizer.ggml.pre"   ? "llama-bpe"
                                                                            : "none";
      builder.add(key, is_it ? wrong.value : good);
    }
    test::write_file(dir / "m.gguf", builder.file());
    const GgufFile file = GgufFile::open(dir / "m.gguf").value();
    const auto config = gguf_config_json(file);
    const auto tokenizer = gguf_tokenizer(file);
    ASSERT_FALSE(config.ok() || tokenizer.ok());
    EXPECT_THAT(config.error().message + tokenizer.error().message, HasSubstr(wrong.says));
  }
}

}  // namespace
}  // namespace incipit::engine
