#include "engine/tools/synthetic_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weight_names.h"
#include "kernels/common/check.h"

namespace incipit::engine {

namespace {

constexpr int32_t kGroup = 128;  // of synthetic weights

const void* data_of(const WeightSection& section, const Weights<kernels::CpuTile>& w) {
  const LayerWeights<kernels::CpuTile>* layer =
      section.layer < 0 ? nullptr : &w.layers[static_cast<size_t>(section.layer)];
  switch (section.role) {
    case WeightRole::kInputNorm:
      return layer->input_norm;
    case WeightRole::kQkv:
      return layer->qkv.data;
    case WeightRole::kOut:
      return layer->out.data;
    case WeightRole::kPostNorm:
      return layer->post_norm;
    case WeightRole::kGateUp:
      return layer->gate_up.data;
    case WeightRole::kDown:
      return layer->down.data;
    case WeightRole::kFinalNorm:
      return w.final_norm;
    case WeightRole::kHead:
      return w.head_int8.data;
    case WeightRole::kEmbedding:
      return w.embedding;
  }
  return nullptr;
}

}  // namespace

SyntheticFile::SyntheticFile(ModelConfig config, std::filesystem::path path,
                             PackedIdentity identity)
    : config_(std::move(config)), path_(std::move(path)), identity_(std::move(identity)) {}

SyntheticFile::SyntheticFile(SyntheticFile&& other) noexcept
    : config_(other.config_), path_(std::exchange(other.path_, {})), identity_(other.identity_) {}

SyntheticFile::~SyntheticFile() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove(path_, ignored);
}

Result<SyntheticFile> SyntheticFile::write(const ModelConfig& config,
                                           const std::filesystem::path& directory,
                                           int32_t n_threads) {
  ASSIGN_OR_RETURN(const auto weights, synthetic_weights(config, HeadFormat::kInt8, 1, n_threads));
  const std::vector<WeightSection> sections = weight_sections(config, HeadFormat::kInt8);
  std::vector<PackedSection> packed;
  for (const WeightSection& section : sections)
    packed.push_back(packed_section(section, kGroup, false));
  const auto fill = [&](size_t i, int64_t /*whole*/, std::span<std::byte> out) -> Result<void> {
    const void* data = data_of(sections[i], weights);
    CHECK(data != nullptr);
    std::memcpy(out.data(), data, out.size());
    return {};
  };
  SyntheticFile file(config, directory / fmt::format("incipit-suite-{}.weights", ::getpid()),
                     PackedIdentity{.layout = "cpu-tile"});
  TRY(write_packed_file(file.path_, file.identity_, std::move(packed), fill,
                        []() -> Result<void> { return {}; }));
  return file;
}

Result<Weights<kernels::CpuTile>> SyntheticFile::map() const {
  return map_packed_weights(path_, config_, identity_);
}

}  // namespace incipit::engine
