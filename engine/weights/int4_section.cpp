#include "engine/weights/int4_section.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/weights/block_formats.h"
#include "engine/weights/gguf_model.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"

namespace incipit::engine {
namespace {

using kernels::Int4Matrix;
using kernels::Int4Shape;

constexpr int32_t kColumnGroup = 128;  // what a whole-column scale is repeated for

// What one row differs by; summed in order afterwards, so that threads do not change the figure.
struct RowLoss {
  double square_error = 0;
  double square_norm = 0;
  int32_t not_finite = -1;  // column of a number that is none
};

// GGUF's Q4_0 has our own numbers: groups of 32 inputs, zeros of 8, fp16 scales.
constexpr int32_t kQ40Group = 32;

const DenseLinear* as_q4_0(const Linear& linear) {
  const auto* dense = std::get_if<DenseLinear>(&linear);
  return dense != nullptr && dense->weight->type == TensorType::kQ4_0 ? dense : nullptr;
}

Int4Part plan_part(Linear linear, InputOrder inputs, int32_t rounded_group) {
  Int4Part part{std::move(linear), false, {}};
  const auto* int4 = std::get_if<Int4Linear>(&part.linear);
  if (int4 == nullptr) {
    // In larger groups it is to be quantised again.
    part.keeps_integers = as_q4_0(part.linear) != nullptr && rounded_group == kQ40Group;
    return part;
  }
  part.keeps_integers = int4->group_of.empty();
  if (!part.keeps_integers && inputs == InputOrder::kCanMove) {
    if (auto order = grouped_order(*int4)) {
      part.input_order = std::move(*order);
      part.keeps_integers = true;
    }
  }
  return part;
}

int32_t group_of(const Int4Part& part, int32_t rounded_group) {
  if (!part.keeps_integers || as_q4_0(part.linear) != nullptr) return rounded_group;
  const int32_t group = std::get<Int4Linear>(part.linear).config.group;
  return group == kWholeColumn ? kColumnGroup : group;
}

// fp16 scales are taken as they are; others may have to be rounded.
bool is_exact(const Int4Part& part) {
  if (!part.keeps_integers) return false;
  const auto* int4 = std::get_if<Int4Linear>(&part.linear);
  return int4 == nullptr || int4->scales->type == TensorType::kF16;
}

RowLoss loss_of(std::span<const float> wanted, const Int4Matrix& matrix, int64_t row,
                std::span<const int32_t> input_order) {
  RowLoss loss;
  const Int4Shape& shape = matrix.shape;
  for (int32_t p = 0; p < shape.cols; ++p) {
    const int64_t group = row * shape.n_groups() + p / shape.group;
    const int32_t zero = shape.has_zeros ? matrix.zeros[static_cast<size_t>(group)]
                                         : int32_t{kernels::kSymmetricZero};
    const int32_t q = matrix.q[static_cast<size_t>(row * shape.cols + p)];
    const float got = static_cast<float>(q - zero) *
                      kernels::half_to_float(matrix.scales[static_cast<size_t>(group)]);
    const int32_t input = input_order.empty() ? p : input_order[static_cast<size_t>(p)];
    const double want = wanted[static_cast<size_t>(input)];
    loss.square_error += (want - got) * (want - got);
    loss.square_norm += want * want;
  }
  return loss;
}

// Fills the rows of one part; first_row is where they begin in the matrix.
class PartFiller {
 public:
  PartFiller(const Int4Part& part, int32_t first_row, Int4Matrix& matrix)
      : part_(part), first_row_(first_row), matrix_(matrix) {
    const Int4Shape& shape = matrix.shape;
    const int64_t first_group = int64_t{first_row} * shape.n_groups();
    rows_ = {shape, matrix.q.data() + int64_t{first_row} * shape.cols,
             matrix.scales.data() + first_group,
             shape.has_zeros ? matrix.zeros.data() + first_group : nullptr};
    losses_.resize(static_cast<size_t>(rows_of(part.linear)));
  }

