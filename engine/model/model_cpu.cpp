#include <fmt/format.h>

#include <new>
#include <utility>

#include "engine/kv/page_table.h"
#include "engine/model/cpu_backend.h"
#include "engine/model/create_model.h"
#include "engine/model/llama.h"

namespace incipit::engine {

namespace {

Result<kernels::Isa> choose_isa(const std::string& name) {
  if (name.empty()) return kernels::best_isa();
  const std::optional<kernels::Isa> isa = kernels::parse_isa(name);
  if (!isa)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("isa: want scalar, avx2 or avx512, found \"{}\"", name)};
  if (!kernels::isa_supported(*isa))
    return Error{ErrorCode::kUnsupported, fmt::format("isa: this machine has no {}; its best is {}",
                                                      name, kernels::name_of(kernels::best_isa()))};
  return *isa;
}

}  // namespace

Result<std::unique_ptr<Model>> create_cpu_model(Weights<kernels::CpuTile> weights,
                                                const ModelLimits& limits,
                                                const CpuOptions& options) {
  ASSIGN_OR_RETURN(const kernels::Isa isa, choose_isa(options.isa));
  if (limits.kv_type != kernels::KvType::kF16)
    return Error{ErrorCode::kUnsupported,
                 "kv_type: the CPU keeps keys and values in fp16; int8 needs a CUDA device"};
  const StepCapacity capacity = {
      .max_rows = limits.max_rows,
      .max_logit_rows = limits.max_logit_rows == 0 ? limits.max_sequences : limits.max_logit_rows,
      .max_sequences = limits.max_sequences,
      .max_pages = pages_for(limits.context_tokens)};
  try {
    auto backend = std::make_unique<CpuBackend>(isa, options.n_threads, weights.config, capacity);
    return LlamaModel<CpuBackend>::create(
        std::move(backend), std::move(weights), [&] { return Result<int32_t>(limits.n_pages); },
        limits.context_tokens, capacity);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("memory: no room for the working space of {} rows", limits.max_rows)};
  }
}

}  // namespace incipit::engine
