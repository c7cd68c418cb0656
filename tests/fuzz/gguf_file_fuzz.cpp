// Any bytes as a GGUF file: parsed or refused, never read outside themselves; and what is accepted
// holds what GgufFile promises, as far as a configuration and a tokenizer.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/weights/block_formats.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/gguf_file.h"
#include "engine/weights/gguf_model.h"
#include "engine/weights/gguf_tokenizer.h"
#include "kernels/common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace incipit::engine;
  // A copy of exactly this size on the heap, so that a read past the end is seen.
  const std::vector<uint8_t> bytes(data, data + size);
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)), "fuzz");
  if (!file.ok()) {
    CHECK(!file.error().message.empty());
    return 0;
  }
  for (const Tensor& tensor : file->tensors()) {
    const BlockShape block = block_shape(tensor.type);
    const int64_t n_blocks = tensor.n_elements() / block.n_elements;
    CHECK_EQ(n_blocks * block.n_bytes, static_cast<int64_t>(tensor.data.size()));
    CHECK(file->find(tensor.name) == &tensor);
    std::vector<float> numbers(static_cast<size_t>(tensor.n_elements()));
    copy_floats(tensor, 0, numbers);
  }
  (void)gguf_config_json(*file).ok();
  (void)gguf_tokenizer(*file).ok();
  (void)gguf_tensors(*file).ok();
  return 0;
}
