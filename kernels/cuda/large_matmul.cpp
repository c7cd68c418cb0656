#include "kernels/cuda/large_matmul.h"

#include <algorithm>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/cublas_library.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/large_mixed.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int64_t kHalfBytes = 2;

// A handle, and the library that it belongs to.
class Cublas {
 public:
  explicit Cublas(const CublasLibrary& library) : library_(library) {
    check(library_.create(&handle_), "cublasCreate");
  }
  ~Cublas() { (void)library_.destroy(handle_); }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  const CublasLibrary& library() const { return library_; }
  cublasHandle_t handle() const { return handle_; }
  void check(cublasStatus_t status, const char* call) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw CudaError(
        std::string("cuBLAS: ") + call + ": " + library_.status_string(status),
        status == CUBLAS_STATUS_ALLOC_FAILED ? cudaErrorMemoryAllocation : cudaErrorUnknown);
  }

 private:
  const CublasLibrary& library_;
  cublasHandle_t handle_ = nullptr;
};

// The most outputs (a multiple of `step`) whose weights of `cols` inputs fit a slice, cut evenly.
int32_t even_part(int32_t total, int64_t most, int64_t step) {
  const int64_t fitting = std::max(step, most / step * step);
  const int64_t n_parts = ceil_div(total, fitting);
  return static_cast<int32_t>(std::min(int64_t{total}, round_up(ceil_div(total, n_parts), step)));
}

}  // namespace

// cuBLAS and what it works in.
struct LargeMatmul::Expansion {
  LargeLimits limits;
  LargeTuning tuning;
  Cublas cublas;
  DeviceBuffer workspace;
  DeviceBuffer weights;  // of one slice, expanded
  DeviceBuffer gate_up;  // of one slice: [max_rows, gates and ups]
  DeviceBuffer act;      // [max_rows, ffn]

  Expansion(const LargeLimits& l, const LargeTuning& t)
      : limits(l),
        tuning(t),
        cublas(*l.find_cublas()),
        workspace(DeviceBuffer::allocate(t.workspace_bytes)),
        weights(DeviceBuffer::allocate(round_up(largest_slice(), 256))),
        gate_up(DeviceBuffer::allocate(int64_t{l.max_rows} * gate_up_part() * kHalfBytes)),
        act(DeviceBuffer::allocate(int64_t{l.max_rows} * l.ffn * kHalfBytes)) {}

  int64_t rows_fitting(int32_t cols) const {
    return tuning.slice_bytes / (kHalfBytes * std::max(1, cols));
  }
  int32_t gate_up_part() const {
    return even_part(2 * limits.ffn, rows_fitting(limits.hidden), 16);
  }
  // Columns are cut where the outputs are added up anyway, so that a slice has all outputs.
  int32_t add_part(const Int4Shape& shape) const {
    return even_part(shape.cols, tuning.slice_bytes / (kHalfBytes * shape.rows),
                     CudaTile::kColsPadding);
  }
  // A slice has at least 16 rows (of kRopePairs a head), or 128 columns.
  int64_t largest_slice() const {
    const int64_t widest = std::max({limits.hidden, limits.ffn, limits.attention_dim});
    const int64_t smallest = std::max<int64_t>(128 * widest, int64_t{128} * limits.hidden);
    const int64_t all = std::max({int64_t{limits.qkv_rows} * limits.hidden,
                                  int64_t{limits.hidden} * limits.attention_dim,
                                  int64_t{2} * limits.ffn * limits.hidden});
    return kHalfBytes * std::max(smallest, std::min(tuning.slice_bytes / kHalfBytes, all));
  }

  void expand(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
              const WeightSlice& part, const LaunchContext& context) {
    CHECK_LE(int64_t{part.n_rows} * part.n_cols * kHalfBytes, weights.size_bytes());
    dequantize(w, order, heads, part, weights.as<uint16_t>(), context);
  }

  void begin(const LaunchContext& context) {
    const CublasLibrary& library = cublas.library();
    cublas.check(library.set_stream(cublas.handle(), context.stream), "cublasSetStream");
    // Setting a stream takes the workspace away.
    cublas.check(library.set_workspace(cublas.handle(), workspace.data(),
                                       static_cast<size_t>(workspace.size_bytes())),
                 "cublasSetWorkspace");
  }

