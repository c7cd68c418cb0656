#include "tests/bench/lab/flat_warpgroup_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cuda/flat_product.cuh"

namespace incipit::kernels::cuda {

namespace {

float half_value(uint32_t bits) {
  return __half2float(__ushort_as_half(static_cast<uint16_t>(bits)));
}
float float_value(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
void add_difference(Difference& d, double got, double want, bool differs) {
  d.n_values += 1;
  if (!differs) return;
  d.n_differ += 1;
  const double difference = std::abs(got - want);
  d.largest = difference <= 1e30 ? std::max(d.largest, difference) : 1e30;  // NaN: poison
}

}  // namespace

void WarpgroupLayers::launch_now(int layer, int product, int32_t n_rows,
                                 const LaunchContext& context) const {
  const Int4View<CudaTile> w = view(layer, product);
  if (product == 0) {
    flat_qkv({batch(n_rows), kLabHidden, kLabHeads, normed(), normed_rows(n_rows).norm_eps, w,
              cos.as<float>(), sin.as<float>(), q.as<uint16_t>(), kv().k_pages, kv().v_pages},
             scratch, context);
  } else if (product == 2) {
    flat_gate_up({n_rows, kLabHidden, kLabFfn, normed(), normed_rows(n_rows).norm_eps, w,
                  act.as<uint16_t>()},
                 scratch, context);
  } else {
    const uint16_t* const in = product == 1 ? attention.as<uint16_t>() : act.as<uint16_t>();
    flat_add({n_rows, w.shape.cols, kLabHidden, in, w, x.as<float>(), norm.as<float>(), normed()},
             scratch, context);
  }
}

void WarpgroupLayers::launch(int layer, int product, int32_t n_rows, const WarpgroupShape& shape,
                             const LaunchContext& context) const {
  WarpgroupProduct p;
  p.w = flat_weights(view(layer, product));
  p.in = {nullptr, nullptr, n_rows, nullptr, 0};
  p.shape = shape;
  if (product == 0) {
    p.in = normed_rows(n_rows);
    p.image = image_values.data();
    warpgroup_product(p,
                      RopeAppendEpilogue{batch(n_rows), kLabHeads, cos.as<float>(), sin.as<float>(),
                                         q.as<uint16_t>(), kv().k_pages, kv().v_pages},
                      context);
  } else if (product == 2) {
    p.in = normed_rows(n_rows);
    p.image = image_values.data();
    warpgroup_product(p, ImageGateUpEpilogue{image_act.data(), shape.tokens}, context);
  } else {
    p.image = product == 1 ? image_attention.data() : image_act.data();
    const AddEpilogue add = {kLabHidden, x.as<float>(), norm.as<float>(), normed()};
    warpgroup_product(p, ImageAddEpilogue{add, image_values.data(), shape.tokens}, context);
  }
}

BitCheck::BitCheck(const WarpgroupLayers& layers)
    : layers_(layers),
      x_(bits_of(layers.x, layers.x.size_bytes())),
      values_(bits_of(layers.values, layers.values.size_bytes())),
      squares_(bits_of(layers.squares, layers.squares.size_bytes())),
      act_(bits_of(layers.act, layers.act.size_bytes())) {}

void BitCheck::restore() const {
  put_bits(layers_.x, x_);
  put_bits(layers_.values, values_);
  put_bits(layers_.squares, squares_);
  put_bits(layers_.act, act_);
}

// Inputs as at first, poison where the outputs will be.
void BitCheck::begin(int product, int32_t n_rows, int32_t n_tokens) const {
  restore();
  layers_.arrange_inputs(n_rows, n_tokens);
  CUDA_CHECK(cudaStreamSynchronize(layers_.stream.get()));
  std::vector<const DeviceBuffer*> outputs = {&layers_.q, &layers_.k, &layers_.v};
  if (product == 2) outputs = {&layers_.image_act, &layers_.act};
  if (product % 2 == 1) outputs = {&layers_.image_values, &layers_.values, &layers_.squares};
  for (const DeviceBuffer* b : outputs)
    CUDA_CHECK(cudaMemset(b->data(), 0xff, static_cast<size_t>(b->size_bytes())));
  CUDA_CHECK(cudaDeviceSynchronize());
}

Written BitCheck::end(int product) const {
  CUDA_CHECK(cudaStreamSynchronize(layers_.stream.get()));
  Written result;
  const auto append = [](std::vector<uint32_t>& to, const DeviceBuffer& b) {
    const std::vector<uint32_t> bits = bits_of(b, b.size_bytes());
    to.insert(to.end(), bits.begin(), bits.end());
  };
  if (product == 0) {
    for (const DeviceBuffer* b : {&layers_.q, &layers_.k, &layers_.v}) append(result.halves, *b);
  } else if (product == 2) {
    append(result.halves, layers_.image_act);
  } else {
    append(result.halves, layers_.image_values);
    append(result.floats, layers_.x);
    append(result.floats, layers_.squares);
  }
  return result;
}

Written BitCheck::by_now(int product, int32_t n_rows, int32_t n_tokens) const {
  begin(product, n_rows, n_tokens);
  const LaunchContext context = {layers_.stream.get(), false};
  layers_.launch_now(0, product, n_rows, context);
  if (product == 2) {
    arrange_columns(layers_.act.as<uint16_t>(), n_rows, n_tokens, kLabFfn, layers_.image_act.data(),
                    context);
  } else if (product != 0) {
    arrange_columns(layers_.values.as<uint16_t>(), n_rows, n_tokens, kLabHidden,
                    layers_.image_values.data(), context);
  }
  return end(product);
}

Written BitCheck::by(int product, int32_t n_rows, const WarpgroupShape& shape) const {
  begin(product, n_rows, shape.tokens);
  layers_.launch(0, product, n_rows, shape, {layers_.stream.get(), false});
  return end(product);
}

void add_differences(const Written& got, const Written& want, Difference& d) {
  if (got.halves == want.halves && got.floats == want.floats) {
    d.n_values += 2 * want.halves.size() + want.floats.size();
    return;
  }
  for (size_t i = 0; i < want.halves.size(); ++i) {
    const uint32_t a = got.halves[i];
    const uint32_t b = want.halves[i];
    add_difference(d, half_value(a & 0xffff), half_value(b & 0xffff), (a ^ b) << 16 != 0);
    add_difference(d, half_value(a >> 16), half_value(b >> 16), (a ^ b) >> 16 != 0);
  }
  for (size_t i = 0; i < want.floats.size(); ++i)
    add_difference(d, float_value(got.floats[i]), float_value(want.floats[i]),
                   got.floats[i] != want.floats[i]);
}

}  // namespace incipit::kernels::cuda
