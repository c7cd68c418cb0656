#include "engine/weights/weights.h"

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <utility>

#include "engine/base/log.h"
#include "engine/config/gptq_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weight_source.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;

// Everything one load needs to know about its model.
struct Load {
  ModelConfig config;
  GptqConfig gptq;
  Checkpoint checkpoint;
  PackedIdentity identity;
  HeadFormat head_format;
};

Result<Load> open_model(const std::filesystem::path& model_dir, HeadFormat head_format) {
  ASSIGN_OR_RETURN(ModelConfig config, load_model_config(model_dir));
  ASSIGN_OR_RETURN(const GptqConfig gptq, load_gptq_config(model_dir));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(model_dir));
  ASSIGN_OR_RETURN(PackedIdentity identity, packed_identity(config, head_format, checkpoint, gptq));
  return Load{std::move(config), gptq, std::move(checkpoint), std::move(identity), head_format};
}

// Reports progress and looks at `cancel` before each section.
class SectionFiller {
 public:
  SectionFiller(const WeightSource& source, const LoadProgress& progress, const CancelToken& cancel)
      : source_(source), progress_(progress), cancel_(cancel), pool_(0) {
    for (const PackedSection& section : source.sections()) total_bytes_ += section.bytes;
  }

  Result<void> operator()(size_t section_idx, std::span<std::byte> out) {
    if (cancel_.cancelled()) {
      return Error{ErrorCode::kCancelled, "weights: loading was cancelled"};
    }
    if (progress_) {
      progress_(static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_),
                fmt::format("packing weights: {}", source_.sections()[section_idx].name));
    }
    done_bytes_ += static_cast<int64_t>(out.size());
    return source_.fill(section_idx, out, pool_);
  }

 private:
  const WeightSource& source_;
  const LoadProgress& progress_;
  const CancelToken& cancel_;
  kernels::ThreadPool pool_;
  int64_t total_bytes_ = 0;
  int64_t done_bytes_ = 0;
};

// The packed file, when there is one that fits; nothing otherwise.
std::optional<Weights<CpuTile>> map_existing(const std::filesystem::path& path, const Load& load) {
  auto mapped = map_packed_weights(path, load.config, load.identity);
  if (mapped.ok()) {
    log::info("weights: mapped {}", path.string());
    return std::move(mapped).value();
  }
  if (mapped.error().code == ErrorCode::kNotFound) {
    log::info("weights: {} is not there yet", path.string());
  } else {
    log::warn("weights: packing again, since {}", mapped.error().message);
  }
  return std::nullopt;
}

Result<Weights<CpuTile>> pack_to_file(const std::filesystem::path& path,
                                      const std::filesystem::path& model_dir, const Load& load,
                                      const WeightSource& source, const FillSection& fill) {
  // A checkpoint that was edited while it was read must not be published under either state.
  const auto unchanged = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Load now, open_model(model_dir, load.head_format));
    if (now.identity.source_fingerprint == load.identity.source_fingerprint) return {};
    return Error{ErrorCode::kIo,
                 fmt::format("{}: want an unchanging checkpoint, found it edited while it was read",
                             model_dir.string())};
  };
  TRY(write_packed_file(path, load.identity, source.sections(), fill, unchanged));
  log::info("weights: packed into {}", path.string());
  return map_packed_weights(path, load.config, load.identity);
}

}  // namespace

Result<Weights<CpuTile>> load_weights(const std::filesystem::path& model_dir,
                                      const LoadOptions& options, const LoadProgress& progress,
                                      const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Load load, open_model(model_dir, options.head_format));
  const auto path = packed_path(model_dir, options);
  if (path.ok()) {
    if (auto mapped = map_existing(*path, load)) {
      if (progress) progress(1, "weights mapped");
      return std::move(*mapped);
    }
  }
  ASSIGN_OR_RETURN(const WeightSource source, WeightSource::plan(load.checkpoint, load.config,
                                                                 load.gptq, options.head_format));
  Error why_not;
  if (path.ok()) {
    SectionFiller filler(source, progress, cancel);
    auto packed = pack_to_file(*path, model_dir, load, source, std::ref(filler));
    if (packed.ok() || packed.error().code != ErrorCode::kIo) {
      if (packed.ok() && progress) progress(1, "weights packed");
      return packed;
    }
    why_not = packed.error();
  } else {
    why_not = path.error();
  }
  log::warn("weights: kept in memory, the next start packs again: {}", why_not.message);
  SectionFiller filler(source, progress, cancel);
  ASSIGN_OR_RETURN(const PackedImage image, make_packed_image(source.sections(), std::ref(filler)));
  if (progress) progress(1, "weights packed");
  return bind_weights(load.config, options.head_format, image, "memory");
}

}  // namespace incipit::engine
