// The row operations between the matrix products: error bounds against double precision, the same
// bits on every instruction set, and nothing written beyond the row.
#include "kernels/cpu/elementwise_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/reference/steps.h"
#include "tests/support/kernel_inputs.h"

namespace incipit::kernels {
namespace {

constexpr double kU = 0x1p-24;  // half a unit in the last place of a float in [1, 2)
constexpr double kExp2Error = 0x1p-22;
constexpr float kGuard = 12345.5f;  // stands behind every output row

const std::vector<int32_t> kLengths = {1, 15, 16, 17, 63, 64, 65, 512, 576, 1000, 4096};

std::vector<float> guarded(int32_t n) {
  std::vector<float> out = poisoned(n + 1);
  out.back() = kGuard;
  return out;
}

uint32_t bits(float x) {
  uint32_t b;
  std::memcpy(&b, &x, sizeof(b));
  return b;
}

// -0 and 0 and NaN payloads count as different.
void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b, Isa isa) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(bits(a[i]), bits(b[i]))
        << name_of(isa) << " at " << i << ": " << a[i] << ", " << b[i];
  }
}

TEST(Elementwise, WidensEveryHalf) {
  std::vector<uint16_t> halves;
  for (uint32_t h = 0; h < 0x10000; ++h) halves.push_back(static_cast<uint16_t>(h));
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<float> out = guarded(0x10000);
    elementwise_kernels_for(isa).widen(halves.data(), 0x10000, out.data());
    for (uint32_t h = 0; h < 0x10000; ++h) {
      ASSERT_EQ(bits(out[h]), bits(half_to_float(halves[h]))) << name_of(isa) << ": half " << h;
    }
    EXPECT_EQ(out.back(), kGuard);
  }
}

TEST(Elementwise, NarrowingRoundsAsHalfDoesAndStaysFinite) {
  std::mt19937 random(test_seed());
  std::vector<float> in = {70000, -70000, 65519, 1e-8F, -6.1e-5F, 0, 2049, 2051};
  while (in.size() < 1003)
    in.push_back(std::ldexp(random_rows(1, 1, random)[0], in.size() % 40 - 25));
  const auto n = static_cast<int32_t>(in.size());
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<uint16_t> out(in.size() + 1, 0x1234);
    elementwise_kernels_for(isa).narrow(in.data(), n, out.data());
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(out[i], float_to_half(std::clamp(in[i], -65504.0F, 65504.0F)))
          << name_of(isa) << ": " << in[i];
    }
    EXPECT_EQ(out.back(), 0x1234);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    elementwise_kernels_for(isa).narrow(&nan, 1, out.data());
    EXPECT_EQ(half_to_float(out[0]), 65504) << name_of(isa);
  }
}

TEST(Elementwise, NormIsWithinRounding) {
  std::mt19937 random(test_seed());
  for (const int32_t n : kLengths) {
    const std::vector<float> x = random_rows(1, n, random);
    const std::vector<float> weight = random_rows(1, n, random);
    double squares = 0;
    for (const float v : x) squares += double{v} * v;
    const double factor = 1 / std::sqrt(squares / n + double{1e-5f});
    // n / 64 + 8 additions in a running sum and its tree, of which the square root takes half;
    // mean, eps, root, division and two products.
    const double relative = ((n / 64.0 + 8) / 2 + 6) * kU;
    std::vector<float> first;
    for (const Isa isa : isas_of_this_machine()) {
      std::vector<float> out = guarded(n);
      elementwise_kernels_for(isa).rms_norm(x.data(), weight.data(), 1e-5f, n, out.data());
      for (size_t i = 0; i < x.size(); ++i) {
        const double want = weight[i] * (x[i] * factor);
        ASSERT_LE(std::fabs(out[i] - want), relative * std::fabs(want))
            << name_of(isa) << ": " << i << " of " << n << ": got " << out[i] << ", want " << want;
      }
      EXPECT_EQ(out.back(), kGuard) << "wrote past " << n;
      if (first.empty()) first = out;
      expect_same_bits(first, out, isa);
    }
  }
}

TEST(Elementwise, NormOfZerosIsZero) {
  const std::vector<float> x(100, 0.0f);
  const std::vector<float> weight(100, 1.0f);
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<float> out = guarded(100);
    elementwise_kernels_for(isa).rms_norm(x.data(), weight.data(), 1e-5f, 100, out.data());
    for (int i = 0; i < 100; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], 0.0f);
  }
}

// For a gate far below zero silu is gate * e^gate, so this is the test of exp over all exponents.
TEST(Elementwise, SiluIsWithinTheErrorOfExp) {
  std::mt19937 random(test_seed());
  std::uniform_real_distribution<float> any(-86.0f, 86.0f);
  std::vector<float> gate = {0.0f, -0.0f, 1e-30f, -1e-30f, 86.0f, -86.0f};
  for (int i = 0; i < 20000; ++i) gate.push_back(any(random));
  for (int i = 0; i < 2000; ++i) gate.push_back(any(random) / 40);
  const auto n = static_cast<int32_t>(gate.size());
  const std::vector<float> up = random_rows(1, n, random);
  std::vector<float> first;
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<float> out = guarded(n);
    elementwise_kernels_for(isa).silu_mul(gate.data(), up.data(), n, out.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      const double want = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
      // The argument of exp is rounded twice; a sum, a quotient and a product follow.
      const double relative = kExp2Error + 2 * std::fabs(gate[i]) * kU + 4 * kU;
      ASSERT_LE(std::fabs(out[i] - want), relative * std::fabs(want) + 1e-44)
          << name_of(isa) << ": silu(" << gate[i] << ") * " << up[i] << ": got " << out[i]
          << ", want " << want;
    }
    EXPECT_EQ(out.back(), kGuard);
    if (first.empty()) first = out;
    expect_same_bits(first, out, isa);
  }
}

