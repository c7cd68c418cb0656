#include "engine/config/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/temp_dir.h"

namespace incipit::engine {
namespace {

using nlohmann::json;
using test::TempDir;
using test::write_file;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 4096},
          {"intermediate_size", 14336},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"vocab_size", 128256},
          {"max_position_embeddings", 8192},
          {"rope_theta", 500000.0},
          {"rope_scaling", nullptr},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"bos_token_id", 128000},
          {"eos_token_id", 128001}};
}

json llama3_scaling(const char* type_key) {
  return {{type_key, "llama3"},
          {"factor", 8.0},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

Result<ModelConfig> parse(const json& config) {
  return parse_model_config(config.dump(), "dir/config.json");
}

TEST(ModelConfig, ReadsLlama3) {
  const auto config = parse(llama_config());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->hidden, 4096);
  EXPECT_EQ(config->ffn, 14336);
  EXPECT_EQ(config->n_layers, 32);
  EXPECT_EQ(config->n_heads, 32);
  EXPECT_EQ(config->n_kv_heads, 8);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->vocab, 128256);
  EXPECT_EQ(config->max_positions, 8192);
  EXPECT_FLOAT_EQ(config->norm_eps, 1e-5F);
  EXPECT_EQ(config->rope_theta, 500000);
  EXPECT_FALSE(config->rope_scaling.has_value());
  EXPECT_FALSE(config->tied_head);
  EXPECT_EQ(config->bos, 128000);
  EXPECT_THAT(config->eos, ElementsAre(128001));
}

TEST(ModelConfig, ReadsThePocketModel) {
  const auto config = load_model_config(INCIPIT_SOURCE_DIR "/engine/models/pocket");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_TRUE(config->tied_head);
  EXPECT_EQ(config->bos, 16373);
  EXPECT_THAT(config->eos, ElementsAre(16374, 16377));
}

TEST(ModelConfig, FillsInWhatHuggingFaceFilesLeaveOut) {
  json config = llama_config();
  for (const char* key : {"num_key_value_heads", "rope_theta", "rope_scaling", "hidden_act",
                          "bos_token_id", "eos_token_id"}) {
    config.erase(key);
  }
  config["head_dim"] = nullptr;
  const auto parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->n_kv_heads, 32);
  EXPECT_EQ(parsed->head_dim, 128);
  EXPECT_EQ(parsed->rope_theta, 10000);
  EXPECT_EQ(parsed->bos, -1);
  EXPECT_TRUE(parsed->eos.empty());
}

TEST(ModelConfig, TakesModelTypeWhenArchitecturesIsMissing) {
  json config = llama_config();
  config.erase("architectures");
  EXPECT_FALSE(parse(config).ok());
  config["model_type"] = "llama";
  EXPECT_TRUE(parse(config).ok());
}

TEST(ModelConfig, TakesAHeadDimThatIsNotHiddenOverHeads) {
  json config = llama_config();
  config["head_dim"] = 64;
  const auto parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->attention_dim(), 2048);
}

TEST(ModelConfig, ReadsLlama31RopeScalingInAllSpellings) {
  json by_rope_type = llama_config();
  by_rope_type["rope_scaling"] = llama3_scaling("rope_type");
  json by_type = llama_config();
  by_type["rope_scaling"] = llama3_scaling("type");
  json nested = llama_config();
  nested.erase("rope_theta");
  nested.erase("rope_scaling");
  nested["rope_parameters"] = llama3_scaling("rope_type");
  nested["rope_parameters"]["rope_theta"] = 500000.0;
  for (const json& config : {by_rope_type, by_type, nested}) {
    const auto parsed = parse(config);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    ASSERT_TRUE(parsed->rope_scaling.has_value()) << config;
    EXPECT_EQ(parsed->rope_theta, 500000);
    EXPECT_EQ(parsed->rope_scaling->factor, 8);
    EXPECT_EQ(parsed->rope_scaling->low_freq_factor, 1);
    EXPECT_EQ(parsed->rope_scaling->high_freq_factor, 4);
    EXPECT_EQ(parsed->rope_scaling->original_max_positions, 8192);
  }
}