  // out[n_rows, part.n_rows] (rows out_stride apart) = beta out + in weights^T; cuBLAS counts
  // columns first, so to it every matrix is the transposed one.
  void multiply(const WeightSlice& part, const uint16_t* in, int32_t in_stride, int32_t n_rows,
                void* out, cudaDataType_t out_type, int32_t out_stride, float beta) {
    const float alpha = 1;
    cublas.check(cublas.library().gemm_ex(
                     cublas.handle(), CUBLAS_OP_T, CUBLAS_OP_N, part.n_rows, n_rows, part.n_cols,
                     &alpha, weights.data(), CUDA_R_16F, part.n_cols, in, CUDA_R_16F, in_stride,
                     &beta, out, out_type, out_stride, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "cublasGemmEx");
  }

  void product(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
               const uint16_t* in, int32_t n_rows, uint16_t* out, const LaunchContext& context);
  void gate_up_product(const Int4View<CudaTile>& w, const uint16_t* in, int32_t n_rows,
                       const LaunchContext& context);
  void add_product(const Int4View<CudaTile>& w, const uint16_t* in, int32_t n_rows, float* x,
                   const LaunchContext& context);
};

void LargeMatmul::Expansion::product(const Int4View<CudaTile>& w, RowOrder order,
                                     const HeadOrder& heads, const uint16_t* in, int32_t n_rows,
                                     uint16_t* out, const LaunchContext& context) {
  const Int4Shape& shape = w.shape;
  const int32_t step = order == RowOrder::kRopePairs ? heads.head_dim : CudaTile::kRows;
  const int32_t part_rows = even_part(shape.rows, rows_fitting(shape.cols), step);
  begin(context);
  for (int32_t first = 0; first < shape.rows; first += part_rows) {
    const WeightSlice part = {first, std::min(part_rows, shape.rows - first), 0, shape.cols};
    expand(w, order, heads, part, context);
    multiply(part, in, shape.cols, n_rows, out + first, CUDA_R_16F, shape.rows, 0);
  }
}

void LargeMatmul::Expansion::gate_up_product(const Int4View<CudaTile>& w, const uint16_t* in,
                                             int32_t n_rows, const LaunchContext& context) {
  const Int4Shape& shape = w.shape;
  const int32_t part_rows = gate_up_part();
  begin(context);
  for (int32_t first = 0; first < shape.rows; first += part_rows) {
    const WeightSlice part = {first, std::min(part_rows, shape.rows - first), 0, shape.cols};
    expand(w, RowOrder::kGateUp, {}, part, context);
    multiply(part, in, shape.cols, n_rows, gate_up.data(), CUDA_R_16F, part.n_rows, 0);
    silu_mul({n_rows, part.n_rows / 2, gate_up.as<uint16_t>(), act.as<uint16_t>() + first / 2,
              limits.ffn},
             context);
  }
}

void LargeMatmul::Expansion::add_product(const Int4View<CudaTile>& w, const uint16_t* in,
                                         int32_t n_rows, float* x, const LaunchContext& context) {
  const Int4Shape& shape = w.shape;
  const int32_t part_cols = add_part(shape);
  begin(context);
  for (int32_t first = 0; first < shape.cols; first += part_cols) {
    const WeightSlice part = {0, shape.rows, first, std::min(part_cols, shape.cols - first)};
    expand(w, RowOrder::kPlain, {}, part, context);
    multiply(part, in + first, shape.cols, n_rows, x, CUDA_R_32F, shape.rows, 1);
  }
}

// The images of what the mixed products take.
struct LargeMatmul::Mixed {
  DeviceBuffer tokens;  // of a product's input
  DeviceBuffer act;

  explicit Mixed(const LargeLimits& l)
      : tokens(DeviceBuffer::allocate(
            TokenImage::bytes(l.max_rows, std::max(l.hidden, l.attention_dim)))),
        act(DeviceBuffer::allocate(TokenImage::bytes(l.max_rows, l.ffn))) {}

  MixedProduct arranged(const Int4View<CudaTile>& w, const uint16_t* in, int32_t n_rows,
                        const LaunchContext& context) const {
    CHECK_LE(TokenImage::bytes(n_rows, w.shape.cols), tokens.size_bytes());
    arrange_rows(in, n_rows, w.shape.cols, tokens.data(), context);
    return {w, tokens.data(), n_rows};
  }
};

bool LargeMatmul::is_mixed(const LargeLimits& limits) {
  return limits.has_mixed_shapes && has_mixed_products();
}

bool LargeMatmul::can_run(const LargeLimits& limits) {
  return is_mixed(limits) || limits.find_cublas() != nullptr;
}

LargeMatmul::LargeMatmul(const LargeLimits& limits, const LargeTuning& tuning) : limits_(limits) {
  CHECK(can_run(limits));
  if (is_mixed(limits)) {
    mixed_ = std::make_unique<Mixed>(limits);
  } else {
    expansion_ = std::make_unique<Expansion>(limits, tuning);
  }
}
LargeMatmul::~LargeMatmul() = default;

void LargeMatmul::product(const Int4View<CudaTile>& w, RowOrder order, const HeadOrder& heads,
                          const uint16_t* in, int32_t n_rows, uint16_t* out,
                          const LaunchContext& context) {
  CHECK(order != RowOrder::kGateUp);
  if (mixed_ != nullptr) {
    mixed_product(mixed_->arranged(w, in, n_rows, context), order, heads, out, context);
  } else {
    expansion_->product(w, order, heads, in, n_rows, out, context);
  }
}

void LargeMatmul::add_product(const Int4View<CudaTile>& w, const uint16_t* in, int32_t n_rows,
                              float* x, const LaunchContext& context) {
  if (mixed_ != nullptr) {
    mixed_add(mixed_->arranged(w, in, n_rows, context), x, context);
  } else {
    expansion_->add_product(w, in, n_rows, x, context);
  }
}

void LargeMatmul::mlp_product(const Int4View<CudaTile>& gate_up, const Int4View<CudaTile>& down,
                              const uint16_t* in, int32_t n_rows, float* x,
                              const LaunchContext& context) {
  CHECK_EQ(gate_up.shape.rows, 2 * limits_.ffn);
  CHECK_EQ(gate_up.shape.cols, limits_.hidden);
  CHECK_EQ(down.shape.cols, limits_.ffn);
  CHECK_LE(n_rows, limits_.max_rows);
  if (mixed_ != nullptr) {
    mixed_gate_up(mixed_->arranged(gate_up, in, n_rows, context), mixed_->act.data(), context);
    mixed_add({down, mixed_->act.data(), n_rows}, x, context);
  } else {
    expansion_->gate_up_product(gate_up, in, n_rows, context);
    expansion_->add_product(down, expansion_->act.as<uint16_t>(), n_rows, x, context);
  }
}

int64_t LargeMatmul::scratch_bytes() const {
  if (mixed_ != nullptr) return mixed_->tokens.size_bytes() + mixed_->act.size_bytes();
  return expansion_->workspace.size_bytes() + expansion_->weights.size_bytes() +
         expansion_->gate_up.size_bytes() + expansion_->act.size_bytes();
}

}  // namespace incipit::kernels::cuda