TEST(Elementwise, SiluTakesExtremesAndWorksInPlace) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<float> gate = {1e30f, -1e30f, kInfinity, -200.0f, std::nanf(""), 3e38f};
    const std::vector<float> up(gate.size(), 1.0f);
    elementwise_kernels_for(isa).silu_mul(gate.data(), up.data(), static_cast<int32_t>(gate.size()),
                                          gate.data());
    EXPECT_EQ(gate[0], 1e30f);
    EXPECT_LE(std::fabs(gate[1]), 1e30f * 0x1p-127f);
    EXPECT_EQ(gate[2], kInfinity);
    EXPECT_LE(std::fabs(gate[3]), 200.0f * 0x1p-127f);
    EXPECT_TRUE(std::isnan(gate[4]));
    EXPECT_EQ(gate[5], 3e38f);
  }
}

// What the fp16 pages hold is finite whatever comes in.
TEST(Elementwise, AppendSaturatesToFiniteHalves) {
  constexpr int32_t kHeadDim = 64;
  const std::vector<float> cos(kHeadDim / 2, 1.0f);
  const std::vector<float> sin(kHeadDim / 2, 0.0f);
  for (const Isa isa : isas_of_this_machine()) {
    std::vector<float> qkv(3 * kHeadDim, 1.0f);
    const std::vector<std::pair<float, uint16_t>> cases = {
        {65504.0f, 0x7bff}, {65520.0f, 0x7bff},  {1e30f, 0x7bff},         {-1e30f, 0xfbff},
        {INFINITY, 0x7bff}, {-INFINITY, 0xfbff}, {std::nanf(""), 0x7bff}, {6e-8f, 0x0001}};
    for (size_t i = 0; i < cases.size(); ++i) qkv[2 * kHeadDim + i] = cases[i].first;
    std::vector<float> q = poisoned(kHeadDim);
    std::vector<uint16_t> k_page(kHeadDim * kPageTokens, 0x1234);
    std::vector<uint16_t> v_page(kHeadDim * kPageTokens, 0x1234);
    const RopeAppendRow row = {qkv.data(), cos.data(),    sin.data(),    1, 1, kHeadDim,
                               q.data(),   k_page.data(), v_page.data(), 5};
    elementwise_kernels_for(isa).rope_append(row);
    for (size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(v_page[5 * kHeadDim + i], cases[i].second) << name_of(isa) << cases[i].first;
    }
    EXPECT_EQ(v_page[5 * kHeadDim - 1], 0x1234) << "another token's slot was written";
    EXPECT_EQ(v_page[6 * kHeadDim], 0x1234) << "another token's slot was written";
    for (int t = 0; t < kPageTokens; ++t) {
      EXPECT_EQ(k_page[static_cast<size_t>(3 * kPageTokens + t)], t == 5 ? 0x3c00 : 0x1234);
    }
  }
}

std::vector<Candidate> candidates(Isa isa, const std::vector<float>& logits, int32_t n) {
  std::vector<Candidate> out(static_cast<size_t>(n), Candidate{-7, kGuard});
  elementwise_kernels_for(isa).top_candidates(logits.data(), static_cast<int32_t>(logits.size()), n,
                                              out.data());
  return out;
}

void expect_reference_candidates(const std::vector<float>& logits, int32_t n) {
  std::vector<Candidate> want(static_cast<size_t>(n));
  reference::top_candidates(
      {1, static_cast<int32_t>(logits.size()), n, logits.data(), want.data()});
  for (const Isa isa : isas_of_this_machine()) {
    const std::vector<Candidate> got = candidates(isa, logits, n);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(got[i].token, want[i].token) << name_of(isa) << ": candidate " << i << " of " << n;
      ASSERT_EQ(got[i].logit, want[i].logit) << name_of(isa) << ": candidate " << i << " of " << n;
    }
  }
}

TEST(TopCandidates, AreTheLargestInDescendingOrder) {
  std::mt19937 random(test_seed());
  for (const int32_t vocab : {1, 2, 15, 16, 17, 63, 64, 65, 1000, 16384}) {
    const std::vector<float> logits = random_rows(1, vocab, random);
    for (const int32_t n : {1, 2, 64}) expect_reference_candidates(logits, std::min(n, vocab));
  }
}

TEST(TopCandidates, BreakTiesByTheLowerToken) {
  std::mt19937 random(test_seed());
  for (const int32_t n_values : {1, 2, 5}) {
    std::vector<float> logits(1000);
    for (float& x : logits) x = static_cast<float>(random() % static_cast<uint32_t>(n_values));
    logits[500] = -0.0f;  // equal to 0
    expect_reference_candidates(logits, 64);
  }
}

TEST(TopCandidates, ComeInAnyInputOrder) {
  std::vector<float> rising(777);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<float>(i);
  expect_reference_candidates(rising, 64);
  std::reverse(rising.begin(), rising.end());
  expect_reference_candidates(rising, 64);
}

TEST(TopCandidates, TakeNanForMinusInfinity) {
  std::mt19937 random(test_seed());
  std::vector<float> logits(200, std::nanf(""));
  expect_reference_candidates(logits, 64);
  for (size_t i = 30; i < 200; i += 7) logits[i] = static_cast<float>(random() % 9);
  logits[40] = std::numeric_limits<float>::infinity();
  logits[41] = -std::numeric_limits<float>::infinity();
  expect_reference_candidates(logits, 64);
  expect_reference_candidates(logits, 200);
}

}  // namespace
}  // namespace incipit::kernels
