#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_backend.h"
#include "engine/model/cuda_device.h"
#include "engine/model/cuda_weights.h"
#include "engine/model/device_fault.h"
#include "engine/model/llama.h"
#include "kernels/cuda/large_mixed.h"

namespace incipit::engine {

namespace {

using kernels::cuda::CudaError;

StepCapacity capacity_of(const ModelLimits& limits) {
  const StepCapacity capacity = {
      .max_rows = limits.max_rows,
      .max_logit_rows = limits.max_logit_rows == 0 ? limits.max_sequences : limits.max_logit_rows,
      .max_sequences = limits.max_sequences,
      .max_pages = pages_for(limits.context_tokens)};
  return CudaBackend::rounded_up(capacity);
}

// What the kernels take; see kernels/cuda/steps.h.
Result<void> check_shape(const ModelConfig& config) {
  const bool fits = (config.head_dim == 64 || config.head_dim == 128) && config.hidden % 64 == 0 &&
                    config.ffn % 8 == 0;
  if (fits) return {};
  return Error{
      ErrorCode::kUnsupported,
      fmt::format("the CUDA backend wants heads of 64 or 128, a hidden size that is a "
                  "multiple of 64 and an MLP that is one of 8; the model has {}, {} and {}",
                  config.head_dim, config.hidden, config.ffn)};
}

// Whether large steps can do without an expanded copy of the weights; see kernels/cuda/steps.h.
bool has_mixed_shapes(const Weights<kernels::CudaTile>& weights) {
  return std::ranges::all_of(weights.layers, [](const LayerWeights<kernels::CudaTile>& layer) {
    return std::ranges::all_of(
        std::array{layer.qkv, layer.out, layer.gate_up, layer.down},
        [](const auto& w) { return kernels::cuda::is_mixed_shape(w.shape); });
  });
}

// Every device's calls belong to the thread's current device, and the thread that creates a model
// is not the one that runs it.
void use_device(int32_t index) {
  CUDA_CHECK(cudaSetDevice(index));
}

// The CUDA model with the engine's kind of exception.
class CudaModel final : public Model {
 public:
  CudaModel(std::unique_ptr<Model> model, int32_t device)
      : model_(std::move(model)), device_(device) {}
  ~CudaModel() override { (void)cudaSetDevice(device_); }

  const ModelConfig& config() const override { return model_->config(); }
  const char* device_name() const override { return model_->device_name(); }
  int32_t n_pages() const override { return model_->n_pages(); }
  int32_t max_rows() const override { return model_->max_rows(); }
  int64_t weight_bytes() const override { return model_->weight_bytes(); }
  int64_t kv_bytes() const override { return model_->kv_bytes(); }
  std::span<const Candidate> candidates(int32_t i) const override { return model_->candidates(i); }

  bool forward(const ForwardBatch& batch) override {
    return guarded([&] { return model_->forward(batch); });
  }
  void copy_page(PageId from, PageId to, int32_t n_tokens) override {
    guarded([&] { model_->copy_page(from, to, n_tokens); });
  }
  int64_t page_bytes() const override { return model_->page_bytes(); }
  void read_page(PageId page, std::span<std::byte> out) override {
    guarded([&] { model_->read_page(page, out); });
  }
  void write_page(PageId page, std::span<const std::byte> from) override {
    guarded([&] { model_->write_page(page, from); });
  }
  std::span<const float> logits(int32_t i) const override {
    return guarded([&] { return model_->logits(i); });
  }

 private:
  template <class Call>
  std::invoke_result_t<const Call&> guarded(const Call& call) const {
    try {
      use_device(device_);
      return call();
    } catch (const CudaError& error) {
      throw DeviceFault(DeviceFault::Kind::kFailed, error.what());
    }
  }