TEST(ModelConfig, ReadsLinearRopeScalingAndYarn) {
  json config = llama_config();
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  auto parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->rope_scaling->type, RopeScalingType::kLinear);
  EXPECT_EQ(parsed->rope_scaling->factor, 2.5);
  EXPECT_EQ(parsed->rope_scaling->attention_factor, 1);

  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4}};
  parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->rope_scaling->type, RopeScalingType::kYarn);
  EXPECT_EQ(parsed->rope_scaling->original_max_positions, parsed->max_positions);
  EXPECT_EQ(parsed->rope_scaling->beta_fast, 32);
  EXPECT_EQ(parsed->rope_scaling->beta_slow, 1);
  EXPECT_NEAR(parsed->rope_scaling->attention_factor, 1.138629436111989, 1e-15);

  config["rope_scaling"] = {{"rope_type", "yarn"},   {"factor", 4},
                            {"beta_fast", 16},       {"beta_slow", 2},
                            {"attention_factor", 1}, {"original_max_position_embeddings", 4096}};
  parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->rope_scaling->original_max_positions, 4096);
  EXPECT_EQ(parsed->rope_scaling->beta_fast, 16);
  EXPECT_EQ(parsed->rope_scaling->beta_slow, 2);
  EXPECT_EQ(parsed->rope_scaling->attention_factor, 1);
}

TEST(ModelConfig, StretchesOnlyWhatIsTooShortAndNotScaledYet) {
  const ModelConfig trained = synthetic_model_config("llama-3-8b").value();
  ModelConfig config = trained;
  ASSERT_TRUE(extend_context(config, 8192).ok());
  EXPECT_FALSE(config.rope_scaling.has_value());
  ASSERT_TRUE(extend_context(config, 16384).ok());
  EXPECT_EQ(config.max_positions, 16384);
  EXPECT_EQ(config.rope_scaling->type, RopeScalingType::kYarn);
  EXPECT_EQ(config.rope_scaling->factor, 2);
  EXPECT_EQ(config.rope_scaling->original_max_positions, 8192);

  config = trained;
  EXPECT_THAT(extend_context(config, 65537).error().message,
              AllOf(HasSubstr("knows 8192 positions, found 65537"), HasSubstr("at most 65536")));
  EXPECT_EQ(config.max_positions, 8192);
  config = synthetic_model_config("llama-3.1-8b").value();
  EXPECT_THAT(extend_context(config, 131073).error().message, HasSubstr("scaled already (llama3)"));
}

TEST(ModelConfig, TakesTheDefaultRopeTypeAsNoScaling) {
  json config = llama_config();
  config["rope_scaling"] = {{"rope_type", "default"}};
  const auto parsed = parse(config);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_FALSE(parsed->rope_scaling.has_value());
}

// Before the parser makes a value of each bracket: 64 MiB of them would take gigabytes.
TEST(ModelConfig, RefusesWhatNestsTooDeep) {
  const auto deep = parse_model_config(R"({"a":)" + std::string(70, '['), "config.json");
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().message, "config.json: want at most 64 levels of JSON, found more");
  json config = llama_config();
  config["comment"] = std::string(100, '[') + "\"" + std::string(100, '{');  // is text
  config["list"] = std::vector<std::vector<int>>(100);
  EXPECT_TRUE(parse(config).ok());
}

TEST(ModelConfig, RefusesMoreThanAnyConfigurationHas) {
  const std::string text = R"({"a":[0)" + std::string(9 << 20, ' ') + "]}";
  EXPECT_THAT(parse_model_config(text, "config.json").error().message,
              HasSubstr("config.json: want at most 8388608 bytes of JSON"));
}

TEST(ModelConfig, ReadsEosAsANumberOrAList) {
  json config = llama_config();
  config["eos_token_id"] = {128001, 128009};
  EXPECT_THAT(parse(config)->eos, ElementsAre(128001, 128009));
}

