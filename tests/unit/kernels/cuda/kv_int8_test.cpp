// Keys and values on their way into INT8 pages: from staging, from the product of a large step, and
// through whole steps, against the host's codec.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/kv_staging.h"
#include "tests/support/cuda_layer.h"

namespace incipit::kernels::cuda {
namespace {

size_t place(int64_t i) {
  return static_cast<size_t>(i);
}

// Two numbers as near as log2 of two machines: 2^-19 of at most 31.
constexpr double kLogError = 0x1p-19;

KvInt8Block block_in(std::vector<std::byte>& pages, KvPart part, const HeadShape& heads,
                     int32_t page, int32_t head) {
  return {part, heads.head_dim,
          pages.data() +
              (int64_t{page} * heads.n_kv_heads + head) * KvInt8Layout::head_bytes(heads.head_dim)};
}

// A token of a block must be as `want` has it; then it is made equal, for comparing the rest.
void expect_token(const KvInt8Block& got, const KvInt8Block& want, int32_t token) {
  for (int32_t d = 0; d < got.head_dim; ++d) {
    ASSERT_EQ(quantized_value(got, token, d), quantized_value(want, token, d)) << "d " << d;
  }
  const double scale = scale_of(want, token);
  ASSERT_NEAR(scale_of(got, token), scale, want.part == KvPart::kKeys ? 0 : scale * kLogError)
      << "token " << token;
  std::memcpy(got.data + KvInt8Layout::scale_byte(got.head_dim, token),
              want.data + KvInt8Layout::scale_byte(got.head_dim, token), sizeof(float));
}

// Rows of two sequences over page edges, one of them padding, one with values of zero, one with the
// largest there are.
TEST(QuantizeRows, PutsEachRowIntoItsSlotAsTheCodecDoes) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const HeadShape heads : {HeadShape{4, 1, 128}, HeadShape{9, 3, 64}, HeadShape{32, 8, 128}}) {
    PagedBatch batch = make_batch(heads, {{1, 13, 30}, {0, 0, 34}}, random);
    batch.positions[3] = -1;
    const CudaPages before(batch, KvType::kInt8);
    const int64_t row_values = int64_t{kPageTokens} * heads.n_kv_heads * heads.head_dim;
    std::vector<uint16_t> staged[2];
    for (std::vector<uint16_t>& values : staged) {
      values = random_halves(kFlatRows * row_values, 2.0f, random);
      std::fill_n(values.begin() + 5 * row_values, row_values, uint16_t{0x8000});
      std::fill_n(values.begin() + 6 * row_values, row_values, kLargestHalfBits);
    }
    const DeviceArray<uint16_t> k_staged(staged[0]), v_staged(staged[1]);
    for (const bool is_settled : {false, true}) {
      const CudaPagedBatch device(batch, KvType::kInt8);
      quantize_rows(
          {device.rows(), heads, {k_staged.data(), v_staged.data()}, device.kv(), is_settled}, {});
      Int8Pages want(batch);
      std::vector<std::byte> got[] = {as_bytes(device.k_pages.read()),
                                      as_bytes(device.v_pages.read())};
      for (int32_t row = 0; row < batch.n_rows(); ++row) {
        const int32_t position = batch.positions[place(row)];
        if (position < 0) continue;
        const int32_t page = batch.page_of(batch.sequence_of_row[place(row)], position);
        const int32_t slot = position % kPageTokens;
        for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
          for (const KvPart part : {KvPart::kKeys, KvPart::kValues}) {
            SCOPED_TRACE(testing::Message() << "row " << row << ", head " << head);
            const size_t which = part == KvPart::kKeys ? 0 : 1;
            const uint16_t* const from = &staged[which][place(
                row * row_values + (int64_t{head} * kPageTokens + slot) * heads.head_dim)];
            std::vector<float> values;
            for (int32_t d = 0; d < heads.head_dim; ++d) values.push_back(half_to_float(from[d]));
            quantize_token(want.block(part, page, head), slot, values);
            expect_token(block_in(got[which], part, heads, page, head),
                         want.block(part, page, head), slot);
          }
        }
      }
      EXPECT_TRUE(got[0] == want.keys) << "another token's k was written";
      EXPECT_TRUE(got[1] == want.values) << "another token's v was written";
    }
  }
}

// The pages of an INT8 step hold what those of the same step with fp16 pages do, rounded.
class CudaInt8Append : public CudaStepTest {};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaInt8Append, testing::ValuesIn(kShapes),
                         [](const testing::TestParamInfo<LayerShape>& shape) {
                           return std::string(shape.param.name);
                         });

TEST_P(CudaInt8Append, RoundsWhatTheFp16StepWrites) {
  SKIP_WITHOUT_CUDA();
  const HeadShape& heads = GetParam().heads;
  const DeviceLayer layer(w_);
  for (const int32_t n_rows : {1, 7, 16, 64, 65, 200, 300}) {
    SCOPED_TRACE(n_rows);
    const PagedBatch batch = batch_of_rows(n_rows);
    const std::vector<int32_t> words = tokens(n_rows);
    StepRun half(layer, w_, batch, words);
    StepRun int8(layer, w_, batch, words, {}, KvType::kInt8);
    for (StepRun* run : {&half, &int8}) {
      run->steps.embed(run->rows.x.data());
      run->steps.qkv(run->rows.x.data(), run->rows.q.data(), run->rows.kv());
    }
    EXPECT_TRUE(half.rows.q.read() == int8.rows.q.read());
    const std::vector<uint16_t> fp16[] = {half.rows.k_pages.read(), half.rows.v_pages.read()};
    std::vector<std::byte> got[] = {as_bytes(int8.rows.k_pages.read()),
                                    as_bytes(int8.rows.v_pages.read())};
    Int8Pages want(batch);
    for (int32_t row = 0; row < n_rows; ++row) {
      const int32_t position = batch.positions[place(row)];
      const int32_t sequence = batch.sequence_of_row[place(row)];
      const int32_t page = batch.page_of(sequence, position);
      const int32_t slot = position % kPageTokens;
      for (int32_t head = 0; head < heads.n_kv_heads; ++head) {
        for (const KvPart part : {KvPart::kKeys, KvPart::kValues}) {
          const size_t which = part == KvPart::kKeys ? 0 : 1;
          const KvInt8Block block = block_in(got[which], part, heads, page, head);
          std::vector<float> values;
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            values.push_back(
                half_to_float(fp16[which][batch.v_index(sequence, head, position, d)]));
          }
          quantize_token(want.block(part, page, head), slot, values);
          if (n_rows <= kFlatRows) {
            expect_token(block, want.block(part, page, head), slot);
            continue;
          }
          // A large step rounds once, from float: half a step, and what fp16 was off by.
          const double scale = scale_of(block, slot);
          for (int32_t d = 0; d < heads.head_dim; ++d) {
            const double value = values[place(d)];
            ASSERT_LE(std::fabs(value_of(block, slot, d) - value),
                      0.501 * scale + 0x1p-11 * std::fabs(value) + 0x1p-25)
                << "row " << row << ", head " << head << ", d " << d;
          }
        }
      }
    }
    if (n_rows > kFlatRows) continue;
    EXPECT_TRUE(got[0] == want.keys) << "another token's k was written";
    EXPECT_TRUE(got[1] == want.values) << "another token's v was written";
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
