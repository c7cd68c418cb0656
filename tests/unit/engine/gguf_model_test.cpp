#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/model_store.h"
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
#include "tests/unit/engine/gguf_of.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::GgufBuilder;
using ::testing::HasSubstr;

constexpr uint32_t kPlainType = 0;

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
    builder.add_tensor("rope_freqs.weight", {32}, kPlainType, divisors);
    const std::string bytes = builder.file();
    const auto json =
        gguf_config_json(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf").value());
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
    return gguf_config_json(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf").value());
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

TEST_F(GgufModel, RefusesTensorsAndNumbersThatChangeWhatIsComputed) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  struct Wrong {
    const char* says;
    std::function<void(GgufBuilder&)> add;
  };
  const auto dim = static_cast<uint32_t>(options.head_dim);
  const int64_t n_keys = int64_t{options.n_kv_heads} * options.head_dim;
  const std::string ones(static_cast<size_t>(n_keys) * 4, '\x3f');
  const std::vector<Wrong> table = {
      {"self_attn.k_proj.bias: element 0: want 0 (no biases)",
       [&](GgufBuilder& b) { b.add_tensor("blk.0.attn_k.bias", {n_keys}, kPlainType, ones); }},
      {"blk.1.attn_q_norm.weight: want the tensors of a plain Llama",
       [&](GgufBuilder& b) { b.add_tensor("blk.1.attn_q_norm.weight", {1}, kPlainType, "1234"); }},
      {"llama.rope.dimension_count: want",
       [&](GgufBuilder& b) { b.add("llama.rope.dimension_count", dim / 2); }},
      {"llama.attention.value_length: want",
       [&](GgufBuilder& b) { b.add("llama.attention.value_length", dim * 2); }},
      {"split.count: want one file, found one of 3",
       [](GgufBuilder& b) { b.add("split.count", uint32_t{3}); }},
  };
  for (const Wrong& wrong : table) {
    GgufBuilder builder = gguf_of(tiny, options);
    wrong.add(builder);
    test::write_file(dir / "m.gguf", builder.file());
    const auto added = add_model({dir / "m.gguf", "m"});
    ASSERT_FALSE(added.ok()) << wrong.says;
    EXPECT_THAT(added.error().message, HasSubstr(wrong.says));
  }
  // What changes nothing: zero biases, rotary tables that follow from the metadata, whole heads.
  GgufBuilder builder = gguf_of(tiny, options);
  builder.add_tensor("blk.0.attn_k.bias", {n_keys}, kPlainType, std::string(ones.size(), '\0'));
  builder.add_tensor("blk.0.attn_rot_embd.weight", {1}, kPlainType, "1234");
  builder.add("llama.rope.dimension_count", dim);
  test::write_file(dir / "m.gguf", builder.file());
  const auto added = add_model({dir / "m.gguf", "m"});
  EXPECT_TRUE(added.ok()) << added.error().message;
}

// As older converters wrote linear scaling.
TEST_F(GgufModel, ReadsAFactorWithoutATypeAsLinear) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  for (const char* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    for (const float factor : {4.0F, 1.0F}) {
      GgufBuilder builder = gguf_of(tiny, options);
      builder.add(key, factor);
      const std::string bytes = builder.file();
      const auto json =
          gguf_config_json(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf").value());
      ASSERT_TRUE(json.ok()) << json.error().message;
      const ModelConfig config = parse_model_config(*json, "m.gguf").value();
      ASSERT_EQ(config.rope_scaling.has_value(), factor > 1) << key;
      if (!config.rope_scaling) continue;
      EXPECT_EQ(config.rope_scaling->type, RopeScalingType::kLinear);
      EXPECT_EQ(config.rope_scaling->factor, factor);
    }
  }
}

// Rounding would look for a scale, and not find all: those of a quantiser with an importance matrix
// are not where it looks.
TEST_F(GgufModel, KeepsTheIntegersOfQ40) {
  test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  constexpr uint32_t kQ40Type = 2;
  std::string all;
  GgufBuilder builder = gguf_of(
      tiny, options,
      [&](GgufBuilder& b, const std::string& name, const std::vector<int64_t>& shape) {
        if (!name.ends_with(".weight") || name.find("_norm") != std::string::npos ||
            !name.starts_with("blk.")) {
          return false;
        }
        std::string blocks;
        for (int64_t i = 0; i < shape[0] * shape[1] / 32; ++i) {
          blocks += GgufBuilder::bytes(static_cast<uint16_t>(0x1c00 + i % 700 + (i % 2) * 0x8000));
          for (int64_t j = 0; j < 16; ++j)
            blocks += static_cast<char>(0x44 + (i + j) % 7 + 16 * ((i * j) % 5));
        }
        b.add_tensor(name, shape, kQ40Type, blocks);
        all += blocks;
        return true;
      });
  test::write_file(dir / "q4_0.gguf", builder.file());
  const auto added = add_model({dir / "q4_0.gguf", ""});
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(added->conversion, "exact");
  // A scale that is none.
  std::string bytes = builder.file();
  const size_t at = bytes.find(all.substr(0, 18));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 2, GgufBuilder::bytes(uint16_t{0x7e00}));
  test::write_file(dir / "nan.gguf", bytes);
  const auto strange = add_model({dir / "nan.gguf", ""});
  ASSERT_FALSE(strange.ok());
  EXPECT_THAT(strange.error().message, HasSubstr("want a finite number"));
}

// The hub's cache has files under their hash and a link with the name; some directories hold one
// GGUF file alone.
TEST_F(GgufModel, IsFoundWithoutItsExtensionAndByItsDirectory) {
  const test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  fs::create_directories(dir / "blobs");
  fs::create_directories(dir / "snapshot");
  test::write_file(dir / "blobs/0123abcd", gguf_of(tiny, options).file());
  fs::create_symlink("../blobs/0123abcd", dir / "snapshot/tiny.Q4_0.gguf");
  QuantizeOptions rounded;
  rounded.method = QuantizeMethod::kRtn;
  const auto linked = add_model({dir / "snapshot/tiny.Q4_0.gguf", "", rounded});
  ASSERT_TRUE(linked.ok()) << linked.error().message;
  EXPECT_EQ(linked->name, "tiny.Q4_0");
  const auto by_directory = add_model({dir / "snapshot", "", rounded});
  ASSERT_TRUE(by_directory.ok()) << by_directory.error().message;
  EXPECT_EQ(by_directory->name, "tiny.Q4_0");
  EXPECT_EQ(by_directory->outcome, AddedModel::Outcome::kAlreadyThere);
}

}  // namespace
}  // namespace incipit::engine