TEST(ModelConfig, AddsTheEndTokensOfGenerationConfig) {
  const TempDir dir;
  write_file(dir / "config.json", llama_config().dump());
  write_file(dir / "generation_config.json", R"({"eos_token_id": [128001, 128009]})");
  const auto config = load_model_config(dir.path());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_THAT(config->eos, ElementsAre(128001, 128009));

  write_file(dir / "generation_config.json", R"({"eos_token_id": "end"})");
  const auto broken = load_model_config(dir.path());
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(broken.error().message,
              AllOf(HasSubstr("generation_config.json: eos_token_id"), HasSubstr("\"end\"")));
}

struct Wrong {
  const char* key;
  json value;  // discarded: the key is removed
  std::vector<const char*> says;
};

TEST(ModelConfig, NamesFileKeyWantedAndFoundForEachWrongValue) {
  const json removed(json::value_t::discarded);
  const std::vector<Wrong> table = {
      {"architectures", {"GPT2LMHeadModel"}, {"architectures", "LlamaForCausalLM", "GPT2"}},
      {"architectures", "LlamaForCausalLM", {"architectures", "list of strings"}},
      {"hidden_act", "gelu", {"hidden_act", "\"silu\"", "\"gelu\""}},
      {"hidden_act", 3, {"hidden_act", "string", "3"}},
      {"attention_bias", true, {"attention_bias", "false", "true"}},
      {"mlp_bias", true, {"mlp_bias", "false", "true"}},
      {"mlp_bias", "no", {"mlp_bias", "true or false", "\"no\""}},
      {"partial_rotary_factor", 0.5, {"partial_rotary_factor", "want 1", "0.5"}},
      {"hidden_size", removed, {"hidden_size", "integer", "nothing"}},
      {"hidden_size", "4096", {"hidden_size", "integer", "\"4096\""}},
      {"hidden_size", 4096.5, {"hidden_size", "integer", "4096.5"}},
      {"hidden_size", -4096, {"hidden_size", "-4096"}},
      {"hidden_size", 1e18, {"hidden_size", "found 1e+18"}},
      {"hidden_size", 18446744073709551615U, {"hidden_size", "18446744073709551615"}},
      {"hidden_size", 4095, {"hidden_size", "multiple of 8", "4095"}},
      {"hidden_size", 4104, {"hidden_size", "multiple of num_attention_heads", "4104"}},
      {"hidden_size", 8192, {"hidden_size", "2048 or 4096", "64 or 128", "8192"}},
      {"intermediate_size", 0, {"intermediate_size", "found 0"}},
      {"intermediate_size", 1001, {"intermediate_size", "multiple of 8", "1001"}},
      {"num_hidden_layers", 0, {"num_hidden_layers", "found 0"}},
      {"num_hidden_layers", 1000000, {"num_hidden_layers", "1000000"}},
      {"num_attention_heads", removed, {"num_attention_heads", "nothing"}},
      {"num_key_value_heads", 5, {"num_key_value_heads", "divisor", "32", "found 5"}},
      {"num_key_value_heads", 64, {"num_key_value_heads", "1..32", "found 64"}},
      {"head_dim", 96, {"head_dim", "64 or 128", "found 96"}},
      {"vocab_size", removed, {"vocab_size", "nothing"}},
      {"vocab_size", 4000000000U, {"vocab_size", "4000000000"}},
      {"max_position_embeddings", removed, {"max_position_embeddings", "nothing"}},
      {"rms_norm_eps", removed, {"rms_norm_eps", "number", "nothing"}},
      {"rms_norm_eps", 0, {"rms_norm_eps", "found 0"}},
      {"rope_theta", "big", {"rope_theta", "number", "\"big\""}},
      {"rope_theta", -1, {"rope_theta", "found -1"}},
      {"rope_scaling", 4, {"rope_scaling", "object", "found 4"}},
      {"rope_scaling",
       {{"rope_type", "dynamic"}},
       {"rope_scaling.rope_type", "yarn", "\"dynamic\""}},
      {"rope_scaling", {{"type", "longrope"}}, {"rope_scaling.type", "llama3", "\"longrope\""}},
      {"rope_scaling", {{"type", "linear"}}, {"rope_scaling.factor", "number", "nothing"}},
      {"rope_scaling",
       {{"type", "yarn"}, {"factor", 4}, {"mscale", 0.7}},
       {"rope_scaling.mscale", "nothing", "found 0.7"}},
      {"rope_scaling",
       {{"type", "yarn"}, {"factor", 4}, {"beta_fast", 1}},
       {"rope_scaling.beta_fast", "more than beta_slow"}},
      {"rope_scaling", {{"factor", 2}}, {"rope_scaling.rope_type", "llama3"}},
      {"rope_scaling", {{"rope_type", "llama3"}}, {"rope_scaling.factor", "number", "nothing"}},
      {"tie_word_embeddings", "true", {"tie_word_embeddings", "true or false", "\"true\""}},
      {"bos_token_id", 128256, {"bos_token_id", "0..128255", "128256"}},
      {"eos_token_id", {1, "x"}, {"eos_token_id", "list", "\"x\""}},
      {"eos_token_id", -3, {"eos_token_id", "found -3"}},
  };
  for (const Wrong& wrong : table) {
    json config = llama_config();
    if (wrong.value.is_discarded()) {
      config.erase(wrong.key);
    } else {
      config[wrong.key] = wrong.value;
    }
    const auto parsed = parse(config);
    ASSERT_FALSE(parsed.ok()) << wrong.key << " = " << wrong.value;
    EXPECT_THAT(parsed.error().message, HasSubstr("dir/config.json"));
    for (const char* part : wrong.says) EXPECT_THAT(parsed.error().message, HasSubstr(part));
  }
}

