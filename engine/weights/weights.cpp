#include "engine/weights/weights.h"

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <utility>

#include "engine/base/log.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/pack_checkpoint.h"
#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weight_source.h"

namespace incipit::engine {
namespace {

using kernels::CpuTile;

// The packed file, when there is one that fits; nothing otherwise.
std::optional<Weights<CpuTile>> map_existing(const std::filesystem::path& path,
                                             const OpenedCheckpoint& opened) {
  auto mapped = map_packed_weights(path, opened.config, opened.identity);
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

PackProgress pack_progress(const LoadProgress& progress) {
  if (!progress) return {};
  return [&progress](int64_t done, int64_t total, const std::string& section) {
    progress(static_cast<double>(done) / static_cast<double>(total), "packing weights: " + section);
  };
}

// Weights that `incipit model add` made: they need their source only when another version of the
// program wrote them.
Result<Weights<CpuTile>> load_added(const std::filesystem::path& model_dir,
                                    const ModelManifest& manifest, HeadFormat head_format,
                                    const LoadProgress& progress, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const ModelConfig config, load_model_config(model_dir));
  const std::filesystem::path path = model_dir / kAddedWeightsName;
  const PackedIdentity identity = added_identity(config, head_format, manifest.weights_fingerprint);
  auto mapped = map_packed_weights(path, config, identity);
  if (mapped.ok()) {
    log::info("weights: mapped {}", path.string());
    if (progress) progress(1, "weights mapped");
    return mapped;
  }
  const bool is_gptq = manifest.quantization.recipe.starts_with("gptq");
  const Error refused{
      mapped.error().code,
      fmt::format("{} (`incipit model add {} --name {}{}` makes it anew)", mapped.error().message,
                  manifest.source, model_dir.filename().string(),
                  is_gptq ? " --quantize gptq" : "")};
  // Calibrating takes minutes to hours: not on the way to the first completion.
  if (is_gptq) return refused;
  const auto opened = open_checkpoint(manifest.source, head_format);
  if (!opened.ok() || opened->identity.source_fingerprint != manifest.weights_fingerprint) {
    return refused;
  }
  log::warn("weights: packing again from {}, since {}", manifest.source, mapped.error().message);
  ASSIGN_OR_RETURN(const WeightSource source, WeightSource::plan(opened->checkpoint, opened->config,
                                                                 opened->quant, head_format));
  const PackProgress packing = pack_progress(progress);
  TRY(pack_checkpoint(path, manifest.source, *opened, source, packing, cancel));
  if (progress) progress(1, "weights packed");
  return map_packed_weights(path, config, identity);
}

}  // namespace

Result<Weights<CpuTile>> load_weights(const std::filesystem::path& model_dir,
                                      const LoadOptions& options, const LoadProgress& progress,
                                      const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto manifest, read_manifest(model_dir));
  if (manifest) return load_added(model_dir, *manifest, options.head_format, progress, cancel);
  ASSIGN_OR_RETURN(const OpenedCheckpoint opened, open_checkpoint(model_dir, options.head_format));
  const auto path = packed_path(model_dir, options);
  if (path.ok()) {
    if (auto mapped = map_existing(*path, opened)) {
      if (progress) progress(1, "weights mapped");
      return std::move(*mapped);
    }
  }
  ASSIGN_OR_RETURN(
      const WeightSource source,
      WeightSource::plan(opened.checkpoint, opened.config, opened.quant, options.head_format));
  const PackProgress packing = pack_progress(progress);
  Error why_not;
  if (path.ok()) {
    const auto packed = pack_checkpoint(*path, model_dir, opened, source, packing, cancel);
    if (packed.ok()) {
      log::info("weights: packed into {}, {}", path->string(), describe(*packed));
      if (progress) progress(1, "weights packed");
      return map_packed_weights(*path, opened.config, opened.identity);
    }
    if (packed.error().code != ErrorCode::kIo) return packed.error();
    why_not = packed.error();
  } else {
    why_not = path.error();
  }
  log::warn("weights: kept in memory, the next start packs again: {}", why_not.message);
  SectionFiller filler(source, packing, cancel);
  ASSIGN_OR_RETURN(const PackedImage image, make_packed_image(source.sections(), std::ref(filler)));
  if (progress) progress(1, "weights packed");
  return bind_weights(opened.config, options.head_format, image, "memory");
}

}  // namespace incipit::engine
