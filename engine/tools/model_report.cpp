#include "engine/tools/model_report.h"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/tools/licence_notice.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/pack_checkpoint.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_names.h"
#include "engine/weights/weight_source.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kContexts[] = {8192, 16384};  // after the model's own, where that is shorter

// Every number of the model once: a tied head is the embedding.
int64_t count_parameters(const ModelConfig& config) {
  int64_t n = 0;
  for (const WeightSection& section : weight_sections(config, HeadFormat::kF16)) {
    n += int64_t{section.rows} * section.cols;
  }
  return n;
}

Result<void> describe_added(const fs::path& directory, const ModelManifest& manifest,
                            ModelReport& report) {
  ASSIGN_OR_RETURN(const PackedFile file, open_packed_file(directory / kAddedWeightsName));
  report.is_added = true;
  report.source = manifest.source;
  report.format = manifest.format;
  report.conversion = manifest.conversion;
  report.quantization = manifest.quantization;
  report.source_bytes = manifest.source_bytes;
  report.packed_bytes = static_cast<int64_t>(file.image.bytes.size());
  report.checksum = fmt::format("{:016x}", file.header_checksum);
  if (file.header_checksum == manifest.checksum) return {};
  return Error{ErrorCode::kCorrupt, fmt::format("{}: want checksum {:016x}, as {} says, found {}",
                                                (directory / kAddedWeightsName).string(),
                                                manifest.checksum, kManifestName, report.checksum)};
}

Result<void> describe_checkpoint(const fs::path& directory, ModelReport& report) {
  ASSIGN_OR_RETURN(const OpenedCheckpoint opened, open_checkpoint(directory, kAddedHead));
  ASSIGN_OR_RETURN(const WeightSource source,
                   WeightSource::plan(opened.checkpoint, opened.config, opened.quant, kAddedHead));
  report.format = describe(opened.quant);
  for (const TensorFile& file : opened.checkpoint.files()) report.source_bytes += file.size_bytes();
  std::vector<PackedSection> sections = source.sections();
  report.packed_bytes = place_sections(sections);
  return {};
}

Result<void> describe_model(const fs::path& directory, ModelReport& report) {
  ASSIGN_OR_RETURN(const auto manifest, read_manifest(directory));
  ASSIGN_OR_RETURN(report.config, load_model_config(directory));
  TRY(manifest ? describe_added(directory, *manifest, report)
               : describe_checkpoint(directory, report));
  report.n_parameters = count_parameters(report.config);
  report.notice = licence_notice(report.config);
  const auto add_memory = [&](int32_t context) {
    report.memory.push_back({context,
                             report.packed_bytes + context * report.config.kv_bytes_per_token(),
                             context > report.config.max_positions});
  };
  if (report.config.max_positions < kContexts[0]) add_memory(report.config.max_positions);
  for (const int32_t context : kContexts) add_memory(context);
  return {};
}

ModelReport report_directory(const std::string& name, const fs::path& directory) {
  ModelReport report;
  report.name = name;
  report.directory = directory.string();
  const auto chosen = find_model("");
  std::error_code ignored;
  report.is_default = chosen.ok() && fs::equivalent(*chosen, directory, ignored);
  const auto described = describe_model(directory, report);
  if (!described.ok()) report.problem = described.error().message;
  return report;
}

}  // namespace

Result<ModelReport> report_model(const std::string& name_or_dir) {
  ASSIGN_OR_RETURN(const fs::path found, find_model(name_or_dir));
  const fs::path directory = fs::absolute(found).lexically_normal();
  const fs::path named = directory.has_filename() ? directory : directory.parent_path();
  return report_directory(named.filename().string(), named);
}

std::vector<ModelReport> report_models() {
  std::vector<ModelReport> reports;
  for (const InstalledModel& model : list_models()) {
    reports.push_back(report_directory(model.name, model.directory));
  }
  return reports;
}

}  // namespace incipit::engine
