#include "engine/weights/pack_checkpoint.h"

#include <fmt/core.h>

#include <array>
#include <fstream>
#include <functional>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/weights/gguf_model.h"
#include "engine/weights/weight_cache.h"

namespace incipit::engine {

namespace {

Result<OpenedCheckpoint> open_gguf(const std::filesystem::path& path, HeadFormat head_format) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  ASSIGN_OR_RETURN(const std::string json, gguf_config_json(file));
  ASSIGN_OR_RETURN(ModelConfig config, parse_model_config(json, path.string()));
  ASSIGN_OR_RETURN(TensorFile tensors, gguf_tensors(file));
  ASSIGN_OR_RETURN(Checkpoint checkpoint,
                   Checkpoint::from_gguf(std::move(tensors), config.head_dim));
  const QuantConfig quant{.format = QuantConfig::Format::kGguf};
  ASSIGN_OR_RETURN(PackedIdentity identity,
                   packed_identity(config, head_format, checkpoint, quant));
  return OpenedCheckpoint{std::move(config), quant, std::move(checkpoint), std::move(identity)};
}

}  // namespace

bool is_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  if (path.extension() == ".gguf") return true;
  // The hub's cache keeps files under their hash, without an extension; so do others.
  std::array<char, 4> magic = {};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) == "GGUF";
}

Result<OpenedCheckpoint> open_checkpoint(const std::filesystem::path& model_dir,
                                         HeadFormat head_format) {
  if (is_gguf(model_dir)) return open_gguf(model_dir, head_format);
  ASSIGN_OR_RETURN(ModelConfig config, load_model_config(model_dir));
  ASSIGN_OR_RETURN(const QuantConfig quant, load_quant_config(model_dir));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::open(model_dir));
  ASSIGN_OR_RETURN(PackedIdentity identity,
                   packed_identity(config, head_format, checkpoint, quant));
  return OpenedCheckpoint{std::move(config), quant, std::move(checkpoint), std::move(identity)};
}

SectionFiller::SectionFiller(const WeightSource& source, const PackProgress& progress,
                             const CancelToken& cancel)
    : source_(source), progress_(progress), cancel_(cancel), pool_(0) {
  for (const PackedSection& section : source.sections()) total_bytes_ += section.bytes;
}

Result<void> SectionFiller::operator()(size_t section_idx, int64_t offset,
                                       std::span<std::byte> out) {
  if (cancel_.cancelled()) {
    return Error{ErrorCode::kCancelled, "weights: loading was cancelled"};
  }
  if (progress_) progress_(done_bytes_, total_bytes_, source_.sections()[section_idx].name);
  done_bytes_ += static_cast<int64_t>(out.size());
  if (section_idx == 0) source_.read_ahead(0);
  if (offset == 0 && section_idx + 1 < source_.sections().size())
    source_.read_ahead(section_idx + 1);
  return source_.fill(section_idx, offset, out, pool_, conversion_, &scratch_);
}

Result<void> pack_sections(const std::filesystem::path& path,
                           const std::filesystem::path& model_dir, const OpenedCheckpoint& opened,
                           std::vector<PackedSection> sections, const FillSection& fill) {
  // A checkpoint that was edited while it was read must not be published under either state.
  const auto unchanged = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const OpenedCheckpoint now,
                     open_checkpoint(model_dir, opened.identity.head_format));
    if (now.identity.source_fingerprint == opened.identity.source_fingerprint) return {};
    return Error{ErrorCode::kIo,
                 fmt::format("{}: want an unchanging checkpoint, found it edited while it was read",
                             model_dir.string())};
  };
  return write_packed_file(path, opened.identity, std::move(sections), fill, unchanged);
}

Result<Conversion> pack_checkpoint(const std::filesystem::path& path,
                                   const std::filesystem::path& model_dir,
                                   const OpenedCheckpoint& opened, const WeightSource& source,
                                   const PackProgress& progress, const CancelToken& cancel) {
  SectionFiller filler(source, progress, cancel);
  TRY(pack_sections(path, model_dir, opened, source.sections_in_pieces(), std::ref(filler)));
  return filler.conversion();
}

}  // namespace incipit::engine
