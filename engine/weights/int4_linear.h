// Linears that a checkpoint holds as 4-bit integers, whoever quantised them, as kernels::Int4Matrix
// rows. w[n][k] = (q - zero) * scale, n an output (of N), k an input (of K), G groups of inputs.
// Bits 4j .. 4j+3 of a 32-bit word are its nibble j.
//
//              quants                      zeros                       scales   group of an input
//   GPTQ       X.qweight [K/8, N],         X.qzeros [G, N/8],          X.scales X.g_idx [K],
//   optional
//              nibble j: input 8r + j      nibble j: output 8c + j     [G, N]
//   AWQ        X.qweight [K, N/8],         X.qzeros [G, N/8],          X.scales k / group
//              nibble j: output 8c + o[j]  nibble j: output 8c + o[j]  [G, N]
//   compressed X.weight_packed [N, K/8],   X.weight_zero_point         X.weight_ X.weight_g_idx
//   [K], -tensors   nibble j: input 8r + j      [N/8, G], nibble j:         scale    optional
//                                          output 8r + j; optional     [N, G]
//
// with o = 0 2 4 6 1 3 5 7. Loading thread; row functions may run on several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "kernels/quant/int4_layout.h"

namespace incipit::engine {

// One linear whose tensors have been checked; borrows from the checkpoint.
struct Int4Linear {
  std::string name;  // "model.layers.0.mlp.up_proj"
  int32_t rows = 0;  // outputs, N
  int32_t cols = 0;  // inputs, K
  QuantConfig config;
  const Tensor* quants = nullptr;
  const Tensor* zeros = nullptr;  // nullptr: every zero is 8
  const Tensor* scales = nullptr;
  std::vector<int32_t> group_of;  // of each input; empty: k / group (no activation reordering)

  int32_t group() const { return config.group == kWholeColumn ? cols : config.group; }
  int32_t n_groups() const { return (cols + group() - 1) / group(); }
};

// Checks presence, types and shapes of the tensors, that groups are in range, that scales are
// numbers that fp16 can hold, that a bias is zero. Errors name file, tensor, wanted and found.
Result<Int4Linear> find_int4_linear(const Checkpoint& checkpoint, const std::string& name,
                                    int32_t rows, int32_t cols, const QuantConfig& config);

// The tensor that tells a quantised linear from one left as it was: "X.qweight".
std::string quants_name(const std::string& name, const QuantConfig& config);

// All zeros are 8, the middle of the range.
bool is_symmetric(const Int4Linear& linear);

// Asymmetric and stored less one with a stored 15: the zero is 16 here, but some writers let a zero
// of 0 wrap around to it.
bool has_ambiguous_zeros(const Int4Linear& linear);

// Inputs in the order of their groups, equal ones as they were: position p belongs to group
// p / group. Nothing when the groups are not all of the same size; only for reordered inputs.
std::optional<std::vector<int32_t>> grouped_order(const Int4Linear& linear);

// Where the rows of a linear go: row 0 of q [rows, cols], of scales and of zeros [rows, n_groups].
struct Int4Rows {
  kernels::Int4Shape shape;  // of the matrix: cols, group and has_zeros count
  uint8_t* q = nullptr;
  uint16_t* scales = nullptr;
  uint8_t* zeros = nullptr;  // nullptr unless shape.has_zeros
};

// Rows begin .. end-1 with the linear's own integers. `order` (empty: none) puts input order[p] at
// position p. shape.group divides the linear's group, whose scale is repeated.
void import_rows(const Int4Linear& linear, std::span<const int32_t> order, int32_t begin,
                 int32_t end, const Int4Rows& out);

// Rows begin .. end-1 as numbers, [end - begin, cols], in the order of the checkpoint.
void dequantise_rows(const Int4Linear& linear, int32_t begin, int32_t end, float* out);

// The zero (0 .. 16) and the scale of output n in group g, as the checkpoint has them.
int32_t zero_of(const Int4Linear& linear, int32_t g, int32_t n);
float scale_of(const Int4Linear& linear, int32_t g, int32_t n);

}  // namespace incipit::engine