  void fill(int32_t begin, int32_t end) {
    if (const DenseLinear* q4_0 = as_q4_0(part_.linear); q4_0 && part_.keeps_integers) {
      for (int32_t n = begin; n < end; ++n) copy_row(*q4_0, n);
    } else if (part_.keeps_integers) {
      import_rows(std::get<Int4Linear>(part_.linear), part_.input_order, begin, end, rows_);
    }
    if (is_exact(part_)) return;
    constexpr int32_t kBlock = 16;  // rows held as floats at a time
    std::vector<float> numbers(static_cast<size_t>(int64_t{kBlock} * rows_.shape.cols));
    for (int32_t first = begin; first < end; first += kBlock) {
      const int32_t last = std::min(first + kBlock, end);
      read_rows(part_.linear, first, last, numbers.data());
      for (int32_t n = first; n < last; ++n) {
        const auto cols = static_cast<size_t>(rows_.shape.cols);
        finish_row(n, std::span(numbers).subspan(static_cast<size_t>(n - first) * cols, cols));
      }
    }
  }

  const std::vector<RowLoss>& losses() const { return losses_; }

 private:
  void copy_row(const DenseLinear& q4_0, int32_t n) {
    const int32_t n_groups = rows_.shape.n_groups();
    CHECK_EQ(rows_.shape.group, kQ40Group);
    const auto row_bytes =
        static_cast<size_t>(n_groups) * static_cast<size_t>(block_shape(TensorType::kQ4_0).n_bytes);
    const auto at =
        static_cast<size_t>(q4_0.paired_head_dim == 0 ? n : gguf_row(n, q4_0.paired_head_dim));
    uint16_t* scales = rows_.scales + int64_t{n} * n_groups;
    split_q4_0(q4_0.weight->data.subspan(at * row_bytes, row_bytes),
               rows_.q + int64_t{n} * rows_.shape.cols, scales);
    for (int32_t g = 0; g < n_groups; ++g) {
      if (!std::isfinite(kernels::half_to_float(scales[g])))
        losses_[static_cast<size_t>(n)].not_finite = g * kQ40Group;
    }
    if (rows_.zeros != nullptr)
      std::fill_n(rows_.zeros + int64_t{n} * n_groups, n_groups, kernels::kSymmetricZero);
  }

  void finish_row(int32_t n, std::span<const float> numbers) {
    RowLoss& loss = losses_[static_cast<size_t>(n)];
    const auto strange = std::find_if(numbers.begin(), numbers.end(),
                                      [](float number) { return !std::isfinite(number); });
    if (strange != numbers.end()) {
      loss.not_finite = static_cast<int32_t>(strange - numbers.begin());
      return;
    }
    if (!part_.keeps_integers) {
      const int32_t n_groups = rows_.shape.n_groups();
      round_row_to_int4(numbers, rows_.shape.group, rows_.q + int64_t{n} * rows_.shape.cols,
                        rows_.scales + int64_t{n} * n_groups);
      if (rows_.zeros != nullptr) {
        std::fill_n(rows_.zeros + int64_t{n} * n_groups, n_groups, kernels::kSymmetricZero);
      }
    }
    loss = loss_of(numbers, matrix_, first_row_ + n, part_.input_order);
  }