  std::unique_ptr<Model> model_;
  int32_t device_;
};

// A step of n_sequences that each bring n_rows tokens behind `position` others; all of them in page
// 0, whose contents nobody has asked for yet.
ForwardBatch warm_up_batch(int32_t n_sequences, int32_t n_rows, int32_t position) {
  ForwardBatch batch;
  batch.page_table_stride = pages_for(position + n_rows);
  batch.page_tables.assign(
      static_cast<size_t>(n_sequences) * static_cast<size_t>(batch.page_table_stride), 0);
  for (int32_t s = 0; s < n_sequences; ++s) {
    for (int32_t i = 0; i < n_rows; ++i) {
      batch.tokens.push_back(0);
      batch.positions.push_back(position + i);
      batch.sequence_of_row.push_back(s);
    }
    batch.logit_rows.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
  }
  return batch;
}

// Runs the usual steps: one sequence decoding or taking in the end of a prompt, or several
// decoding, at every length of context, and large steps. So kernels are loaded, graphs recorded (as
// many as are kept, so that the driver has their memory) and step times known before the first
// request. A shape is recorded when it comes for the second time.
void warm_up(Model& model, CudaBackend& backend, const ModelLimits& limits) {
  const int32_t context = limits.context_tokens;
  const auto run = [&](int32_t n_sequences, int32_t n_rows, int32_t position) {
    const int32_t n = n_sequences * n_rows;
    if (n_sequences > limits.max_sequences || n > limits.max_rows || position + n_rows > context)
      return;
    const ForwardBatch batch = warm_up_batch(n_sequences, n_rows, position);
    for (int i = 0; i < 2; ++i) model.forward(batch);
  };
  std::vector<int32_t> positions = {0};
  for (int32_t position = 500; position + kernels::cuda::kFlatRows < context; position *= 2)
    positions.push_back(position);
  for (const int32_t position : positions) {
    for (const int32_t n_rows : {1, 8, 16, 32, 64}) run(1, n_rows, position);
    for (const int32_t n_sequences : {2, 4, 8}) run(n_sequences, 1, position);
  }
  // The recording with most in it, so that any other fits where it was.
  const int32_t most_rows = std::min(limits.max_rows, kernels::cuda::kFlatRows);
  const int32_t n_sequences = std::min(limits.max_sequences, most_rows);
  backend.fill_graphs_next();
  run(n_sequences, std::min(most_rows / n_sequences, context - positions.back()), positions.back());
  if (model.n_pages() > 1) model.copy_page(PageId{0}, PageId{1}, kernels::kPageTokens);
  // Large ones: few rows and many, behind nothing and behind much.
  for (const int32_t position : {0, context / 2}) {
    run(1, kernels::cuda::kFlatRows + 1, position);
    run(1, std::min(limits.max_rows, context - position), position);
    run(n_sequences, kernels::cuda::kFlatRows / n_sequences + 1, position);
  }
}

class Seconds {
 public:
  double take() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(from_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point from_ = std::chrono::steady_clock::now();
};

Result<std::unique_ptr<Model>> build(const Weights<kernels::CpuTile>& weights,
                                     const ModelLimits& limits, const CudaOptions& options,
                                     const CudaDevice& device) {
  CudaMemoryPlan plan = plan_cuda_memory(weights.config, cuda_weight_bytes(weights), limits);
  // Before anything is taken: the error has all the figures.
  const auto pages_of = [&](const CudaMemoryPlan& p) -> Result<int32_t> {
    if (limits.n_pages > 0) return limits.n_pages;
    return cuda_pages_for(p, options.memory, options.kv_bytes, device);
  };
  TRY(pages_of(plan));
  Seconds time;
  Weights<kernels::CudaTile> uploaded = upload_weights(weights, options.n_threads);
  const double upload_s = time.take();
  const StepCapacity capacity = capacity_of(limits);
  auto backend =
      std::make_unique<CudaBackend>(device, weights.config, capacity,
                                    CudaBackendOptions{options.step_deadline, options.before_step,
                                                       has_mixed_shapes(uploaded), limits.kv_type});
  CudaBackend& running = *backend;
  if (running.lacks_cublas()) {
    const CublasProbe cublas = probe_cublas(device.index);
    log::warn("cuda: no cuBLAS ({}); prompts are read {} tokens at a time, which may be slower; {}",
              cublas.failure, kernels::cuda::kFlatRows, cublas.advice);
  }
  // Now it is known what the workspace takes; the pages get the rest.
  const auto choose_pages = [&]() -> Result<int32_t> {
    size_t free = 0;
    size_t total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    plan.workspace =
        std::max<int64_t>(0, device.free_bytes - static_cast<int64_t>(free) - plan.weights);
    return pages_of(plan);
  };
  ASSIGN_OR_RETURN(auto llama, LlamaModel<CudaBackend>::create(
                                   std::move(backend), std::move(uploaded), choose_pages,
                                   limits.context_tokens, capacity, limits.kv_type));
  const double memory_s = time.take();
  auto model = std::make_unique<CudaModel>(std::move(llama), device.index);
  warm_up(*model, running, limits);
  running.warmed_up();
  // How long a step takes when all is loaded.
  model->forward(warm_up_batch(1, std::min(limits.max_rows, limits.context_tokens), 0));
  log::info("cuda: weights {:.2f} s ({:.1f} GB/s), memory {:.2f} s, {} recorded steps {:.2f} s",
            upload_s, static_cast<double>(plan.weights) / 1e9 / upload_s, memory_s,
            running.n_graphs(), time.take());
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace

Result<std::unique_ptr<Model>> create_cuda_model(const Weights<kernels::CpuTile>& weights,
                                                 const ModelLimits& limits,
                                                 const CudaOptions& options) {
  ASSIGN_OR_RETURN(const CudaDevice device, find_cuda_device(options.device));
  TRY(check_shape(weights.config));
  const auto failed = [&](ErrorCode code, const char* what) {
    (void)cudaGetLastError();  // a refused allocation would be reported again
    std::string message = fmt::format("cuda:{} ({}): {}", device.index, device.name, what);
    if (code == ErrorCode::kOutOfMemory)
      message += "; wanted: " +
                 describe(plan_cuda_memory(weights.config, cuda_weight_bytes(weights), limits));
    return Error{code, std::move(message)};
  };
  try {
    use_device(device.index);
    Result<std::unique_ptr<Model>> built = build(weights, limits, options, device);
    // A buffer that the device refused: its error does not know what else is there.
    if (!built && built.error().message.starts_with("CUDA"))
      return failed(built.error().code, built.error().message.c_str());
    return built;
  } catch (const CudaError& error) {
    return failed(code_of(error), error.what());
  } catch (const DeviceFault& fault) {
    return failed(ErrorCode::kDevice, fault.what());
  } catch (const std::bad_alloc&) {
    return failed(ErrorCode::kOutOfMemory, "the host has no memory left");
  }
}

}  // namespace incipit::engine
