#include "engine/quantize/cuda_solver.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/common/check.h"
#include "kernels/cuda/gptq_steps.h"

namespace incipit::engine {
namespace {

namespace cuda = kernels::cuda;

constexpr int64_t kFloatBytes = sizeof(float);
constexpr int64_t kCopyPiece = int64_t{1} << 20;  // of host memory, that one thread copies

// What `work` returns, or the device's error.
template <class Work>
auto on_device(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const cuda::CudaError& error) {
    (void)cudaGetLastError();
    const bool memory = error.code() == cudaErrorMemoryAllocation;
    return Error{memory ? ErrorCode::kOutOfMemory : ErrorCode::kDevice, error.what()};
  }
}

// Rows of a slice that crosses in one piece, where the wider of its matrices has `cols`.
int64_t rows_in_slice(int64_t cols) {
  return std::max<int64_t>(1, kCudaSliceBytes / (cols * kFloatBytes));
}

std::string name_of_device(int32_t device) {
  cudaDeviceProp properties{};
  CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return fmt::format("CUDA ({})", properties.name);
}

}  // namespace

CudaSolver::CudaSolver(int32_t device, kernels::ThreadPool& pool)
    : pool_(pool),
      name_(name_of_device(device)),
      stream_(cuda::make_stream()),
      algebra_(*cuda::find_cublas().library, *cuda::find_cusolver().library, stream_.get()),
      pinned_(cuda::PinnedBuffer::allocate(kCudaSliceBytes)) {}

void CudaSolver::reserve(DeviceBuffer& buffer, int64_t bytes) {
  if (buffer.size_bytes() >= bytes) return;
  buffer = DeviceBuffer();  // first, so that both are never there
  buffer = DeviceBuffer::allocate(bytes);
}

void CudaSolver::copy_bytes(std::byte* to, const std::byte* from, int64_t bytes) {
  pool_.parallel_for(bytes, kCopyPiece, [&](int64_t begin, int64_t end) {
    std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
  });
}

void CudaSolver::upload(DeviceBuffer& to, const void* from, int64_t bytes) {
  reserve(to, bytes);
  const auto* const host = static_cast<const std::byte*>(from);
  for (int64_t at = 0; at < bytes; at += kCudaSliceBytes) {
    const int64_t n = std::min(kCudaSliceBytes, bytes - at);
    copy_bytes(pinned_.data(), host + at, n);
    CUDA_CHECK(cudaMemcpyAsync(to.data() + at, pinned_.data(), static_cast<size_t>(n),
                               cudaMemcpyHostToDevice, stream_.get()));
    CUDA_CHECK(cudaStreamSynchronize(stream_.get()));  // pinned_ is written again
  }
}

void CudaSolver::download(void* to, const DeviceBuffer& from, int64_t bytes) {
  auto* const host = static_cast<std::byte*>(to);
  for (int64_t at = 0; at < bytes; at += kCudaSliceBytes) {
    const int64_t n = std::min(kCudaSliceBytes, bytes - at);
    CUDA_CHECK(cudaMemcpyAsync(pinned_.data(), from.data() + at, static_cast<size_t>(n),
                               cudaMemcpyDeviceToHost, stream_.get()));
    CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    copy_bytes(host + at, pinned_.data(), n);
  }
}

Result<void> CudaSolver::begin(const kernels::Int4Shape& shape, std::vector<float> weights) {
  CHECK_EQ(static_cast<int64_t>(weights.size()), int64_t{shape.rows} * shape.cols);
  return on_device([&]() -> Result<void> {
    shape_ = shape;
    has_hessian_ = false;
    upload(weights_, weights.data(), static_cast<int64_t>(weights.size()) * kFloatBytes);
    return {};
  });
}

Result<void> CudaSolver::add_inputs(const float* x, int64_t n) {
  return on_device([&]() -> Result<void> {
    const int64_t cols = shape_.cols, most = rows_in_slice(cols);
    reserve(hessian_, cols * cols * kFloatBytes);
    if (!has_hessian_) {
      CUDA_CHECK(cudaMemsetAsync(hessian_.data(), 0, static_cast<size_t>(cols * cols * kFloatBytes),
                                 stream_.get()));
      has_hessian_ = true;
    }
    for (int64_t at = 0; at < n; at += most) {
      const int64_t rows = std::min(most, n - at);
      upload(x_, x + at * cols, rows * cols * kFloatBytes);
      algebra_.add_squares(x_.as<float>(), rows, cols, hessian_.as<float>());
    }
    return {};
  });
}

