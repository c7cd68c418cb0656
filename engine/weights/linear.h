// A linear of a checkpoint in whatever form the checkpoint has it. Either its integers are kept, or
// its rows are read as numbers and rounded. Loading thread; row functions may run on several
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "engine/base/result.h"
#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/int4_linear.h"

namespace incipit::engine {

// Numbers: [rows, cols] of F16, BF16, F32 or, in a GGUF file, blocks of any type.
struct DenseLinear {
  std::string name;  // without ".weight"
  int32_t rows = 0;
  int32_t cols = 0;
  const Tensor* weight = nullptr;
  int32_t paired_head_dim = 0;  // rows lie as gguf_row() says; 0: as they are
};

using Linear = std::variant<Int4Linear, DenseLinear>;

// A quantised checkpoint may leave single linears in full precision (AWQ's modules_to_not_convert,
// compressed-tensors' ignore): what tensors there are decides.
Result<Linear> find_linear(const Checkpoint& checkpoint, const std::string& name, int32_t rows,
                           int32_t cols, const QuantConfig& config);

const std::string& name_of(const Linear& linear);
int32_t rows_of(const Linear& linear);

// The tensor that the numbers come from, to be named when one is no number.
const Tensor& tensor_of(const Linear& linear);

// Rows begin .. end-1 as numbers, [end - begin, cols].
void read_rows(const Linear& linear, int32_t begin, int32_t end, float* out);

}  // namespace incipit::engine
