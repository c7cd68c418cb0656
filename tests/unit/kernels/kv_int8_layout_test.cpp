// INT8 keys and values in pages: every number has a place of its own, tensor-core fragments find
// what they want in one word, and rounding loses half a step at most.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "kernels/quant/kv_int8_codec.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

struct OwnedBlock {
  std::vector<std::byte> bytes;
  KvInt8Block view;

  OwnedBlock(KvPart part, int32_t head_dim)
      : bytes(static_cast<size_t>(KvInt8Layout::head_bytes(head_dim))),
        view{part, head_dim, bytes.data()} {}
};

TEST(KvInt8Layout, GivesEveryNumberAPlaceOfItsOwn) {
  for (const int32_t head_dim : {64, 128}) {
    std::set<int64_t> keys, values;
    for (int32_t token = 0; token < kPageTokens; ++token) {
      for (int32_t d = 0; d < head_dim; ++d) {
        keys.insert(KvInt8Layout::key_byte(head_dim, token, d));
        values.insert(KvInt8Layout::value_byte(head_dim, token, d));
      }
      for (int64_t i = 0; i < 4; ++i) {
        keys.insert(KvInt8Layout::scale_byte(head_dim, token) + i);
        values.insert(KvInt8Layout::scale_byte(head_dim, token) + i);
      }
    }
    const auto n_bytes = static_cast<size_t>(KvInt8Layout::head_bytes(head_dim));
    EXPECT_EQ(keys.size(), n_bytes);
    EXPECT_EQ(*keys.rbegin() + 1, KvInt8Layout::head_bytes(head_dim));
    EXPECT_EQ(values, keys);
  }
}

// PTX ISA, mma.m16n8k16, operand B: lane (g, c) has of column g the rows 2 c, 2 c + 1, 2 c + 8 and
// 2 c + 9. Of keys a column is a token and rows are dimensions; ldmatrix gives a lane bytes 4 c ..
// 4 c + 3 of a row of 16. Of values, transposed, it gives bytes 2 g and 2 g + 1 of two tokens.
TEST(KvInt8Layout, HasAFragmentInOneWord) {
  for (int32_t c = 0; c < 4; ++c) {
    const int32_t dims[] = {2 * c, 2 * c + 1, 2 * c + 8, 2 * c + 9};
    for (int32_t i = 0; i < 4; ++i)
      EXPECT_EQ(KvInt8Layout::key_byte(64, 0, 32 + dims[i]), 32 + 4 * c + i);
  }
  for (int32_t g = 0; g < 8; ++g) {
    EXPECT_EQ(KvInt8Layout::value_byte(64, 0, 32 + g), 32 + 2 * g);
    EXPECT_EQ(KvInt8Layout::value_byte(64, 0, 32 + 8 + g), 32 + 2 * g + 1);
  }
}

TEST(KvInt8Codec, LosesHalfAStepAtMost) {
  std::mt19937 random(test_seed());
  std::normal_distribution<float> value(0.0f, 1.0f);
  for (const KvPart part : {KvPart::kKeys, KvPart::kValues}) {
    for (const int exponent : {-20, -3, 0, 12}) {
      OwnedBlock block(part, 128);
      std::vector<float> values(128);
      float absmax = 0;
      for (float& v : values) {
        v = half_to_float(float_to_half(std::ldexp(value(random), exponent)));
        absmax = std::max(absmax, std::fabs(v));
      }
      quantize_token(block.view, 5, values);
      // Of a scale that is kept as a logarithm, 2^-19 are lost too.
      EXPECT_NEAR(scale_of(block.view, 5), absmax / 127, absmax * 0x1p-19);
      for (int32_t d = 0; d < 128; ++d) {
        EXPECT_NEAR(value_of(block.view, 5, d), values[static_cast<size_t>(d)],
                    absmax / 127 * (0.5 + 127 * 0x1p-19));
        EXPECT_LE(std::abs(quantized_value(block.view, 5, d)), 127);
      }
    }
  }
}

TEST(KvInt8Codec, RoundsTiesToEven) {
  OwnedBlock block(KvPart::kKeys, 64);
  std::vector<float> values(64, 0.0f);
  values[0] = 127;
  values[1] = 0.5f;
  values[2] = 1.5f;
  values[3] = -2.5f;
  quantize_token(block.view, 0, values);
  EXPECT_EQ(quantized_value(block.view, 0, 0), 127);
  EXPECT_EQ(quantized_value(block.view, 0, 1), 0);
  EXPECT_EQ(quantized_value(block.view, 0, 2), 2);
  EXPECT_EQ(quantized_value(block.view, 0, 3), -2);
}

TEST(KvInt8Codec, KeepsZerosAndTheLargest) {
  for (const KvPart part : {KvPart::kKeys, KvPart::kValues}) {
    OwnedBlock block(part, 64);
    quantize_token(block.view, 0, std::vector<float>(64, 0.0f));
    quantize_token(block.view, 1, std::vector<float>(64, -65504.0f));
    EXPECT_GT(scale_of(block.view, 0), 0) << "a logarithm of it is taken";
    for (int32_t d = 0; d < 64; ++d) {
      EXPECT_EQ(value_of(block.view, 0, d), 0);
      EXPECT_NEAR(value_of(block.view, 1, d), -65504.0, 65504 * 0x1p-19);
    }
  }
}

TEST(KvBytesOfToken, CountScales) {
  EXPECT_EQ(kv_bytes_of_token(KvType::kF16, 128), 256);
  EXPECT_EQ(kv_bytes_of_token(KvType::kInt8, 128), 132);
}

}  // namespace
}  // namespace incipit::kernels
