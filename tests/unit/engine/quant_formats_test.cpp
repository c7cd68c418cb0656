#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/weights/float_tensor.h"
#include "engine/weights/int4_section.h"
#include "engine/weights/round_to_nearest.h"
#include "engine/weights/weights.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// tests/golden/formats, made by tests/oracle/formats/make_formats.py: a linear "x" in one format,
// and beside it the numbers it stands for.
struct Fixture {
  nlohmann::json row;
  test::TempDir dir;
  Result<Checkpoint> checkpoint = Error{};

  explicit Fixture(nlohmann::json index_row) : row(std::move(index_row)) {
    const fs::path golden = INCIPIT_SOURCE_DIR "/tests/golden/formats";
    fs::copy_file(golden / (row["name"].get<std::string>() + ".safetensors"),
                  dir / "model.safetensors");
    checkpoint = Checkpoint::open(dir.path());
  }
  Result<Linear> linear() const {
    ASSIGN_OR_RETURN(const QuantConfig config, parse_quant_config(row["config"].dump(), "index"));
    return find_linear(*checkpoint, "x", row["rows"], row["cols"], config);
  }
  std::vector<float> wanted() const {
    std::vector<float> numbers(static_cast<size_t>(checkpoint->find("wanted")->n_elements()));
    copy_floats(*checkpoint->find("wanted"), 0, numbers);
    return numbers;
  }
};

std::vector<nlohmann::json> fixture_rows() {
  const auto index =
      nlohmann::json::parse(test::read_file(INCIPIT_SOURCE_DIR "/tests/golden/formats/index.json"));
  return {index.begin(), index.end()};
}

double relative_error(const kernels::Int4Matrix& matrix, const std::vector<float>& wanted) {
  double error = 0, norm = 0;
  for (int32_t n = 0; n < matrix.shape.rows; ++n) {
    for (int32_t k = 0; k < matrix.shape.cols; ++k) {
      const double want = wanted[static_cast<size_t>(n) * matrix.shape.cols + k];
      const double difference = kernels::weight_at(matrix, n, k) - want;
      error += difference * difference;
      norm += want * want;
    }
  }
  return std::sqrt(error / norm);
}

TEST(QuantFormats, EachReadsTheNumbersThatItsConventionSays) {
  ASSERT_EQ(fixture_rows().size(), 11U);
  for (const nlohmann::json& row : fixture_rows()) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const Fixture fixture(row);
    ASSERT_TRUE(fixture.checkpoint.ok()) << fixture.checkpoint.error().message;
    const auto linear = fixture.linear();
    ASSERT_TRUE(linear.ok()) << linear.error().message;
    const std::vector<float> wanted = fixture.wanted();
    std::vector<float> got(wanted.size());
    read_rows(*linear, 0, rows_of(*linear), got.data());
    EXPECT_EQ(got, wanted);
  }
}

TEST(QuantFormats, IntegersAreKeptWhereTheLayoutCanSayTheSame) {
  for (const nlohmann::json& row : fixture_rows()) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const Fixture fixture(row);
    Conversion conversion;
    const Int4Plan plan = plan_int4({fixture.linear().value()}, InputOrder::kFixed);
    const auto matrix = build_int4(plan, *fixture.checkpoint, nullptr, conversion);
    ASSERT_TRUE(matrix.ok()) << matrix.error().message;
    const double error = relative_error(*matrix, fixture.wanted());
    EXPECT_EQ(conversion.is_exact(), row["keeps_integers"].get<bool>());
    if (conversion.is_exact()) {
      EXPECT_EQ(error, 0);
      EXPECT_EQ(describe(conversion), "exact");
    } else {
      EXPECT_LT(error, 0.12);  // uniform 4-bit values rounded to other 4-bit values
      EXPECT_NEAR(std::sqrt(conversion.square_error / conversion.square_norm), error, 1e-6);
      EXPECT_THAT(describe(conversion), HasSubstr("re-quantised: 1 of 1 linears"));
    }
  }
}

TEST(QuantFormats, ReorderedInputsAreKeptWhereTheyCanMove) {
  for (const nlohmann::json& row : fixture_rows()) {
    if (row["name"] != "gptq_act_order" && row["name"] != "compressed_act_order") continue;
    const Fixture fixture(row);
    Conversion conversion;
    const Int4Plan plan = plan_int4({fixture.linear().value()}, InputOrder::kCanMove);
    const auto matrix = build_int4(plan, *fixture.checkpoint, nullptr, conversion);
    ASSERT_TRUE(matrix.ok());
    EXPECT_TRUE(conversion.is_exact());
    const std::vector<int32_t>& order = plan.parts[0].input_order;
    ASSERT_EQ(order.size(), 64U);
    const std::vector<float> wanted = fixture.wanted();
    for (int32_t n = 0; n < 16; ++n) {
      for (int32_t p = 0; p < 64; ++p) {
        const auto from = static_cast<size_t>(n * 64 + order[static_cast<size_t>(p)]);
        ASSERT_EQ(kernels::weight_at(*matrix, n, p), wanted[from]);
      }
    }
  }
}

