// Any bytes as a safetensors file: parsed or refused, never read outside themselves; and what is
// accepted holds what TensorFile promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/weights/tensor_file.h"
#include "kernels/common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using incipit::engine::Tensor;
  using incipit::engine::TensorFile;
  // A copy of exactly this size on the heap, so that a read past the end is seen.
  const std::vector<uint8_t> bytes(data, data + size);
  const auto file = TensorFile::parse(std::as_bytes(std::span(bytes)), "fuzz");
  if (!file.ok()) {
    CHECK(!file.error().message.empty());
    return 0;
  }
  size_t covered = file->header().size();
  uint8_t sum = 0;
  for (const Tensor& tensor : file->tensors()) {
    // Without a zero among them the extents multiply to less than the file: no overflow.
    const bool empty = std::count(tensor.shape.begin(), tensor.shape.end(), 0) > 0;
    int64_t n_elements = empty ? 0 : 1;
    for (const int64_t extent : tensor.shape) n_elements *= empty ? 0 : extent;
    CHECK_EQ(n_elements, tensor.n_elements());
    CHECK(file->find(tensor.name) == &tensor);
    for (const std::byte byte : tensor.data) sum ^= static_cast<uint8_t>(byte);
    covered += tensor.data.size();
  }
  CHECK_EQ(covered, size);
  [[maybe_unused]] static volatile uint8_t sink;  // the reads above must happen
  sink = sum;
  return 0;
}
