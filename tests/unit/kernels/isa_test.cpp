#include "kernels/cpu/isa.h"

#include <gtest/gtest.h>

namespace incipit::kernels {
namespace {

TEST(Isa, ParsesTheNamesItPrintsAndNothingElse) {
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    EXPECT_EQ(parse_isa(name_of(isa)), isa);
  }
  EXPECT_EQ(parse_isa(""), std::nullopt);
  EXPECT_EQ(parse_isa("AVX2"), std::nullopt);
  EXPECT_EQ(parse_isa("avx512 "), std::nullopt);
}

TEST(Isa, ChoosesTheWidestSetThatTheMachineHas) {
  EXPECT_TRUE(isa_supported(Isa::kScalar));
  EXPECT_TRUE(isa_supported(best_isa()));
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    if (isa_supported(isa)) {
      EXPECT_GE(best_isa(), isa);
    }
  }
}

}  // namespace
}  // namespace incipit::kernels