std::vector<float> normal_numbers(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0, 0.02F);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = draw(random);
  return numbers;
}

struct Rounded {
  std::vector<uint8_t> q;
  std::vector<uint16_t> scales;

  Rounded(std::span<const float> row, int32_t group)
      : q(row.size()), scales((row.size() + static_cast<size_t>(group) - 1) / group) {
    round_row_to_int4(row, group, q.data(), scales.data());
  }
  double error(std::span<const float> row, int32_t group) const {
    double sum = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const float got = static_cast<float>(q[i] - 8) *
                        kernels::half_to_float(scales[i / static_cast<size_t>(group)]);
      sum += (row[i] - got) * (row[i] - got);
    }
    return sum;
  }
};

// The textbook's rounding, scale = largest / 7.5 or 7, is the least that a search must reach.
TEST(RoundToNearest, IsNoWorseThanTheLargestWeightAsTheEndOfTheScale) {
  for (const int32_t group : {32, 128}) {
    const std::vector<float> row = normal_numbers(1024, 7);
    double plain = 0;
    for (size_t first = 0; first < row.size(); first += static_cast<size_t>(group)) {
      const auto part = std::span(row).subspan(first, static_cast<size_t>(group));
      float largest = 0;
      for (const float w : part) largest = std::max(largest, std::fabs(w));
      for (const float w : part) {
        const float scale = largest / 7;
        const float got = scale * std::clamp(std::nearbyint(w / scale), -8.0F, 7.0F);
        plain += (w - got) * (w - got);
      }
    }
    EXPECT_LT(Rounded(row, group).error(row, group), 0.9 * plain) << group;
  }
}

TEST(RoundToNearest, FindsWeightsThatLieOnItsGrid) {
  std::vector<float> row;
  for (int i = 0; i < 64; ++i) row.push_back(static_cast<float>(i * 5 % 16 - 8) * 0.03125F);
  EXPECT_EQ(Rounded(row, 32).error(row, 32), 0);
}

TEST(RoundToNearest, TakesZerosTinyHugeAndUnevenGroups) {
  const std::vector<float> zeros(40, 0);
  const Rounded none(zeros, 32);
  EXPECT_THAT(none.q, ::testing::Each(8));
  EXPECT_THAT(none.scales, ::testing::Each(0));

  const std::vector<float> tiny(32, 1e-30F);
  EXPECT_THAT(Rounded(tiny, 32).q, ::testing::Each(8));  // below what fp16 can scale
  for (const float huge : {1e5F, 3e38F}) {
    std::vector<float> row(32, 1);
    row[3] = huge;
    for (const uint8_t q : Rounded(row, 32).q) EXPECT_LE(q, 15);
  }
  const std::vector<float> odd = normal_numbers(41, 3);  // a last group of 9
  EXPECT_LT(Rounded(odd, 32).error(odd, 32), 41 * 0.0004 * 0.02);
}

test::TinyCheckpoint dense_checkpoint(const std::string& dtype) {
  test::TinyOptions options;
  options.linear_dtype = dtype;
  return test::make_tiny_checkpoint(options);
}

TEST(DenseCheckpoint, IsRoundedInGroupsOf32WhateverItsTypeAndShards) {
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    SCOPED_TRACE(dtype);
    const test::TempDir dir;
    test::TinyCheckpoint tiny = dense_checkpoint(dtype);
    tiny.n_shards = 3;
    tiny.write(dir / "model");
    const auto weights = load_weights(dir / "model", {HeadFormat::kInt8, (dir / "cache").string()});
    ASSERT_TRUE(weights.ok()) << weights.error().message;
    const auto& down = weights->layers[1].down;
    EXPECT_EQ(down.shape.group, 32);
    EXPECT_FALSE(down.shape.has_zeros);
    const auto checkpoint = Checkpoint::open(dir / "model").value();
    const Tensor* tensor = checkpoint.find("model.layers.1.mlp.down_proj.weight");
    double error = 0, norm = 0;
    for (int32_t n = 0; n < 128; ++n) {
      for (int32_t k = 0; k < 256; ++k) {
        const double want = float_at(*tensor, n * 256 + k);
        error += std::pow(kernels::weight_at(down, n, k) - want, 2);
        norm += want * want;
      }
    }
    EXPECT_LT(std::sqrt(error / norm), 0.08);  // uniform numbers in 4 bits
  }
}

TEST(DenseCheckpoint, NamesTheElementThatIsNoNumber) {
  const test::TempDir dir;
  test::TinyCheckpoint tiny = dense_checkpoint("F32");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::string& bytes = tiny.tensor("model.layers.0.mlp.up_proj.weight").bytes;
  std::memcpy(bytes.data() + 4 * (200 * 128 + 5), &nan, 4);
  tiny.write(dir / "model");
  const auto weights = load_weights(dir / "model", {HeadFormat::kInt8, (dir / "cache").string()});
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(weights.error().message,
              AllOf(HasSubstr("model.safetensors: model.layers.0.mlp.up_proj.weight"),
                    HasSubstr("element [200, 5]: want a finite number")));
  EXPECT_TRUE(fs::is_empty(dir / "cache"));
}

