// What the steps of a layer promise of one another, with either type of pages: rows of flat steps
// have the same bits in any batch, from a graph, and when they go on alone behind the keys and
// values of a large step.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/support/cuda_layer.h"

namespace incipit::kernels::cuda {
namespace {

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

class CudaStepExactness : public CudaStepTest {};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaStepExactness, testing::ValuesIn(kShapes),
                         [](const testing::TestParamInfo<LayerShape>& shape) {
                           return std::string(shape.param.name);
                         });

// A batch of some rows of another one, over the same pages.
PagedBatch part_of(const PagedBatch& batch, const std::vector<int32_t>& rows) {
  PagedBatch part = batch;
  part.positions.clear();
  part.sequence_of_row.clear();
  for (const int32_t row : rows) {
    part.positions.push_back(batch.positions[at(row)]);
    part.sequence_of_row.push_back(batch.sequence_of_row[at(row)]);
  }
  return part;
}

void run_layer(LayerSteps& steps, const DeviceRows& rows) {
  steps.embed(rows.x.data());
  steps.qkv(rows.x.data(), rows.q.data(), rows.kv());
  steps.attention(rows.q.data(), rows.kv(), rows.attention.data());
  steps.out_proj(rows.attention.data(), rows.x.data());
  steps.mlp(rows.x.data());
}

// What a step leaves of its rows.
struct Results {
  std::vector<float> x, logits;
  std::vector<uint16_t> k_pages, v_pages;
};
std::vector<int32_t> all_rows(int32_t n) {
  std::vector<int32_t> rows(at(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

constexpr KvType kTypes[] = {KvType::kF16, KvType::kInt8};

// The rows of a batch in steps of `at_once` rows.
Results run_in_parts(const DeviceLayer& layer, const LayerWeights& w, const PagedBatch& batch,
                     const std::vector<int32_t>& tokens, int32_t at_once, KvType type) {
  Results results;
  LayerSteps steps(layer, limits_for(w.shape, batch, at_once, type));
  const DeviceRows values(w.shape, batch, type);
  for (int32_t first = 0; first < batch.n_rows(); first += at_once) {
    const int32_t n = std::min(at_once, batch.n_rows() - first);
    std::vector<int32_t> rows = all_rows(n);
    for (int32_t& row : rows) row += first;
    const std::vector<int32_t> part_tokens(tokens.begin() + first, tokens.begin() + first + n);
    const StepShape shape =
        steps.begin(part_of(batch, rows), part_tokens, all_rows(n), w.embedding.data());
    run_layer(steps, values);
    const DeviceArray<float> logits(int64_t{shape.n_logit_rows} * w.shape.vocab);
    steps.lm_head(Head::kInt8, shape.n_logit_rows, values.x.data(), nullptr, logits.data());
    const std::vector<float> x = values.x.read();
    const std::vector<float> read = logits.read();
    results.x.insert(results.x.end(), x.begin(), x.begin() + n * w.shape.hidden);
    results.logits.insert(results.logits.end(), read.begin(), read.begin() + n * w.shape.vocab);
  }
  results.k_pages = values.k_pages.read();
  results.v_pages = values.v_pages.read();
  return results;
}

TEST_P(CudaStepExactness, RowsOfFlatStepsHaveTheSameBitsInAnyBatch) {
  SKIP_WITHOUT_CUDA();
  const DeviceLayer layer(w_);
  const PagedBatch batch = batch_of_rows(64);
  const std::vector<int32_t> words = tokens(64);
  for (const KvType type : kTypes) {
    const Results alone = run_in_parts(layer, w_, batch, words, 1, type);
    for (const int32_t at_once : {2, 5, 8, 13, 16, 33, 64}) {
      SCOPED_TRACE(at_once);
      const Results together = run_in_parts(layer, w_, batch, words, at_once, type);
      EXPECT_TRUE(together.x == alone.x);
      EXPECT_TRUE(together.logits == alone.logits);
      EXPECT_TRUE(together.k_pages == alone.k_pages);
      EXPECT_TRUE(together.v_pages == alone.v_pages);
    }
  }
}

// The largest relative error (root mean square) of a row of `width` values.
double largest_row_error(const std::vector<float>& got, const std::vector<float>& want,
                         int32_t width) {
  double largest = 0;
  for (size_t first = 0; first < want.size(); first += width) {
    double error = 0, size = 0;
    for (size_t i = first; i < first + width; ++i) {
      error += std::pow(double{got[i]} - want[i], 2);
      size += std::pow(double{want[i]}, 2);
    }
    largest = std::max(largest, std::sqrt(error / size));
  }
  return largest;
}

// Attention's output, the rows behind each of two norms, and the MLP's inner values are rounded to
// fp16, at most 2^-11 of each, and what differs before the MLP is squared there (gate times up):
// 8 times 2^-11. Rows that were mixed up would be wrong by about 1.
constexpr double kLargeStepError = 8.0 / 2048;

// Keys and values come from the same products as those of flat steps; attention of large steps sums
// in another order.
TEST_P(CudaStepExactness, LargeStepsWithoutCublasGoThroughFlatProducts) {
  SKIP_WITHOUT_CUDA();
  const DeviceLayer layer(w_);
  const PagedBatch batch = batch_of_rows(300);
  const std::vector<int32_t> words = tokens(300);
  const Results flat = run_in_parts(layer, w_, batch, words, 60, KvType::kF16);
  CudaStepLimits limits = limits_for(w_.shape, batch, 1, KvType::kF16);
  limits.has_mixed_shapes = false;
  limits.find_cublas = []() -> const CublasLibrary* { return nullptr; };
  LayerSteps steps(layer, limits);
  EXPECT_TRUE(steps.steps().lacks_cublas());
  const DeviceRows values(w_.shape, batch, KvType::kF16);
  steps.begin(batch, words, {299}, w_.embedding.data());
  run_layer(steps, values);
  EXPECT_TRUE(values.k_pages.read() == flat.k_pages);
  EXPECT_TRUE(values.v_pages.read() == flat.v_pages);
  EXPECT_LE(largest_row_error(values.x.read(), flat.x, w_.shape.hidden), kLargeStepError);
}

TEST_P(CudaStepExactness, KeptRowsGoOnAsIfTheyWereAStepOfTheirOwn) {
  SKIP_WITHOUT_CUDA();
  const LayerShape& s = GetParam();
  const DeviceLayer layer(w_);
  const PagedBatch batch = batch_of_rows(130);
  const std::vector<int32_t> kept = {7, 64, 129};
  const std::vector<uint16_t> q = random_halves(int64_t{130} * s.q_width(), 1.0f, random_);
  const std::vector<float> x = residual(130);
  for (const KvType type : kTypes) {
    std::vector<float> results[2];
    for (const bool keeps : {true, false}) {
      std::vector<int32_t> rows = keeps ? all_rows(130) : kept;
      StepRun run(layer, w_, part_of(batch, rows), tokens(static_cast<int32_t>(rows.size())),
                  keeps ? kept : all_rows(3), type);
      std::vector<float> run_x;
      std::vector<uint16_t> run_q;
      for (const int32_t row : rows) {
        run_x.insert(run_x.end(), x.begin() + row * s.hidden, x.begin() + (row + 1) * s.hidden);
        run_q.insert(run_q.end(), q.begin() + row * s.q_width(),
                     q.begin() + (row + 1) * s.q_width());
      }
      run.rows.x.write(run_x);
      run.rows.q.write(run_q);
      CudaSteps::KeptRows values = {run.rows.x.data(), run.rows.q.data()};
      EXPECT_EQ(run.steps.steps().can_keep_logit_rows(), keeps);
      if (keeps) values = run.steps.steps().keep_logit_rows(values.x, values.q);
      run.steps.attention(values.q, run.rows.kv(), run.rows.attention.data());
      run.steps.out_proj(run.rows.attention.data(), values.x);
      run.steps.mlp(values.x);
      const DeviceArray<float> logits(int64_t{3} * s.vocab);
      run.steps.lm_head(Head::kInt8, 3, values.x, nullptr, logits.data());
      results[keeps ? 0 : 1] = logits.read();
    }
    EXPECT_TRUE(results[0] == results[1]);
  }
}

TEST_P(CudaStepExactness, AGraphOfAStepServesTheNextStepOfItsShape) {
  SKIP_WITHOUT_CUDA();
  const DeviceLayer layer(w_);
  const PagedBatch batch = batch_of_rows(24);
  const std::vector<int32_t> words = tokens(24);
  for (const KvType type : kTypes) {
    const Results want = run_in_parts(layer, w_, batch, words, 6, type);
    LayerSteps steps(layer, limits_for(w_.shape, batch, 6, type));
    const DeviceRows values(w_.shape, batch, type);
    const DeviceArray<float> logits(int64_t{6} * w_.shape.vocab);
    GraphExec graph;
    StepShape captured;
    for (int32_t first = 0; first < 24; first += 6) {
      std::vector<int32_t> rows = all_rows(6);
      for (int32_t& row : rows) row += first;
      const StepShape shape =
          steps.begin(part_of(batch, rows), {words.begin() + first, words.begin() + first + 6},
                      all_rows(6), w_.embedding.data());
      if (!graph || !(shape == captured)) {
        captured = shape;
        graph = capture(steps.steps().stream(), [&] {
          run_layer(steps, values);
          steps.lm_head(Head::kInt8, 6, values.x.data(), nullptr, logits.data());
        });
      }
      CUDA_CHECK(cudaGraphLaunch(graph.get(), steps.steps().stream()));
      const std::vector<float> got = logits.read();
      EXPECT_TRUE(std::equal(got.begin(), got.end(),
                             want.logits.begin() + int64_t{first} * w_.shape.vocab));
    }
    EXPECT_TRUE(values.k_pages.read() == want.k_pages);
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
