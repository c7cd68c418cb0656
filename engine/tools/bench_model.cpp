#include "engine/tools/bench_model.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/config/device_defaults.h"
#include "engine/kv/kv_budget.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"
#include "engine/weights/memory_block.h"
#include "engine/weights/model_registry.h"
#include "kernels/common/thread_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/machine_peaks.h"

namespace incipit::engine {

namespace {

SchedulerOptions bench_scheduling(const EngineBenchOptions& options, const DeviceDefaults& defaults,
                                  int32_t context_tokens) {
  const EngineOptions& engine = options.engine;
  return {.context_tokens = context_tokens,
          .max_batch = engine.max_batch,
          .prefill_chunk = engine.prefill_chunk > 0 ? engine.prefill_chunk : defaults.prefill_chunk,
          .flat_rows = defaults.flat_rows,
          .large_step_rows = defaults.large_step_rows};
}

ModelLimits bench_limits(const SchedulerOptions& scheduling, int32_t n_pages) {
  return {.n_pages = n_pages,
          .context_tokens = scheduling.context_tokens,
          .max_rows = scheduling.max_batch + scheduling.prefill_chunk,
          .max_sequences = scheduling.max_batch};
}

// The CPU's peaks, measured with threads of their own.
class CpuProbe {
 public:
  CpuProbe(kernels::Isa isa, int32_t n_threads, const EngineBenchOptions& options)
      : pool_(n_threads), probe_(isa, pool_, peak_options(options)) {}

  MachineFigures measure() {
    const kernels::MachinePeaks& peaks = probe_.measure();
    MachineFigures figures;
    figures.read_bytes_per_s = peaks.read_bytes_per_s;
    figures.int8_ops_per_s = peaks.int8_ops_per_s;
    figures.fma_flops_per_s = peaks.fma_flops_per_s;
    figures.cache_bytes = peaks.cache_bytes;
    return figures;
  }

 private:
  static kernels::PeakOptions peak_options(const EngineBenchOptions& options) {
    kernels::PeakOptions peaks;
    peaks.buffer_bytes = options.peak_buffer_bytes;
    peaks.time_each =
        std::min(peaks.time_each,
                 std::chrono::milliseconds(static_cast<int64_t>(options.seconds_a_figure * 1e3)));
    return peaks;
  }

  kernels::ThreadPool pool_;
  kernels::MachineProbe probe_;
};

Result<BenchModel> open_on_cpu(const EngineBenchOptions& options,
                               const Weights<kernels::CpuTile>& weights, int32_t n_threads,
                               int32_t context_tokens, int32_t n_pages) {
  if (n_pages == 0) {
    ASSIGN_OR_RETURN(n_pages, kv_pages_for(weights.config, options.engine.kv_bytes, context_tokens,
                                           available_memory_bytes()));
  }
  BenchModel opened;
  opened.planned.scheduling = bench_scheduling(options, kCpuDefaults, context_tokens);
  ASSIGN_OR_RETURN(opened.planned.model,
                   create_cpu_model(weights, bench_limits(opened.planned.scheduling, n_pages),
                                    {n_threads, options.engine.isa}));
  // A name that create_cpu_model took is a name.
  const kernels::Isa isa = kernels::parse_isa(options.engine.isa).value_or(kernels::best_isa());
  opened.isa = kernels::name_of(isa);
  opened.measure = [probe = std::make_shared<CpuProbe>(isa, n_threads, options)] {
    return probe->measure();
  };
  return opened;
}

Result<BenchModel> open_on_cuda(const EngineBenchOptions& options,
                                const Weights<kernels::CpuTile>& weights, int32_t n_threads,
                                int32_t context_tokens, int32_t n_pages, int32_t index,
                                kernels::KvType kv_type) {
  ASSIGN_OR_RETURN(const MemoryBudget memory, parse_memory_budget(options.engine.gpu_memory));
  ASSIGN_OR_RETURN(const CudaPeaks peaks, measure_cuda_peaks(index));
  MachineFigures figures;
  figures.read_bytes_per_s = peaks.read_bytes_per_s;
  figures.copy_bytes_per_s = peaks.copy_bytes_per_s;
  figures.tensor_flops_per_s = peaks.tensor_flops_per_s;
  BenchModel opened;
  opened.kv_type = kv_type;
  opened.planned.scheduling = bench_scheduling(options, kCudaDefaults, context_tokens);
  ModelLimits limits = bench_limits(opened.planned.scheduling, n_pages);
  limits.kv_type = kv_type;
  ASSIGN_OR_RETURN(opened.planned.model, create_cuda_model(weights, limits,
                                                           {.device = index,
                                                            .memory = memory,
                                                            .kv_bytes = options.engine.kv_bytes,
                                                            .n_threads = n_threads}));
  opened.measure = [figures] { return figures; };
  return opened;
}

}  // namespace

Result<BenchWeights> load_bench_weights(const EngineBenchOptions& options, int32_t n_threads,
                                        const BenchProgress& progress, const CancelToken& cancel) {
  if (!options.synthetic.empty()) {
    progress(0, "making random weights");
    ASSIGN_OR_RETURN(const ModelConfig config, synthetic_model_config(options.synthetic));
    ASSIGN_OR_RETURN(auto weights,
                     synthetic_weights(config, options.engine.head_format, 1, n_threads));
    return BenchWeights{std::move(weights), options.synthetic + " (random weights)"};
  }
  ASSIGN_OR_RETURN(const std::filesystem::path directory, find_model(options.engine.model));
  ASSIGN_OR_RETURN(
      auto weights,
      load_weights(
          directory, {options.engine.head_format, options.engine.cache_dir},
          [&](double fraction, const std::string& what) { progress(0.2 * fraction, what); },
          cancel));
  return BenchWeights{std::move(weights), directory.lexically_normal().filename().string()};
}

Result<BenchModel> open_bench_model(const EngineBenchOptions& options,
                                    const Weights<kernels::CpuTile>& weights, int32_t n_threads,
                                    int32_t context_tokens, int32_t n_pages) {
  ASSIGN_OR_RETURN(const DeviceWish wish, parse_device(options.engine.device));
  ASSIGN_OR_RETURN(const kernels::KvType kv_type, choose_kv_type(options.engine));
  if (wish.kind != DeviceWish::Kind::kCpu) {
    Result<BenchModel> opened = open_on_cuda(options, weights, n_threads, context_tokens, n_pages,
                                             wish.cuda_index, kv_type);
    if (opened || wish.kind == DeviceWish::Kind::kCuda) return opened;
    log::info("bench: on the CPU: {}", opened.error().message);
  }
  return open_on_cpu(options, weights, n_threads, context_tokens, n_pages);
}

}  // namespace incipit::engine
