#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/direct_pack.h"
#include "engine/weights/int4_section.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

using test::make_tiny_checkpoint;
using test::RawTensor;
using test::read_at;
using test::TempDir;
using test::TinyCheckpoint;
using test::TinyGroupIndex;
using test::TinyOptions;
using test::TinyZeros;
using test::write_file;
using ::testing::HasSubstr;

constexpr const char* kUp = "model.layers.1.mlp.up_proj";  // [256, 128] in the tiny model

// The definition, element by element, from the raw tensors: no code of the importer.
struct RawLinear {
  std::span<const std::byte> qweight;
  std::span<const std::byte> qzeros;
  std::span<const std::byte> scales;
  int64_t n_outputs;
  int64_t group;
  int stored_less;

  double weight(int64_t n, int64_t k) const {
    const auto qword = read_at<uint32_t>(qweight, k / 8 * n_outputs + n);
    const int64_t g = k / group;
    const auto zword = read_at<uint32_t>(qzeros, g * (n_outputs / 8) + n / 8);
    const auto scale = kernels::half_to_float(read_at<uint16_t>(scales, g * n_outputs + n));
    const int q = static_cast<int>(qword >> (4 * (k % 8)) & 15);
    const int zero = static_cast<int>(zword >> (4 * (n % 8)) & 15) + stored_less;
    return (q - zero) * static_cast<double>(scale);
  }
};

// The matrix of these linears; nothing of it may be lost.
kernels::Int4Matrix exact_matrix(const Checkpoint& checkpoint, std::vector<Linear> linears,
                                 kernels::ThreadPool* pool = nullptr) {
  Conversion conversion;
  const auto plan = plan_int4(std::move(linears), InputOrder::kFixed);
  auto matrix = build_int4(plan, checkpoint, pool, conversion);
  EXPECT_TRUE(matrix.ok() && conversion.is_exact());
  return std::move(matrix).value();
}

// Compares every weight of one linear with the definition.
void expect_dequantises(const Checkpoint& checkpoint, const std::string& name, int32_t rows,
                        int32_t cols, const QuantConfig& config) {
  const auto linear = find_int4_linear(checkpoint, name, rows, cols, config);
  ASSERT_TRUE(linear.ok()) << linear.error().message;
  const auto matrix = exact_matrix(checkpoint, {*linear});
  const RawLinear raw = {checkpoint.find(name + ".qweight")->data,
                         checkpoint.find(name + ".qzeros")->data,
                         checkpoint.find(name + ".scales")->data,
                         rows,
                         config.group == kWholeColumn ? cols : config.group,
                         config.zeros == QuantConfig::Zeros::kStoredLessOne ? 1 : 0};
  int64_t n_different = 0;
  for (int32_t n = 0; n < rows; ++n) {
    for (int32_t k = 0; k < cols; ++k) {
      if (kernels::weight_at(matrix, n, k) != raw.weight(n, k)) ++n_different;
    }
  }
  EXPECT_EQ(n_different, 0) << name;
}

struct Opened {
  TempDir dir;
  Result<Checkpoint> checkpoint = Error{};
  Result<QuantConfig> config = Error{};

  explicit Opened(const TinyCheckpoint& tiny) {
    tiny.write(dir.path());
    checkpoint = Checkpoint::open(dir.path());
    config = load_quant_config(dir.path());
  }
  Result<Int4Linear> up() const { return find_int4_linear(*checkpoint, kUp, 256, 128, *config); }
};

TEST(GptqImport, ReadsEveryConventionAndGroupSize) {
  for (const char* format : {"gptq", "gptq_v2"}) {
    for (const auto zeros : {TinyZeros::kSymmetric, TinyZeros::kAsymmetric}) {
      for (const int32_t group : {32, 64, 128, kWholeColumn}) {
        for (const auto g_idx : {TinyGroupIndex::kPresent, TinyGroupIndex::kAbsent}) {
          TinyOptions options;
          options.checkpoint_format = format;
          options.zeros = zeros;
          options.group = group;
          options.group_index = g_idx;
          SCOPED_TRACE(::testing::Message() << format << " group " << group << " asymmetric "
                                            << (zeros == TinyZeros::kAsymmetric));
          const Opened opened(make_tiny_checkpoint(options));
          ASSERT_TRUE(opened.config.ok()) << opened.config.error().message;
          expect_dequantises(*opened.checkpoint, kUp, 256, 128, *opened.config);
          expect_dequantises(*opened.checkpoint, "model.layers.0.mlp.down_proj", 128, 256,
                             *opened.config);
          EXPECT_EQ(is_symmetric(*opened.up()), zeros == TinyZeros::kSymmetric);
        }
      }
    }
  }
}