TEST(ModelConfig, RefusesTextThatIsNotAnObject) {
  for (const char* text : {"", "{", "[]", "null", "{\"a\": 1} x", "\xff\xfe"}) {
    const auto parsed = parse_model_config(text, "dir/config.json");
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr("dir/config.json"));
  }
}

TEST(ModelConfig, SaysWhichFileIsMissing) {
  const TempDir dir;
  const auto config = load_model_config(dir.path());
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(config.error().message, HasSubstr("config.json"));
}

TEST(SyntheticModelConfig, KnowsThePublishedShapes) {
  for (const char* name :
       {"llama-3-8b", "llama-3.1-8b", "llama-3.2-1b", "llama-3.2-3b", "codellama-7b", "pocket"}) {
    const auto config = synthetic_model_config(name);
    ASSERT_TRUE(config.ok()) << name;
    EXPECT_EQ(config->n_heads % config->n_kv_heads, 0) << name;
    EXPECT_TRUE(config->head_dim == 64 || config->head_dim == 128) << name;
  }
  // Parameters in the blocks of Llama-3-8B: 6.98 billion.
  const auto llama = synthetic_model_config("llama-3-8b").value();
  const int64_t block = int64_t{llama.qkv_rows()} * llama.hidden +
                        int64_t{llama.hidden} * llama.attention_dim() +
                        int64_t{3} * llama.ffn * llama.hidden;
  EXPECT_EQ(block * llama.n_layers, 6979321856);
}

TEST(SyntheticModelConfig, PocketIsTheShapeOfTheShippedModel) {
  const auto made = synthetic_model_config("pocket").value();
  const auto shipped = load_model_config(INCIPIT_SOURCE_DIR "/engine/models/pocket").value();
  EXPECT_EQ(made.hidden, shipped.hidden);
  EXPECT_EQ(made.ffn, shipped.ffn);
  EXPECT_EQ(made.n_layers, shipped.n_layers);
  EXPECT_EQ(made.qkv_rows(), shipped.qkv_rows());
  EXPECT_EQ(made.vocab, shipped.vocab);
  EXPECT_EQ(made.eos, shipped.eos);
  EXPECT_EQ(made.tied_head, shipped.tied_head);
}

TEST(SyntheticModelConfig, ListsItsNamesForAnUnknownOne) {
  const auto config = synthetic_model_config("llama-9");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.error().message,
              AllOf(HasSubstr("\"llama-9\""), HasSubstr("llama-3.2-1b"), HasSubstr("pocket")));
}

}  // namespace
}  // namespace incipit::engine
