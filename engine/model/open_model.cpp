#include "engine/model/open_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/config/device_defaults.h"
#include "engine/kv/kv_budget.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"
#include "engine/weights/memory_block.h"

namespace incipit::engine {

namespace {

// What stays the same from one device to the next.
struct Order {
  Weights<kernels::CpuTile> weights;  // views; the bytes belong to its storage
  EngineOptions options;
  int32_t context_tokens = 0;
  int32_t cuda_index = 0;
  MemoryBudget memory;
  kernels::KvType kv_type = kernels::KvType::kF16;  // on CUDA; the CPU has fp16
};

SchedulerOptions plan_for(const Order& order, const DeviceDefaults& defaults) {
  const EngineOptions& options = order.options;
  const int32_t chunk = options.prefill_chunk > 0 ? options.prefill_chunk : defaults.prefill_chunk;
  const int32_t draft = options.draft_tokens >= 0 ? options.draft_tokens : defaults.draft_tokens;
  return {.context_tokens = order.context_tokens,
          .max_batch = options.max_batch,
          .prefill_chunk = chunk,
          .prefix_caching = options.prefix_caching,
          .flat_rows = defaults.flat_rows,
          .large_step_rows = defaults.large_step_rows,
          .draft_tokens = std::min(draft, chunk)};
}

ModelLimits limits_of(const SchedulerOptions& scheduling) {
  return {.context_tokens = scheduling.context_tokens,
          .max_rows = scheduling.max_batch + scheduling.prefill_chunk,
          .max_sequences = scheduling.max_batch,
          .max_logit_rows = scheduling.max_batch + scheduling.draft_tokens};
}

Result<PlannedModel> open_cpu(const Order& order) {
  PlannedModel planned;
  planned.scheduling = plan_for(order, kCpuDefaults);
  ModelLimits limits = limits_of(planned.scheduling);
  ASSIGN_OR_RETURN(limits.n_pages, kv_pages_for(order.weights.config, order.options.kv_bytes,
                                                order.context_tokens, available_memory_bytes()));
  ASSIGN_OR_RETURN(planned.model, create_cpu_model(order.weights, limits,
                                                   {order.options.n_threads, order.options.isa}));
  return planned;
}

Result<PlannedModel> open_cuda(const Order& order) {
  PlannedModel planned;
  planned.scheduling = plan_for(order, kCudaDefaults);
  ModelLimits limits = limits_of(planned.scheduling);
  limits.kv_type = order.kv_type;
  ASSIGN_OR_RETURN(planned.model, create_cuda_model(order.weights, limits,
                                                    {.device = order.cuda_index,
                                                     .memory = order.memory,
                                                     .kv_bytes = order.options.kv_bytes,
                                                     .n_threads = order.options.n_threads}));
  return planned;
}

// Once more on the device that failed, if it answers; otherwise, and after that, on the CPU.
class Successors {
 public:
  explicit Successors(std::shared_ptr<const Order> order) : order_(std::move(order)) {}

  Result<PlannedModel> operator()(const DeviceFault& fault) {
    if (fault.kind() == DeviceFault::Kind::kFailed && !std::exchange(tried_again_, true)) {
      Result<PlannedModel> again = reopen();
      if (again) return again;
      log::warn("engine: the CPU takes over: {}", again.error().message);
    }
    return open_cpu(*order_);
  }

 private:
  Result<PlannedModel> reopen() const {
    TRY(recover_cuda_device(order_->cuda_index));
    return open_cuda(*order_);
  }

  std::shared_ptr<const Order> order_;
  bool tried_again_ = false;
};

}  // namespace

Result<OpenedModel> open_model(const Weights<kernels::CpuTile>& weights,
                               const EngineOptions& options, int32_t context_tokens) {
  ASSIGN_OR_RETURN(const DeviceWish wish, parse_device(options.device));
  auto order =
      std::make_shared<Order>(Order{weights, options, context_tokens, wish.cuda_index, {}, {}});
  ASSIGN_OR_RETURN(order->memory, parse_memory_budget(options.gpu_memory));
  ASSIGN_OR_RETURN(order->kv_type, choose_kv_type(options));
  OpenedModel opened;
  if (wish.kind != DeviceWish::Kind::kCpu) {
    Result<PlannedModel> planned = open_cuda(*order);
    if (planned) {
      opened.planned = std::move(*planned);
      opened.supply = Successors(order);
      return opened;
    }
    if (wish.kind == DeviceWish::Kind::kCuda) return planned.error();
    opened.note = planned.error().message;
    if (order->kv_type == kernels::KvType::kInt8)
      opened.note += "; on the CPU keys and values are f16";
    log::info("engine: on the CPU: {}", opened.note);
  }
  ASSIGN_OR_RETURN(opened.planned, open_cpu(*order));
  return opened;
}

}  // namespace incipit::engine