Result<void> CudaSolver::take_hessian(const std::vector<float>& hessian) {
  CHECK_EQ(static_cast<int64_t>(hessian.size()), int64_t{shape_.cols} * shape_.cols);
  return on_device([&]() -> Result<void> {
    upload(hessian_, hessian.data(), static_cast<int64_t>(hessian.size()) * kFloatBytes);
    has_hessian_ = true;
    return {};
  });
}

std::vector<float> CudaSolver::diagonal_of(const DeviceBuffer& matrix) {
  const int64_t bytes = shape_.cols * kFloatBytes;
  reserve(columns_, bytes);
  cuda::gptq_diagonal(matrix.as<float>(), shape_.cols, columns_.as<float>(), context());
  std::vector<float> diagonal(static_cast<size_t>(shape_.cols));
  download(diagonal.data(), columns_, bytes);
  return diagonal;
}

// Not every matrix without a factor is noticed by cuSOLVER: one with elements that are no numbers
// leaves its traces on the diagonal.
bool CudaSolver::factorise(const Damping& damping, std::vector<float>& factor_diagonal) {
  const int64_t cols = shape_.cols;
  reserve(factor_, cols * cols * kFloatBytes);
  cuda::gptq_permute_lower(hessian_.as<float>(), order_.as<int32_t>(), shape_.cols,
                           static_cast<float>(damping.added), factor_.as<float>(), context());
  if (!algebra_.cholesky(factor_.as<float>(), cols)) return false;
  factor_diagonal = diagonal_of(factor_);
  return std::all_of(factor_diagonal.begin(), factor_diagonal.end(),
                     [](float pivot) { return pivot > 0 && std::isfinite(pivot); });
}

void CudaSolver::find_scales(const std::vector<int32_t>& order,
                             const std::vector<float>& factor_diagonal) {
  std::vector<float> importance(order.size());
  for (size_t p = 0; p < order.size(); ++p) {
    importance[static_cast<size_t>(order[p])] = factor_diagonal[p] * factor_diagonal[p];
  }
  upload(columns_, importance.data(), shape_.cols * kFloatBytes);
  reserve(scales_, int64_t{shape_.rows} * shape_.n_groups() * int64_t{sizeof(uint16_t)});
  cuda::gptq_scales({weights_.as<float>(), columns_.as<float>(), shape_, scales_.as<uint16_t>()},
                    context());
}

