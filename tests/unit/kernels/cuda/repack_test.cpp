// The device's repacking against the host's codec, to the byte, padding included.
#include "kernels/cuda/repack.h"

#include <gtest/gtest.h>

#include <tuple>

#include "kernels/quant/cuda_codec.h"
#include "tests/support/cuda_device.h"

namespace incipit::kernels::cuda {
namespace {

DeviceArray<std::byte> upload(const AlignedBytes& bytes) {
  const std::span<std::byte> span = bytes.span();
  return DeviceArray<std::byte>(std::vector<std::byte>(span.begin(), span.end()));
}

void expect_same_repack(const Int4Shape& s, RowOrder order, const HeadOrder& heads,
                        std::mt19937& random) {
  const Int4Matrix m = random_int4(s, random);
  const auto from = packed(m);
  const DeviceArray<std::byte> file = upload(from.bytes);
  const DeviceArray<std::byte> to(CudaTile::bytes(s));
  repack_int4({file.data(), s}, order, heads, to.data(), nullptr);
  EXPECT_EQ(to.read(), pack_cuda(m, order, heads))
      << s.rows << "x" << s.cols << " group " << s.group << (s.has_zeros ? " with zeros" : "");
}

TEST(Repack, WritesWhatTheHostsCodecWrites) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const int32_t group : {32, 64, 128}) {
    for (const bool has_zeros : {false, true}) {
      for (const auto& [rows, cols] :
           {std::tuple{1, 1}, {16, 128}, {31, 96}, {257, 704}, {33, 200}})
        expect_same_repack({rows, cols, group, has_zeros}, RowOrder::kPlain, {}, random);
      expect_same_repack({5 * 64, 192, group, has_zeros}, RowOrder::kRopePairs, {4 * 64, 64},
                         random);
      expect_same_repack({2 * 104, 320, group, has_zeros}, RowOrder::kGateUp, {}, random);
    }
  }
}

TEST(Repack, WritesTheHeadAsTheHostsCodecDoes) {
  SKIP_WITHOUT_CUDA();
  std::mt19937 random(test_seed());
  for (const Int8Shape s : {Int8Shape{1, 1}, {31, 96}, {32, 128}, {333, 200}}) {
    const Int8Matrix m = random_int8(s, random);
    const auto from = packed(m);
    const DeviceArray<std::byte> file = upload(from.bytes);
    const DeviceArray<std::byte> to(Int8Layout<CudaTile>::bytes(s));
    repack_int8({file.data(), s}, to.data(), nullptr);
    EXPECT_EQ(to.read(), pack_cuda(m));
  }
}

}  // namespace
}  // namespace incipit::kernels::cuda