TEST(GptqImport, KeepsZerosOnlyWhenTheyAreNotAllEight) {
  TinyOptions options;
  const Opened symmetric(make_tiny_checkpoint(options));
  options.zeros = TinyZeros::kAsymmetric;
  const Opened asymmetric(make_tiny_checkpoint(options));
  const auto plain = exact_matrix(*symmetric.checkpoint, {symmetric.up().value()});
  const auto with_zeros = exact_matrix(*asymmetric.checkpoint, {asymmetric.up().value()});
  EXPECT_FALSE(plain.shape.has_zeros);
  EXPECT_TRUE(plain.zeros.empty());
  EXPECT_TRUE(with_zeros.shape.has_zeros);
  EXPECT_EQ(with_zeros.zeros.size(), 256U);
}

// Stored 15 in the v1 convention: 16, and no carry into the neighbouring nibble.
TEST(GptqImport, ReadsAZeroOfSixteenWithoutCarry) {
  TinyOptions options;
  options.zeros = TinyZeros::kAsymmetric;
  TinyCheckpoint tiny = make_tiny_checkpoint(options);
  std::string& bytes = tiny.tensor(std::string(kUp) + ".qzeros").bytes;
  const uint32_t word = 0x7f0e7f3fU;
  std::memcpy(bytes.data(), &word, sizeof(word));
  const Opened opened(tiny);
  const auto linear = opened.up();
  ASSERT_TRUE(linear.ok());
  EXPECT_TRUE(has_ambiguous_zeros(*linear));
  const auto matrix = exact_matrix(*opened.checkpoint, {*linear});
  EXPECT_THAT(std::vector<int>(matrix.zeros.begin(), matrix.zeros.begin() + 8),
              ::testing::ElementsAre(16, 4, 16, 8, 15, 1, 16, 8));
}

TEST(GptqImport, StacksPartsAndKeepsMixedZeros) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  std::string& bytes = tiny.tensor("model.layers.0.self_attn.k_proj.qzeros").bytes;
  bytes[0] = 0x35;  // outputs 0 and 1 of k: zeros 6 and 4
  const Opened opened(tiny);
  std::vector<Int4Linear> parts;
  for (const auto& [name, rows] : {std::pair{"q_proj", 128}, {"k_proj", 64}, {"v_proj", 64}}) {
    auto linear =
        find_int4_linear(*opened.checkpoint, std::string("model.layers.0.self_attn.") + name, rows,
                         128, *opened.config);
    ASSERT_TRUE(linear.ok()) << linear.error().message;
    parts.push_back(*linear);
  }
  kernels::ThreadPool pool(2);
  const auto stacked = exact_matrix(*opened.checkpoint, {parts.begin(), parts.end()}, &pool);
  ASSERT_EQ(stacked.shape.rows, 256);
  ASSERT_TRUE(stacked.shape.has_zeros);
  EXPECT_EQ(stacked.zeros[127], 8);
  EXPECT_EQ(stacked.zeros[128], 6);
  EXPECT_EQ(stacked.zeros[129], 4);
  int32_t row = 0;
  for (const Int4Linear& part : parts) {
    const auto alone = exact_matrix(*opened.checkpoint, {part});
    for (int32_t n = 0; n < part.rows; ++n, ++row) {
      for (int32_t k = 0; k < part.cols; ++k) {
        ASSERT_EQ(kernels::weight_at(stacked, row, k), kernels::weight_at(alone, n, k));
      }
    }
  }
}

TEST(GptqImport, PackedDirectlyHasTheBytesOfTheLongWay) {
  kernels::ThreadPool pool(3);
  for (const char* format : {"gptq", "gptq_v2"}) {
    for (const int32_t group : {32, 64, 128}) {
      TinyOptions options;
      options.checkpoint_format = format;
      options.group = group;
      const Opened opened(make_tiny_checkpoint(options));
      std::vector<Linear> parts;
      for (const auto& [name, rows] : {std::pair{"q_proj", 128}, {"k_proj", 64}, {"v_proj", 64}}) {
        const auto linear =
            find_int4_linear(*opened.checkpoint, std::string("model.layers.0.self_attn.") + name,
                             rows, 128, *opened.config);
        ASSERT_TRUE(linear.ok()) << linear.error().message;
        parts.push_back(*linear);
      }
      const Int4Plan plan = plan_int4(parts, InputOrder::kFixed);
      ASSERT_TRUE(can_pack_directly(plan));
      const auto n_bytes = static_cast<size_t>(kernels::CpuTile::bytes(plan.shape));
      std::vector<std::byte> wanted(n_bytes), found(n_bytes, std::byte{0xa5});
      kernels::pack<kernels::CpuTile>(exact_matrix(*opened.checkpoint, parts), wanted);
      pack_directly(plan, found, pool);
      EXPECT_TRUE(found == wanted) << format << ", group " << group;
    }
  }
}

