#include "engine/model/cuda_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

#include "engine/config/device_defaults.h"
#include "engine/model/device_fault.h"

namespace incipit::engine {

namespace {

using kernels::cuda::GraphExec;
using kernels::cuda::StepShape;
using std::chrono::milliseconds;

static_assert(kCudaDefaults.flat_rows == kernels::cuda::kFlatRows);

// Rows, logit rows and lengths are rounded to a few values each; 64 shapes cover what an editor
// makes, and a graph takes about a tenth of a megabyte of the driver's memory.
constexpr size_t kGraphs = 64;
// Not all recordings are of one size: some more room than they take keeps the driver from asking
// for another piece (2 MiB) of the device.
constexpr size_t kRoomForGraphs = kGraphs + kGraphs / 4;

// A decode step takes 1.5 to 3 ms, and waking a thread costs some tens of microseconds more than
// it should: so long the host looks again and again. A longer step is a prefill.
constexpr milliseconds kSpinTime{4};
constexpr std::chrono::microseconds kPause{20};
// The same for a layer of a large step: 0.1 to 0.6 ms on an H100, and another one is queued.
constexpr std::chrono::microseconds kLayerSpinTime{200};

constexpr milliseconds kLeastDeadline{2000};
constexpr int kDeadlineFactor = 20;
constexpr std::chrono::minutes kWarmUpDeadline{10};

// Of cudaMemcpy2D: what devices take as a pitch.
constexpr int64_t kMostPitch = std::numeric_limits<int32_t>::max();

}  // namespace

GraphCache::Entry* GraphCache::entry_of(const StepShape& shape) {
  const auto at = std::ranges::find_if(entries_, [&](const Entry& e) { return e.shape == shape; });
  return at == entries_.end() ? nullptr : &*at;
}

const GraphExec* GraphCache::find(const StepShape& shape, bool& seen) {
  Entry* entry = entry_of(shape);
  seen = entry != nullptr;
  if (entry == nullptr) {
    if (entries_.size() < capacity_) {
      entry = &entries_.emplace_back();
    } else {
      entry = &*std::ranges::min_element(entries_, {}, &Entry::last_use);
      entry->graph = GraphExec();
    }
    entry->shape = shape;
  }
  entry->last_use = ++clock_;
  return entry->graph ? &entry->graph : nullptr;
}

const GraphExec& GraphCache::keep(const StepShape& shape, Record record) {
  Entry* entry = entry_of(shape);
  CHECK(entry != nullptr);
  if (!spares_.empty()) spares_.pop_back();  // first: its memory is what the recording takes
  entry->graph = record();
  return entry->graph;
}

void GraphCache::fill(size_t n, Record record) {
  const auto n_recorded = static_cast<size_t>(
      std::ranges::count_if(entries_, [](const Entry& e) { return bool(e.graph); }));
  while (n_recorded + spares_.size() < n) spares_.push_back(record());
}

StepCapacity CudaBackend::rounded_up(const StepCapacity& capacity) {
  StepCapacity rounded = capacity;
  rounded.max_rows = kernels::cuda::padded_rows(capacity.max_rows);
  rounded.max_logit_rows = kernels::cuda::padded_rows(capacity.max_logit_rows);
  return rounded;
}

kernels::cuda::CudaStepLimits CudaBackend::limits_of(const ModelConfig& config,
                                                     const StepCapacity& capacity,
                                                     kernels::KvType kv_type,
                                                     bool has_mixed_shapes) {
  return {.max_rows = capacity.max_rows,
          .max_logit_rows = capacity.max_logit_rows,
          .max_sequences = capacity.max_sequences,
          .max_pages = capacity.max_pages,
          .hidden = config.hidden,
          .ffn = config.ffn,
          .vocab = config.vocab,
          .n_candidates = std::min(kMaxCandidates, config.vocab),
          .heads = {config.n_heads, config.n_kv_heads, config.head_dim},
          .kv_type = kv_type,
          .has_mixed_shapes = has_mixed_shapes};
}

CudaBackend::CudaBackend(const CudaDevice& device, const ModelConfig& config,
                         const StepCapacity& capacity, CudaBackendOptions options)
    : options_(std::move(options)),
      steps_(limits_of(config, capacity, options_.kv_type, options_.has_mixed_shapes)),
      done_(kernels::cuda::make_event()),
      layer_marks_{kernels::cuda::make_event(), kernels::cuda::make_event()},
      graphs_(kGraphs),
      device_name_(fmt::format("cuda:{} ({})", device.index, device.name)) {}

StepInputs CudaBackend::begin_step(const ForwardBatch& batch, const uint16_t* embedding) {
  begun_ = std::chrono::steady_clock::now();
  n_layer_marks_ = 0;
  if (options_.before_step) options_.before_step(steps_.stream());
  observed_ = batch.on_hidden != nullptr;
  kernels::cuda::HostStep step;
  step.token_ids = batch.tokens;
  step.positions = batch.positions;
  step.sequence_of_row = batch.sequence_of_row;
  step.page_tables = batch.page_tables;
  step.page_table_stride = batch.page_table_stride;
  step.logit_rows = batch.logit_rows;
  step.embedding = embedding;
  shape_ = steps_.begin_step(step);
  return {steps_.rows(), nullptr, steps_.logit_rows(), shape_.n_logit_rows};
}

void CudaBackend::run(kernels::FunctionRef<void()> launches) {
  if (shape_.n_rows > kernels::cuda::kFlatRows) return launches();
  bool seen = false;
  const GraphExec* graph = graphs_.find(shape_, seen);
  if (!seen) return launches();
  const auto record = [&] { return kernels::cuda::capture(steps_.stream(), launches); };
  if (graph == nullptr) graph = &graphs_.keep(shape_, record);
  if (std::exchange(fills_graphs_, false)) graphs_.fill(kRoomForGraphs, record);
  CUDA_CHECK(cudaGraphLaunch(graph->get(), steps_.stream()));
}

void CudaBackend::keep_logit_rows(const ForwardBatch&, const RowWidths&, StepInputs& inputs,
                                  StepRows<uint16_t>& rows) {
  if (!steps_.can_keep_logit_rows()) return;
  const auto kept = steps_.keep_logit_rows(rows.x, rows.q);
  rows = {kept.x, kept.q};
  inputs.rows = steps_.rows();
  inputs.logit_rows = steps_.logit_rows();
}

void CudaBackend::warmed_up() {
  is_warm_ = true;
  longest_step_ = {};
}

std::chrono::nanoseconds CudaBackend::deadline() const {
  if (!is_warm_) return kWarmUpDeadline;
  if (options_.step_deadline.count() > 0) return options_.step_deadline;
  return std::max<std::chrono::nanoseconds>(kLeastDeadline, kDeadlineFactor * longest_step_);
}

void CudaBackend::wait_for(cudaEvent_t event, std::chrono::steady_clock::time_point spin_until) {
  for (;;) {
    const cudaError_t code = cudaEventQuery(event);
    if (code == cudaSuccess) return;
    if (code != cudaErrorNotReady) CUDA_CHECK(code);
    const auto now = std::chrono::steady_clock::now();
    if (now - begun_ > deadline())
      throw DeviceFault(DeviceFault::Kind::kDoesNotAnswer,
                        fmt::format("a step of {} rows has not ended after {:.1f} s", shape_.n_rows,
                                    std::chrono::duration<double>(now - begun_).count()));
    if (now > spin_until) std::this_thread::sleep_for(kPause);
  }
}

void CudaBackend::finish_step() {
  CUDA_CHECK(cudaEventRecord(done_.get(), steps_.stream()));
  wait_for(done_.get(), begun_ + kSpinTime);
  longest_step_ =
      std::max<std::chrono::nanoseconds>(longest_step_, std::chrono::steady_clock::now() - begun_);
}

// A layer is on its way while the host waits for the one before it to begin: the device does not
// run dry. The mark costs it the overlap of two of a layer's seven kernels.
bool CudaBackend::may_end_here() {
  if (shape_.n_rows <= kernels::cuda::kFlatRows) return false;  // or it may be in a recording
  const cudaEvent_t mark = layer_marks_[n_layer_marks_ % layer_marks_.size()].get();
  if (n_layer_marks_ >= layer_marks_.size())
    wait_for(mark, std::chrono::steady_clock::now() + kLayerSpinTime);
  CUDA_CHECK(cudaEventRecord(mark, steps_.stream()));
  ++n_layer_marks_;
  return true;
}

void CudaBackend::upload(void* to, const void* from, int64_t n_bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<size_t>(n_bytes), cudaMemcpyHostToDevice,
                             steps_.stream()));
  CUDA_CHECK(cudaStreamSynchronize(steps_.stream()));
}

void CudaBackend::download(void* to, const void* from, int64_t n_bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<size_t>(n_bytes), cudaMemcpyDeviceToHost,
                             steps_.stream()));
  CUDA_CHECK(cudaStreamSynchronize(steps_.stream()));
}

// One call, however many layers there are, unless they lie too far apart.
void CudaBackend::copy(void* to, const void* from, int64_t n_bytes, int64_t stride, int32_t n) {
  if (n_bytes <= 0 || n <= 0) return;
  if (stride > kMostPitch) {
    for (int32_t i = 0; i < n; ++i)
      copy(static_cast<std::byte*>(to) + i * stride,
           static_cast<const std::byte*>(from) + i * stride, n_bytes, n_bytes, 1);
    return;
  }
  const auto width = static_cast<size_t>(n_bytes);
  const auto pitch = static_cast<size_t>(std::max(stride, n_bytes));
  CUDA_CHECK(cudaMemcpy2DAsync(to, pitch, from, pitch, width, static_cast<size_t>(n),
                               cudaMemcpyDeviceToDevice, steps_.stream()));
}

}  // namespace incipit::engine
