#include "engine/weights/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/weights/tensor_file.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"
#include "tests/support/weight_bytes.h"
#include "tests/unit/engine/weights_place.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using kernels::CpuTile;
using test::bytes_of;
using test::make_tiny_checkpoint;
using test::read_at;
using test::read_file;
using test::TempDir;
using test::TinyCheckpoint;
using test::TinyHead;
using test::TinyOptions;
using test::TinyZeros;
using test::write_file;
using ::testing::HasSubstr;

constexpr const char* kPocket = INCIPIT_SOURCE_DIR "/engine/models/pocket";

// Every third of the rows first_row .. of a packed matrix against the definition of GPTQ (v1 zeros,
// group 128).
void expect_rows(const TensorFile& file, const std::string& name,
                 const kernels::Int4View<CpuTile>& view, int32_t first_row, int32_t rows) {
  const auto qweight = file.find(name + ".qweight")->data;
  const auto qzeros = file.find(name + ".qzeros")->data;
  const auto scales = file.find(name + ".scales")->data;
  int64_t n_different = 0;
  for (int32_t n = 0; n < rows; n += 3) {
    for (int32_t k = 0; k < view.shape.cols; ++k) {
      const int q = static_cast<int>(
          read_at<uint32_t>(qweight, int64_t{k / 8} * rows + n) >> (4 * (k % 8)) & 15);
      const int zero =
          static_cast<int>(
              read_at<uint32_t>(qzeros, (int64_t{k / 128} * rows + n) / 8) >> (4 * (n % 8)) & 15) +
          1;
      const float scale =
          kernels::half_to_float(read_at<uint16_t>(scales, int64_t{k / 128} * rows + n));
      const float want = static_cast<float>(q - zero) * scale;
      if (kernels::weight_at(view, first_row + n, k) != want) ++n_different;
    }
  }
  EXPECT_EQ(n_different, 0) << name;
}

TEST(LoadWeights, PacksThePocketModelAsTheDefinitionSays) {
  const TempDir cache;
  const auto weights = load_weights(kPocket, {HeadFormat::kInt8, cache.path().string()});
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  const auto file = TensorFile::open(std::string(kPocket) + "/model.safetensors").value();
  const auto& first = weights->layers[0];
  expect_rows(file, "model.layers.0.self_attn.q_proj", first.qkv, 0, 512);
  expect_rows(file, "model.layers.0.self_attn.k_proj", first.qkv, 512, 256);
  expect_rows(file, "model.layers.0.self_attn.v_proj", first.qkv, 768, 256);
  const auto& last = weights->layers[11];
  expect_rows(file, "model.layers.11.self_attn.o_proj", last.out, 0, 512);
  expect_rows(file, "model.layers.11.mlp.up_proj", last.gate_up, 1408, 1408);
  expect_rows(file, "model.layers.11.mlp.down_proj", last.down, 0, 512);

  const auto embedding = file.find("model.embed_tokens.weight")->data;
  EXPECT_EQ(std::memcmp(weights->embedding, embedding.data(), embedding.size()), 0);
  const auto norm = file.find("model.layers.3.post_attention_layernorm.weight")->data;
  for (int32_t i = 0; i < 512; ++i) {
    ASSERT_EQ(weights->layers[3].post_norm[i], kernels::half_to_float(read_at<uint16_t>(norm, i)));
  }
  // The tied head in INT8: within half a step of the embedding.
  ASSERT_EQ(weights->head_f16, nullptr);
  for (const int32_t row : {0, 1, 4099, 16383}) {
    float absmax = 0;
    for (int32_t i = 0; i < 512; ++i) {
      absmax = std::max(
          absmax,
          std::fabs(kernels::half_to_float(read_at<uint16_t>(embedding, int64_t{row} * 512 + i))));
    }
    for (int32_t i = 0; i < 512; ++i) {
      const float want =
          kernels::half_to_float(read_at<uint16_t>(embedding, int64_t{row} * 512 + i));
      ASSERT_NEAR(kernels::weight_at(weights->head_int8, row, i), want, absmax / 127 * 0.501);
    }
  }
}

TEST(LoadWeights, AlignsEveryMatrixAndNorm) {
  const Place place{TinyOptions{}};
  const auto weights = place.load();
  ASSERT_TRUE(weights.ok());
  const auto aligned = [](const void* data) { return reinterpret_cast<uintptr_t>(data) % 64 == 0; };
  for (const auto& layer : weights->layers) {
    for (const void* data :
         {static_cast<const void*>(layer.input_norm), static_cast<const void*>(layer.post_norm),
          static_cast<const void*>(layer.qkv.data), static_cast<const void*>(layer.out.data),
          static_cast<const void*>(layer.gate_up.data),
          static_cast<const void*>(layer.down.data)}) {
      EXPECT_TRUE(aligned(data));
    }
  }
  EXPECT_TRUE(aligned(weights->embedding) && aligned(weights->final_norm) &&
              aligned(weights->head_int8.data));
}