TEST(GptqImport, IsNotPackedDirectlyWhereMoreThanPlacesChange) {
  for (const auto& [zeros, group] : {std::pair{TinyZeros::kAsymmetric, 128},
                                     std::pair{TinyZeros::kSymmetric, int32_t{kWholeColumn}}}) {
    TinyOptions options;
    options.zeros = zeros;
    options.group = group;
    const Opened opened(make_tiny_checkpoint(options));
    EXPECT_FALSE(can_pack_directly(plan_int4({opened.up().value()}, InputOrder::kFixed)));
  }
}

TEST(GptqImport, RefusesAGroupThatIsOutOfRange) {
  TinyOptions options;
  options.group = 64;
  for (const int32_t wrong : {2, -1, 1 << 30}) {
    TinyCheckpoint tiny = make_tiny_checkpoint(options);
    std::memcpy(tiny.tensor(std::string(kUp) + ".g_idx").bytes.data() + 4 * 7, &wrong, 4);
    const Opened opened(tiny);
    const auto linear = opened.up();
    ASSERT_FALSE(linear.ok());
    EXPECT_EQ(linear.error().code, ErrorCode::kCorrupt);
    for (const std::string& part :
         {std::string("model.safetensors"), std::string("mlp.up_proj.g_idx: element 7"),
          std::string("want a group in 0..1, found ") + std::to_string(wrong)}) {
      EXPECT_THAT(linear.error().message, HasSubstr(part));
    }
  }
}

TEST(GptqImport, TakesDescActWhenTheOrderIsPlainAndRefusesItUnseen) {
  TinyOptions options;
  TinyCheckpoint tiny = make_tiny_checkpoint(options);
  tiny.config["quantization_config"]["desc_act"] = true;
  EXPECT_TRUE(Opened(tiny).up().ok());

  options.group_index = TinyGroupIndex::kAbsent;
  tiny = make_tiny_checkpoint(options);
  tiny.config["quantization_config"]["desc_act"] = true;
  const auto linear = Opened(tiny).up();
  ASSERT_FALSE(linear.ok());
  EXPECT_EQ(linear.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(linear.error().message, HasSubstr("up_proj.g_idx"));
}

TEST(GptqImport, TakesABiasOfZerosAndRefusesAnyOther) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.tensors.push_back({std::string(kUp) + ".bias", "F16", {256}, std::string(512, '\0')});
  EXPECT_TRUE(Opened(tiny).up().ok());
  tiny.tensors.back().bytes[21] = 0x3c;  // element 10 is 1.0
  const auto linear = Opened(tiny).up();
  ASSERT_FALSE(linear.ok());
  EXPECT_EQ(linear.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(linear.error().message, HasSubstr("up_proj.bias: element 10: want 0"));
}

TEST(GptqImport, RefusesAScaleThatIsNotANumber) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.tensor(std::string(kUp) + ".scales").bytes[7] = 0x7e;  // element 3
  const auto linear = Opened(tiny).up();
  ASSERT_FALSE(linear.ok());
  EXPECT_THAT(linear.error().message, HasSubstr("up_proj.scales: element 3"));
  EXPECT_THAT(linear.error().message, HasSubstr("nan"));
}

