// The largest logits on the device against a full sort on the host: the same tokens, to the bit.
#include "kernels/cuda/top_candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/cuda/stream.h"
#include "tests/support/cuda_device.h"

namespace incipit::kernels::cuda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<Candidate> sorted(const float* logits, int32_t vocab, int32_t n_candidates) {
  std::vector<Candidate> all;
  for (int32_t token = 0; token < vocab; ++token) all.push_back({token, logits[token]});
  std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
    if (std::isnan(a.logit) || std::isnan(b.logit))
      return std::isnan(a.logit) && !std::isnan(b.logit);
    return a.logit > b.logit;
  });
  all.resize(static_cast<size_t>(n_candidates));
  return all;
}

void expect_sorted(const std::vector<float>& logits, int32_t n_rows, int32_t n_candidates) {
  const auto vocab = static_cast<int32_t>(logits.size()) / n_rows;
  const DeviceArray<float> on_device(logits);
  const DeviceArray<std::byte> scratch(top_candidates_scratch_bytes(n_rows, vocab));
  const int64_t n_out = int64_t{n_rows} * n_candidates;
  const PinnedBuffer out = PinnedBuffer::allocate(n_out * static_cast<int64_t>(sizeof(Candidate)));
  const Stream stream = make_stream();
  top_candidates({n_rows, vocab, n_candidates, on_device.data(), out.as<Candidate>()},
                 scratch.data(), {stream.get(), false});
  CUDA_CHECK(cudaStreamSynchronize(stream.get()));
  for (int32_t row = 0; row < n_rows; ++row) {
    const std::vector<Candidate> want = sorted(logits.data() + row * vocab, vocab, n_candidates);
    for (int32_t i = 0; i < n_candidates; ++i) {
      const Candidate got = out.as<Candidate>()[row * n_candidates + i];
      const Candidate& wanted = want[static_cast<size_t>(i)];
      ASSERT_EQ(got.token, wanted.token) << "row " << row << ", place " << i;
      ASSERT_TRUE(got.logit == wanted.logit || (std::isnan(got.logit) && std::isnan(wanted.logit)))
          << "row " << row << ", place " << i << ": " << got.logit << ", want " << wanted.logit;
    }
  }
}

std::vector<float> random_logits(int64_t n, std::mt19937& random) {
  std::normal_distribution<float> value(0.0f, 4.0f);
  std::vector<float> logits(static_cast<size_t>(n));
  for (float& logit : logits) logit = value(random);
  return logits;
}

TEST(TopCandidates, AreThoseOfAFullSort) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const int32_t vocab : {1, 2, 31, 63, 64, 65, 333, 1023, 1024, 1025, 16384, 128256}) {
    for (const int32_t n_rows : {1, 3}) {
      for (const int32_t n_candidates : {1, 33, 64}) {
        SCOPED_TRACE(vocab);
        if (n_candidates > vocab) continue;
        expect_sorted(random_logits(int64_t{n_rows} * vocab, random), n_rows, n_candidates);
      }
    }
  }
  expect_sorted(random_logits(int64_t{65} * 5000, random), 65, 64);
}

TEST(TopCandidates, TakeEqualLogitsInTheOrderOfTokens) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = static_cast<float>(random() % 3) - 1;
  for (size_t i = 0; i < logits.size(); i += 7) logits[i] = -0.0f;
  expect_sorted(logits, 1, 64);
  expect_sorted(std::vector<float>(3000, -0.0f), 1, 64);
  expect_sorted(std::vector<float>(3000, -kInf), 1, 64);
}

TEST(TopCandidates, FindTheLargestWhereverTheyStand) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  std::vector<float> rising(4000);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<float>(i);
  expect_sorted(rising, 1, 64);
  std::reverse(rising.begin(), rising.end());
  expect_sorted(rising, 1, 64);
  std::vector<float> spread = random_logits(128256, random);
  for (int i = 0; i < 80; ++i) spread[random() % spread.size()] = 100 + static_cast<float>(i % 9);
  expect_sorted(spread, 1, 64);
}

TEST(TopCandidates, PutNanAboveAllNumbers) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  std::vector<float> logits = random_logits(3000, random);
  logits[17] = kInf;
  logits[1999] = kNan;
  logits[2000] = -kNan;
  logits[5] = -kInf;
  expect_sorted(logits, 1, 64);
}

}  // namespace
}  // namespace incipit::kernels::cuda