TEST(LoadWeights, TiesTheFp16HeadToTheEmbedding) {
  const Place tied{TinyOptions{}};
  const auto tied_weights = tied.load(HeadFormat::kF16);
  ASSERT_TRUE(tied_weights.ok()) << tied_weights.error().message;
  EXPECT_EQ(tied_weights->head_f16, tied_weights->embedding);
  EXPECT_EQ(tied_weights->head_int8.data, nullptr);

  TinyOptions options;
  options.head = TinyHead::kUntied;
  const TinyCheckpoint tiny = make_tiny_checkpoint(options);
  const Place untied(tiny);
  const auto untied_weights = untied.load(HeadFormat::kF16);
  ASSERT_TRUE(untied_weights.ok()) << untied_weights.error().message;
  EXPECT_NE(untied_weights->head_f16, untied_weights->embedding);
  TinyCheckpoint copy = tiny;
  const std::string& head = copy.tensor("lm_head.weight").bytes;
  EXPECT_EQ(std::memcmp(untied_weights->head_f16, head.data(), head.size()), 0);
  EXPECT_EQ(untied_weights->bytes - tied_weights->bytes, static_cast<int64_t>(head.size()));
}

TEST(LoadWeights, QuantisesAnUntiedHeadFromItsOwnTensor) {
  TinyOptions options;
  options.head = TinyHead::kUntied;
  TinyCheckpoint tiny = make_tiny_checkpoint(options);
  const Place place(tiny);
  const auto weights = place.load(HeadFormat::kInt8);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  const std::string& head = tiny.tensor("lm_head.weight").bytes;
  for (const int32_t row : {0, 7, 319}) {
    for (int32_t i = 0; i < 128; ++i) {
      const float want = kernels::half_to_float(
          read_at<uint16_t>(std::as_bytes(std::span(head)), int64_t{row} * 128 + i));
      ASSERT_NEAR(kernels::weight_at(weights->head_int8, row, i), want, 0.5 / 127 * 0.501);
    }
  }
}

// The tiny checkpoint's values are exact in every type, so all of these are one model.
TEST(LoadWeights, ReadsOneModelFromShardsAndFromEveryFloatType) {
  TinyOptions options;
  options.head = TinyHead::kUntied;
  options.zeros = TinyZeros::kAsymmetric;
  const Place plain(options);
  const auto expected = plain.load();
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  for (const char* type : {"F16", "BF16", "F32"}) {
    for (const int n_shards : {1, 3}) {
      for (const char* format : {"gptq", "gptq_v2"}) {
        TinyOptions variant = options;
        variant.norm_dtype = type;
        variant.embedding_dtype = type;
        variant.n_shards = n_shards;
        variant.checkpoint_format = format;
        const Place place(variant);
        const auto weights = place.load();
        ASSERT_TRUE(weights.ok()) << weights.error().message;
        EXPECT_EQ(bytes_of(*weights), bytes_of(*expected)) << type << n_shards << format;
      }
    }
  }
}

TEST(LoadWeights, PacksAnOddShape) {
  TinyOptions options;
  options.hidden = 136;  // ends inside a group
  options.n_heads = 3;
  options.n_kv_heads = 1;
  options.ffn = 200;
  options.group = 64;
  const Place place(options);
  const auto weights = place.load();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->layers[1].down.shape.cols, 200);
  EXPECT_EQ(weights->layers[1].qkv.shape.rows, 320);
  EXPECT_EQ(weights->layers[1].out.shape.cols, 192);
}

struct Broken {
  const char* what;
  std::function<void(TinyCheckpoint&)> breaks;
  std::vector<const char*> says;
};