TEST(GptqImport, NamesAMissingOrMisshapenTensor) {
  TinyCheckpoint missing = make_tiny_checkpoint();
  missing.erase(std::string(kUp) + ".scales");
  const auto no_scales = Opened(missing).up();
  ASSERT_FALSE(no_scales.ok());
  EXPECT_THAT(no_scales.error().message,
              HasSubstr("up_proj.scales: want F16 or BF16 or F32 [1, 256], found no such tensor"));

  TinyCheckpoint misshapen = make_tiny_checkpoint();
  misshapen.tensor(std::string(kUp) + ".qweight").shape = {32, 128};
  const auto wrong_shape = Opened(misshapen).up();
  ASSERT_FALSE(wrong_shape.ok());
  EXPECT_THAT(wrong_shape.error().message,
              HasSubstr("up_proj.qweight: want I32 [16, 256], found I32 [32, 128]"));

  TinyCheckpoint mistyped = make_tiny_checkpoint();
  mistyped.tensor(std::string(kUp) + ".qweight").dtype = "F32";
  const auto wrong_type = Opened(mistyped).up();
  ASSERT_FALSE(wrong_type.ok());
  EXPECT_THAT(wrong_type.error().message,
              HasSubstr("up_proj.qweight: want I32 [16, 256], found F32 [16, 256]"));
}

TEST(QuantConfig, ReadsQuantizeConfigWhenConfigJsonHasNone) {
  const TempDir dir;
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.config.erase("quantization_config");
  tiny.write(dir.path());
  write_file(dir / "quantize_config.json",
             R"({"bits": 4, "group_size": 64, "desc_act": false, "sym": true})");
  const auto config = load_quant_config(dir.path());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->group, 64);
  EXPECT_EQ(config->zeros, QuantConfig::Zeros::kStoredLessOne);
}

TEST(QuantConfig, TakesACheckpointThatSaysNothingAsFullPrecision) {
  const TempDir dir;
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.config.erase("quantization_config");
  tiny.write(dir.path());
  const auto config = load_quant_config(dir.path());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->format, QuantConfig::Format::kDense);
}

// The other methods' keys; one that is wrong at a time.
TEST(QuantConfig, NamesWhatItCannotReadOfAwqAndCompressedTensors) {
  const nlohmann::json awq = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}};
  const nlohmann::json weights = {{"num_bits", 4}, {"strategy", "group"}, {"group_size", 128}};
  const nlohmann::json compressed = {{"quant_method", "compressed-tensors"},
                                     {"format", "pack-quantized"},
                                     {"config_groups", {{"g", {{"weights", weights}}}}}};
  EXPECT_TRUE(parse_quant_config(awq.dump(), "q").ok());
  EXPECT_TRUE(parse_quant_config(compressed.dump(), "q").ok());
  struct Wrong {
    nlohmann::json config;
    const char* pointer;
    nlohmann::json value;
    const char* says;
  };
  const std::vector<Wrong> table = {
      {awq, "/version", "gemv", "q: version: want \"gemm\", found \"gemv\""},
      {awq, "/zero_point", false, "zero_point: want true"},
      {awq, "/bits", 3, "bits: want 4, found 3"},
      {compressed, "/format", "marlin-24", "format: want \"pack-quantized\""},
      {compressed, "/config_groups", nlohmann::json::object(), "config_groups: want one scheme"},
      {compressed, "/config_groups/h", nlohmann::json::object(), "config_groups: want one scheme"},
      {compressed, "/config_groups/g", 3, "config_groups: want one scheme"},
      {compressed, "/config_groups/g/weights", nullptr, "config_groups.g.weights: want an object"},
      {compressed, "/config_groups/g/weights/num_bits", 8, "g.weights.num_bits: want 4, found 8"},
      {compressed, "/config_groups/g/weights/type", "float", "g.weights.type: want \"int\""},
      {compressed, "/config_groups/g/weights/strategy", "tensor", "want \"group\" or \"channel\""},
      {compressed, "/config_groups/g/input_activations", {{"num_bits", 8}}, "want null"},
  };
  for (const Wrong& wrong : table) {
    nlohmann::json config = wrong.config;
    config[nlohmann::json::json_pointer(wrong.pointer)] = wrong.value;
    const auto parsed = parse_quant_config(config.dump(), "q");
    ASSERT_FALSE(parsed.ok()) << wrong.pointer;
    EXPECT_THAT(parsed.error().message, HasSubstr(wrong.says));
  }
}