// As round_all() of gptq.cpp.
Result<double> CudaSolver::round_blocks(const Damping& damping, const GptqStep& step) {
  constexpr int32_t kWidth = cuda::GptqBlock::kWidth;
  const int64_t rows = shape_.rows, cols = shape_.cols;
  reserve(moved_, rows * cols * kFloatBytes);
  reserve(q_, rows * cols);
  reserve(owed_, rows * kWidth * kFloatBytes);
  reserve(errors_, rows * int64_t{sizeof(double)});
  CUDA_CHECK(cudaMemsetAsync(errors_.data(), 0, static_cast<size_t>(rows) * sizeof(double),
                             stream_.get()));
  cuda::gptq_permute_columns(weights_.as<float>(), order_.as<int32_t>(), shape_.rows, shape_.cols,
                             moved_.as<float>(), context());
  for (int32_t end = shape_.cols; end > 0;) {
    if (step) TRY(step());
    const int32_t width = (end - 1) % kWidth + 1, begin = end - width;
    if (end < shape_.cols) {
      algebra_.multiply(rows, width, cols - end, {moved_.as<float>() + end, cols},
                        {factor_.as<float>() + int64_t{end} * cols + begin, cols},
                        owed_.as<float>(), kWidth);
    }
    cuda::gptq_round_block({.shape = shape_,
                            .begin = begin,
                            .end = end,
                            .factor = factor_.as<float>(),
                            .order = order_.as<int32_t>(),
                            .scales = scales_.as<uint16_t>(),
                            .owed = end < shape_.cols ? owed_.as<float>() : nullptr,
                            .added = static_cast<float>(damping.added),
                            .moved = moved_.as<float>(),
                            .q = q_.as<uint8_t>(),
                            .errors = errors_.as<double>()},
                           context());
    end = begin;
  }
  std::vector<double> errors(static_cast<size_t>(rows));
  download(errors.data(), errors_, rows * int64_t{sizeof(double)});
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

void CudaSolver::expand(bool has_zeros) {
  cuda::int4_expand({shape_, q_.as<uint8_t>(), scales_.as<uint16_t>(),
                     has_zeros ? zeros_.as<uint8_t>() : nullptr, weights_.as<float>()},
                    context());
}

Result<GptqOutcome> CudaSolver::quantise(const GptqStep& step) {
  CHECK(has_hessian_ && !shape_.has_zeros);
  return on_device([&]() -> Result<GptqOutcome> {
    const std::vector<float> diagonal = diagonal_of(hessian_);
    const std::vector<int32_t> order = ascending_order(diagonal);
    upload(order_, order.data(), shape_.cols * int64_t{sizeof(int32_t)});
    std::vector<float> factor_diagonal;
    ASSIGN_OR_RETURN(const Damping damping, damp_until(diagonal, [&](const Damping& attempt) {
                       return factorise(attempt, factor_diagonal);
                     }));
    has_hessian_ = false;
    find_scales(order, factor_diagonal);
    GptqOutcome outcome;
    outcome.damping = damping.part;
    ASSIGN_OR_RETURN(outcome.square_error, round_blocks(damping, step));
    outcome.matrix.shape = shape_;
    outcome.matrix.q.resize(static_cast<size_t>(int64_t{shape_.rows} * shape_.cols));
    outcome.matrix.scales.resize(static_cast<size_t>(int64_t{shape_.rows} * shape_.n_groups()));
    download(outcome.matrix.q.data(), q_, static_cast<int64_t>(outcome.matrix.q.size()));
    download(outcome.matrix.scales.data(), scales_,
             static_cast<int64_t>(outcome.matrix.scales.size() * sizeof(uint16_t)));
    expand(false);
    return outcome;
  });
}

Result<void> CudaSolver::replace(const kernels::Int4Matrix& matrix) {
  CHECK_EQ(matrix.shape.rows, shape_.rows);
  CHECK_EQ(matrix.shape.cols, shape_.cols);
  return on_device([&]() -> Result<void> {
    shape_ = matrix.shape;
    upload(q_, matrix.q.data(), static_cast<int64_t>(matrix.q.size()));
    upload(scales_, matrix.scales.data(),
           static_cast<int64_t>(matrix.scales.size() * sizeof(uint16_t)));
    if (shape_.has_zeros) {
      upload(zeros_, matrix.zeros.data(), static_cast<int64_t>(matrix.zeros.size()));
    }
    expand(shape_.has_zeros);
    return {};
  });
}

Result<void> CudaSolver::multiply(const float* x, int64_t n, float* y) {
  return on_device([&]() -> Result<void> {
    const int64_t rows = shape_.rows, cols = shape_.cols;
    const int64_t most = rows_in_slice(std::max(rows, cols));
    for (int64_t at = 0; at < n; at += most) {
      const int64_t tokens = std::min(most, n - at);
      upload(x_, x + at * cols, tokens * cols * kFloatBytes);
      reserve(y_, tokens * rows * kFloatBytes);
      algebra_.multiply_transposed(x_.as<float>(), tokens, cols, weights_.as<float>(), rows,
                                   y_.as<float>());
      download(y + at * rows, y_, tokens * rows * kFloatBytes);
    }
    return {};
  });
}

Result<void> find_cuda_solver_libraries() {
  const auto missing = [](const char* what, const std::string& failure, const std::string& advice) {
    return Error{ErrorCode::kUnsupported, fmt::format("no {} ({}): {}", what, failure, advice)};
  };
  const cuda::CublasSearch& cublas = cuda::find_cublas();
  if (!cublas.library) return missing("cuBLAS", cublas.failure, cuda::how_to_install_cublas());
  const cuda::CusolverSearch& cusolver = cuda::find_cusolver();
  if (!cusolver.library) {
    return missing("cuSOLVER", cusolver.failure, cuda::how_to_install_cusolver());
  }
  return {};
}

Result<std::unique_ptr<SectionSolver>> make_cuda_solver(int32_t device, kernels::ThreadPool& pool) {
  TRY(find_cuda_solver_libraries());
  return on_device([&]() -> Result<std::unique_ptr<SectionSolver>> {
    CUDA_CHECK(cudaSetDevice(device));
    return std::unique_ptr<SectionSolver>(std::make_unique<CudaSolver>(device, pool));
  });
}

}  // namespace incipit::engine
