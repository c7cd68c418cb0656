// Reading F16, BF16, F32 and block tensors as float or fp16. Loading thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "engine/base/result.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/tensor_file.h"

namespace incipit::engine {

inline constexpr std::array<TensorType, 3> kFloatTypes = {TensorType::kF16, TensorType::kBF16,
                                                          TensorType::kF32};

// What a table of numbers may be made of: kFloatTypes, in a GGUF file block types too.
std::span<const TensorType> number_types(const Checkpoint& checkpoint);

// Element i of a tensor of one of kFloatTypes, i < n_elements().
float float_at(const Tensor& tensor, int64_t i);

// Elements first .. first + out.size() - 1 as they are, numbers or not. Of a block type: whole
// blocks.
void copy_floats(const Tensor& tensor, int64_t first, std::span<float> out);

// Every element, out.size() == n_elements(). A value that is infinite or not a number is kCorrupt,
// naming file (`where`), tensor, wanted and found.
Result<void> read_floats(const Tensor& tensor, const std::string& where, std::span<float> out);

// Elements first .. first + out.size() - 1 in fp16, of a block type from and to whole blocks;
// several threads may do that. Returns the first that fp16 cannot hold as a number, or -1.
int64_t copy_halves(const Tensor& tensor, int64_t first, std::span<uint16_t> out);
// What is wrong with element i: kCorrupt.
Error not_a_half(const Tensor& tensor, const std::string& where, int64_t i);

// Some quantisers write a bias of zeros, "X.bias" [rows], for layers that have none; any other is
// kUnsupported.
Result<void> check_no_bias(const Checkpoint& checkpoint, const std::string& linear, int32_t rows);

}  // namespace incipit::engine