TEST(LoadWeights, NamesFileTensorWantedAndFoundForABrokenCheckpoint) {
  const std::vector<Broken> table = {
      {"missing linear",
       [](TinyCheckpoint& t) { t.erase("model.layers.1.self_attn.k_proj.qweight"); },
       {"model.safetensors: model.layers.1.self_attn.k_proj.qweight: want I32 [16, 64]",
        "no such tensor"}},
      {"missing norm",
       [](TinyCheckpoint& t) { t.erase("model.norm.weight"); },
       {"model.norm.weight: want F16 or BF16 or F32 [128], found no such tensor"}},
      {"misshapen norm",
       [](TinyCheckpoint& t) {
         t.tensor("model.layers.0.input_layernorm.weight").shape = {2, 64};
       },
       {"layers.0.input_layernorm.weight: want", "[128], found F16 [2, 64]"}},
      {"mistyped norm",
       [](TinyCheckpoint& t) { t.tensor("model.norm.weight").dtype = "I16"; },
       {"model.norm.weight: want F16 or BF16 or F32 [128], found I16 [128]"}},
      {"vocabulary of another size",
       [](TinyCheckpoint& t) { t.config["vocab_size"] = 400; },
       {"model.embed_tokens.weight: want", "[400, 128], found F16 [320, 128]"}},
      {"no head",
       [](TinyCheckpoint& t) { t.config["tie_word_embeddings"] = false; },
       {"lm_head.weight: want", "no such tensor"}},
      {"more layers",
       [](TinyCheckpoint& t) { t.config["num_hidden_layers"] = 3; },
       {"model.layers.2.input_layernorm.weight: want"}},
      {"infinite embedding",
       [](TinyCheckpoint& t) {
         t.tensor("model.embed_tokens.weight").bytes.replace(6, 2, "\0\x7c", 2);
       },
       {"model.embed_tokens.weight: element 3: want a number that fp16 can hold, found inf"}},
      {"norm that is not a number",
       [](TinyCheckpoint& t) { t.tensor("model.norm.weight").bytes.replace(0, 2, "\xff\xff", 2); },
       {"model.norm.weight: element 0: want a finite number, found"}},
  };
  for (const Broken& broken : table) {
    SCOPED_TRACE(broken.what);
    TinyCheckpoint tiny = make_tiny_checkpoint();
    broken.breaks(tiny);
    const Place place(tiny);
    const auto weights = place.load();
    ASSERT_FALSE(weights.ok());
    EXPECT_THAT(weights.error().message, HasSubstr("model.safetensors"));
    for (const char* part : broken.says) EXPECT_THAT(weights.error().message, HasSubstr(part));
    EXPECT_TRUE(!fs::exists(place.cache) || place.cached().empty());
  }
}

TEST(LoadWeights, RefusesMoreLayersThanTheConfigurationSays) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  tiny.config["num_hidden_layers"] = 1;
  const Place place(tiny);
  const auto weights = place.load();
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.error().code, ErrorCode::kCorrupt);
  for (const char* part : {"model.safetensors: model.layers.1.", "want layers 0..0",
                           "config.json: num_hidden_layers is 1"}) {
    EXPECT_THAT(weights.error().message, HasSubstr(part));
  }
}

TEST(LoadWeights, LeavesTensorsAloneThatNobodyAsksFor) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  for (const char* name : {"model.layers.1.self_attn.rotary_emb.inv_freq", "model.layers.x", "y"}) {
    tiny.tensors.push_back({name, "F32", {1}, std::string(4, '\0')});
  }
  const Place place(tiny);
  const auto weights = place.load();
  EXPECT_TRUE(weights.ok()) << weights.error().message;
}

TEST(LoadWeights, RefusesABfloatThatFp16CannotHold) {
  TinyOptions options;
  options.embedding_dtype = "BF16";
  TinyCheckpoint tiny = make_tiny_checkpoint(options);
  const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(131072.0F) >> 16);
  std::memcpy(tiny.tensor("model.embed_tokens.weight").bytes.data() + 10, &bits, 2);
  const Place place(tiny);
  const auto weights = place.load();
  ASSERT_FALSE(weights.ok());
  EXPECT_THAT(weights.error().message, HasSubstr("element 5: want a number that fp16 can hold"));
  EXPECT_THAT(weights.error().message, HasSubstr("131072"));
}

TEST(LoadWeights, StopsWhenCancelledAndLeavesNoFile) {
  const Place place{TinyOptions{}};
  const CancelToken cancel;
  int n_calls = 0;
  const auto progress = [&](double, const std::string&) {
    if (++n_calls == 4) cancel.cancel();
  };
  const auto weights = load_weights(place.model, place.options(), progress, cancel);
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(n_calls, 4);
  EXPECT_TRUE(place.cached().empty());
}

TEST(LoadWeights, ReportsProgressUpToOne) {
  const Place place{TinyOptions{}};
  double last = -1;
  const auto progress = [&](double fraction, const std::string& what) {
    EXPECT_GE(fraction, last);
    EXPECT_FALSE(what.empty());
    last = fraction;
  };
  for (int start = 0; start < 2; ++start) {
    last = -1;
    ASSERT_TRUE(load_weights(place.model, place.options(), progress).ok());
    EXPECT_EQ(last, 1);
  }
}

}  // namespace
}  // namespace incipit::engine