TEST(DenseCheckpoint, NamesALinearOfAnotherShapeOrType) {
  for (const bool type : {false, true}) {
    const test::TempDir dir;
    test::TinyCheckpoint tiny = dense_checkpoint("F32");
    test::RawTensor& up = tiny.tensor("model.layers.0.mlp.up_proj.weight");
    if (type) up.dtype = "I32";
    if (!type) up.shape = {128, 256};
    tiny.write(dir / "model");
    const auto weights = load_weights(dir / "model", {HeadFormat::kInt8, (dir / "cache").string()});
    ASSERT_FALSE(weights.ok());
    EXPECT_THAT(weights.error().message,
                HasSubstr("up_proj.weight: want F16 or BF16 or F32 [256, 128], found"));
  }
}

// A quantised checkpoint with one linear left in full precision.
TEST(MixedCheckpoint, RoundsTheLinearThatIsNotQuantisedAndKeepsItsNeighbour) {
  test::TinyCheckpoint tiny = test::make_tiny_checkpoint();
  const std::string up = "model.layers.0.mlp.up_proj";
  for (const char* suffix : {".qweight", ".qzeros", ".scales", ".g_idx"}) tiny.erase(up + suffix);
  tiny.tensors.push_back(dense_checkpoint("F16").tensor(up + ".weight"));
  const test::TempDir dir, whole;
  tiny.write(dir / "model");
  test::write_tiny_checkpoint(whole / "model");
  const auto mixed = load_weights(dir / "model", {HeadFormat::kInt8, (dir / "cache").string()});
  const auto plain = load_weights(whole / "model", {HeadFormat::kInt8, (whole / "cache").string()});
  ASSERT_TRUE(mixed.ok()) << mixed.error().message;
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_EQ(mixed->layers[0].gate_up.shape.group, 32);
  EXPECT_EQ(mixed->layers[1].gate_up.shape.group, 128);
  int64_t n_different = 0;
  for (int32_t n = 0; n < 256; ++n) {  // gate: the same numbers in smaller groups
    for (int32_t k = 0; k < 128; ++k) {
      n_different += kernels::weight_at(mixed->layers[0].gate_up, n, k) !=
                     kernels::weight_at(plain->layers[0].gate_up, n, k);
    }
  }
  EXPECT_EQ(n_different, 0);
}

// Weights of a layer whose down_proj has reordered inputs: the order moves into gate and up.
TEST(ActivationOrder, OfDownMovesIntoTheRowsOfGateAndUp) {
  test::TinyOptions options;
  options.group = 64;
  test::TinyCheckpoint tiny = test::make_tiny_checkpoint(options);
  const test::TempDir plain_dir, dir;
  tiny.write(plain_dir / "model");
  std::vector<int32_t> group_of(256);
  for (int32_t k = 0; k < 256; ++k) group_of[static_cast<size_t>(k)] = k * 5 % 256 / 64;
  std::string& bytes = tiny.tensor("model.layers.0.mlp.down_proj.g_idx").bytes;
  std::memcpy(bytes.data(), group_of.data(), bytes.size());
  tiny.write(dir / "model");
  const auto plain =
      load_weights(plain_dir / "model", {HeadFormat::kInt8, (plain_dir / "cache").string()});
  const auto moved = load_weights(dir / "model", {HeadFormat::kInt8, (dir / "cache").string()});
  ASSERT_TRUE(plain.ok() && moved.ok()) << moved.error().message;

  std::vector<int32_t> order(256);
  for (int32_t k = 0; k < 256; ++k) order[static_cast<size_t>(k)] = k;
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return group_of[static_cast<size_t>(a)] < group_of[static_cast<size_t>(b)];
  });
  int64_t n_different = 0;
  for (int32_t r = 0; r < 256; ++r) {
    for (int32_t k = 0; k < 128; ++k) {
      for (const int32_t part : {0, 256}) {  // gate, up
        n_different +=
            kernels::weight_at(moved->layers[0].gate_up, part + r, k) !=
            kernels::weight_at(plain->layers[0].gate_up, part + order[static_cast<size_t>(r)], k);
      }
    }
  }
  // Of down, position p is input order[p], with the scale of the group it was given.
  const auto checkpoint = Checkpoint::open(dir / "model").value();
  const auto linear = find_linear(checkpoint, "model.layers.0.mlp.down_proj", 128, 256,
                                  load_quant_config(dir / "model").value());
  std::vector<float> numbers(128 * 256);
  read_rows(*linear, 0, 128, numbers.data());
  for (int32_t n = 0; n < 128; ++n) {
    for (int32_t p = 0; p < 256; ++p) {
      n_different += kernels::weight_at(moved->layers[0].down, n, p) !=
                     numbers[static_cast<size_t>(n * 256 + order[static_cast<size_t>(p)])];
    }
  }
  EXPECT_EQ(n_different, 0);
  EXPECT_EQ(moved->layers[0].down.shape.group, 64);
}

}  // namespace
}  // namespace incipit::engine