  const Int4Part& part_;
  int32_t first_row_;
  Int4Matrix& matrix_;
  Int4Rows rows_;
  std::vector<RowLoss> losses_;
};

Error not_a_number(const Int4Part& part, const Checkpoint& checkpoint, size_t row, int32_t col) {
  const Tensor& tensor = tensor_of(part.linear);
  return Error{ErrorCode::kCorrupt,
               fmt::format("{}: {}: element [{}, {}]: want a finite number, found none",
                           checkpoint.where(tensor.name), tensor.name, row, col)};
}

// Adds what a part lost; the error is that of the first number that is none.
Result<void> account(const Int4Part& part, const PartFiller& filler, const Checkpoint& checkpoint,
                     Conversion& conversion) {
  RowLoss sum;
  for (size_t row = 0; row < filler.losses().size(); ++row) {
    const RowLoss& loss = filler.losses()[row];
    if (loss.not_finite >= 0) return not_a_number(part, checkpoint, row, loss.not_finite);
    sum.square_error += loss.square_error;
    sum.square_norm += loss.square_norm;
  }
  ++conversion.n_linears;
  if (sum.square_error == 0) return {};
  ++conversion.n_inexact;
  if (!part.keeps_integers) ++conversion.n_rounded;
  conversion.square_error += sum.square_error;
  conversion.square_norm += sum.square_norm;
  return {};
}

template <class T>
void reorder_rows(std::vector<T>& values, int64_t first_row, int64_t width,
                  std::span<const int32_t> order) {
  if (values.empty()) return;
  const auto begin = values.begin() + first_row * width;
  const std::vector<T> old(begin, begin + static_cast<int64_t>(order.size()) * width);
  for (size_t r = 0; r < order.size(); ++r) {
    std::copy_n(old.begin() + order[r] * width, width, begin + static_cast<int64_t>(r) * width);
  }
}

}  // namespace

std::string describe(const Conversion& conversion) {
  if (conversion.is_exact()) return "exact";
  const double relative = std::sqrt(conversion.square_error / conversion.square_norm);
  if (conversion.n_rounded == 0) {
    return fmt::format("integers kept, scales rounded to fp16 (relative error {:.2g} %)",
                       100 * relative);
  }
  return fmt::format("re-quantised: {} of {} linears (relative error {:.2g} % in these)",
                     conversion.n_rounded, conversion.n_linears, 100 * relative);
}

Int4Plan plan_int4(std::vector<Linear> linears, InputOrder inputs, int32_t rounded_group) {
  CHECK(!linears.empty());
  Int4Plan plan;
  plan.shape.group = kColumnGroup;
  for (Linear& linear : linears) {
    plan.shape.rows += rows_of(linear);
    plan.shape.cols = std::visit([](const auto& one) { return one.cols; }, linear);
    plan.parts.push_back(plan_part(std::move(linear), inputs, rounded_group));
    const Int4Part& part = plan.parts.back();
    plan.shape.group = std::min(plan.shape.group, group_of(part, rounded_group));
    const auto* int4 = std::get_if<Int4Linear>(&part.linear);
    if (part.keeps_integers && int4 != nullptr && !is_symmetric(*int4)) {
      plan.shape.has_zeros = true;
    }
  }
  return plan;
}

Result<Int4Matrix> build_int4(const Int4Plan& plan, const Checkpoint& checkpoint,
                              kernels::ThreadPool* pool, Conversion& conversion, Int4Matrix reuse) {
  Int4Matrix matrix = std::move(reuse);
  matrix.shape = plan.shape;
  const auto n_groups = static_cast<size_t>(int64_t{plan.shape.rows} * plan.shape.n_groups());
  matrix.q.resize(static_cast<size_t>(int64_t{plan.shape.rows} * plan.shape.cols));
  matrix.scales.resize(n_groups);
  matrix.zeros.resize(plan.shape.has_zeros ? n_groups : 0);

  int32_t first_row = 0;
  for (const Int4Part& part : plan.parts) {
    PartFiller filler(part, first_row, matrix);
    const auto fill = [&](int64_t begin, int64_t end) {
      filler.fill(static_cast<int32_t>(begin), static_cast<int32_t>(end));
    };
    const int32_t rows = rows_of(part.linear);
    if (pool != nullptr) {
      pool->parallel_for(rows, 64, fill);
    } else {
      fill(0, rows);
    }
    TRY(account(part, filler, checkpoint, conversion));
    if (!plan.output_order.empty()) {
      CHECK_EQ(plan.output_order.size(), static_cast<size_t>(rows));
      reorder_rows(matrix.q, first_row, plan.shape.cols, plan.output_order);
      reorder_rows(matrix.scales, first_row, plan.shape.n_groups(), plan.output_order);
      reorder_rows(matrix.zeros, first_row, plan.shape.n_groups(), plan.output_order);
    }
    first_row += rows;
  }
  return matrix;
}

}  // namespace incipit::engine
