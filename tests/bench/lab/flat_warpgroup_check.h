// What flat_warpgroup_lab compares: the products of FlatLayers by the kernels that there are and by
// a candidate, with the tokens as rows and as images; and whether both write the same bits.
#pragma once

#include <vector>

#include "tests/bench/lab/flat_layers.h"
#include "tests/bench/lab/flat_warpgroup.h"

namespace incipit::kernels::cuda {

struct WarpgroupLayers : FlatLayers {
  DeviceBuffer image_values = DeviceBuffer::allocate(TokenColumns::bytes(kFlatRows, kLabHidden));
  DeviceBuffer image_attention = DeviceBuffer::allocate(TokenColumns::bytes(kFlatRows, kLabHidden));
  DeviceBuffer image_act = DeviceBuffer::allocate(TokenColumns::bytes(kFlatRows, kLabFfn));

  // Images of the inputs; poison for tokens past n_rows.
  void arrange_inputs(int32_t n_rows, int32_t n_tokens) const {
    const LaunchContext context = {stream.get(), false};
    for (const DeviceBuffer* b : {&image_values, &image_attention, &image_act})
      CUDA_CHECK(
          cudaMemsetAsync(b->data(), 0xff, static_cast<size_t>(b->size_bytes()), stream.get()));
    arrange_columns(values.as<uint16_t>(), n_rows, n_tokens, kLabHidden, image_values.data(),
                    context);
    arrange_columns(attention.as<uint16_t>(), n_rows, n_tokens, kLabHidden, image_attention.data(),
                    context);
    arrange_columns(act.as<uint16_t>(), n_rows, n_tokens, kLabFfn, image_act.data(), context);
  }
  FlatRows normed_rows(int32_t n_rows) const {
    return {values.as<uint16_t>(), nullptr, n_rows, squares.as<float>(), 1e-5f};
  }
  // By the kernels that there are.
  void launch_now(int layer, int product, int32_t n_rows, const LaunchContext& context) const;
  void launch(int layer, int product, int32_t n_rows, const WarpgroupShape& shape,
              const LaunchContext& context) const;
};

// What a product writes: q, k, v; or x, the norm's sums and the image; or the image.
struct Written {
  std::vector<uint32_t> halves;
  std::vector<uint32_t> floats;
};
struct Difference {
  size_t n_values = 0;
  size_t n_differ = 0;
  double largest = 0;
};
void add_differences(const Written& got, const Written& want, Difference& difference);

// Runs single products of layer 0, always on the activations that there were at first.
class BitCheck {
 public:
  explicit BitCheck(const WarpgroupLayers& layers);
  void restore() const;
  // Of n_rows, compared as an image of n_tokens.
  Written by_now(int product, int32_t n_rows, int32_t n_tokens) const;
  Written by(int product, int32_t n_rows, const WarpgroupShape& shape) const;

 private:
  void begin(int product, int32_t n_rows, int32_t n_tokens) const;
  Written end(int product) const;

  const WarpgroupLayers& layers_;
  std::vector<uint32_t> x_, values_, squares_, act_;
};

}  // namespace incipit::kernels::cuda