TEST(QuantConfig, NamesFileKeyWantedAndFoundForWhatItCannotRun) {
  struct Wrong {
    const char* key;
    nlohmann::json value;
    std::vector<const char*> says;
  };
  const std::vector<Wrong> table = {
      {"bits", 8, {"bits: want 4, found 8"}},
      {"bits", "4", {"bits: want an integer", "\"4\""}},
      {"bits", nullptr, {"bits", "nothing"}},
      {"group_size", 16, {"group_size: want 32, 64, 128 or -1, found 16"}},
      {"group_size", nullptr, {"group_size", "nothing"}},
      {"quant_method", "hqq", {"quant_method: want \"gptq\", \"awq\" or", "found \"hqq\""}},
      {"checkpoint_format", "marlin", {"checkpoint_format", "\"gptq_v2\"", "\"marlin\""}},
      {"desc_act", 1, {"desc_act: want true or false, found 1"}},
      {"lm_head", true, {"lm_head: want false"}},
      {"dynamic", {{"+:.*", {{"bits", 8}}}}, {"dynamic: want one setting"}},
      {"pack_dtype", "int16", {"pack_dtype: want \"int32\""}},
  };
  for (const Wrong& wrong : table) {
    nlohmann::json config = {{"bits", 4}, {"group_size", 128}, {"quant_method", "gptq"}};
    config[wrong.key] = wrong.value;
    const auto parsed = parse_quant_config(config.dump(), "dir/quantize_config.json");
    ASSERT_FALSE(parsed.ok()) << wrong.key;
    EXPECT_THAT(parsed.error().message, HasSubstr("dir/quantize_config.json: "));
    for (const char* part : wrong.says) EXPECT_THAT(parsed.error().message, HasSubstr(part));
  }
}

TEST(Checkpoint, FindsTheOnlyFileWhateverItsName) {
  const TempDir dir;
  make_tiny_checkpoint().write(dir.path());
  std::filesystem::rename(dir / "model.safetensors", dir / "gptq_model-4bit-128g.safetensors");
  const auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_NE(checkpoint->find("model.norm.weight"), nullptr);
  EXPECT_THAT(checkpoint->where("model.norm.weight"), HasSubstr("gptq_model-4bit-128g"));

  write_file(dir / "other.safetensors", "");
  const auto two = Checkpoint::open(dir.path());
  ASSERT_FALSE(two.ok());
  EXPECT_THAT(two.error().message, HasSubstr("2 of them and no index"));
}

TEST(Checkpoint, SaysWhatADirectoryWithoutWeightsLacks) {
  const TempDir dir;
  const auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_FALSE(checkpoint.ok());
  EXPECT_EQ(checkpoint.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(checkpoint.error().message, HasSubstr("model.safetensors.index.json"));
}

TEST(Checkpoint, ReadsShardsAsIfTheyWereOneFile) {
  const TempDir one_dir;
  const TempDir three_dir;
  TinyOptions options;
  make_tiny_checkpoint(options).write(one_dir.path());
  options.n_shards = 3;
  make_tiny_checkpoint(options).write(three_dir.path());
  const auto one = Checkpoint::open(one_dir.path());
  const auto three = Checkpoint::open(three_dir.path());
  ASSERT_TRUE(one.ok() && three.ok()) << three.error().message;
  EXPECT_EQ(three->files().size(), 3U);
  for (const Tensor& tensor : one->files()[0].tensors()) {
    const Tensor* other = three->find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(other->shape, tensor.shape);
    EXPECT_TRUE(
        std::equal(other->data.begin(), other->data.end(), tensor.data.begin(), tensor.data.end()));
  }
}

TEST(Checkpoint, NamesWhatIsWrongWithAnIndex) {
  struct Wrong {
    const char* index;
    std::vector<const char*> says;
  };
  const std::vector<Wrong> table = {
      {"{", {"index.json", "JSON"}},
      {"{}", {"index.json: weight_map", "nothing"}},
      {R"({"weight_map": 3})", {"weight_map: want an object, found 3"}},
      {R"({"weight_map": {"a": 3}})", {"weight_map.a: want a file name", "found 3"}},
      {R"({"weight_map": {"a": "../x.safetensors"}})", {"weight_map.a", "../x.safetensors"}},
      {R"({"weight_map": {"a": "absent.safetensors"}})", {"absent.safetensors", "open"}},
      {R"({"weight_map": {"a": "s.safetensors"}})", {"s.safetensors: a: want this tensor"}},
  };
  for (const Wrong& wrong : table) {
    const TempDir dir;
    write_file(dir / "s.safetensors", test::safetensors_bytes({{"b", "U8", {1}, "x"}}));
    write_file(dir / "model.safetensors.index.json", wrong.index);
    const auto checkpoint = Checkpoint::open(dir.path());
    ASSERT_FALSE(checkpoint.ok()) << wrong.index;
    for (const char* part : wrong.says) EXPECT_THAT(checkpoint.error().message, HasSubstr(part));
  }
}

}  // namespace
}  // namespace incipit::engine
