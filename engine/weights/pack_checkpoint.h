// From a checkpoint's files to a packed weight file: what load_weights() does on first use and
// `incipit model add` once for all. Loading thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/config/quant_config.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_source.h"
#include "kernels/common/thread_pool.h"

namespace incipit::engine {

// Everything that packing needs to know of a model directory.
struct OpenedCheckpoint {
  ModelConfig config;
  QuantConfig quant;
  Checkpoint checkpoint;
  PackedIdentity identity;
};
// A file of GGUF's extension: what may stand in the place of a model directory below.
bool is_gguf(const std::filesystem::path& path);
Result<OpenedCheckpoint> open_checkpoint(const std::filesystem::path& model_dir,
                                         HeadFormat head_format);

// Bytes of packed weights made so far, of how many, and the section that comes next.
using PackProgress =
    std::function<void(int64_t done_bytes, int64_t total_bytes, const std::string& section)>;

// A FillSection that reports progress and looks at `cancel` before each section.
class SectionFiller {
 public:
  SectionFiller(const WeightSource& source, const PackProgress& progress,
                const CancelToken& cancel);
  Result<void> operator()(size_t section_idx, int64_t offset, std::span<std::byte> out);
  const Conversion& conversion() const { return conversion_; }  // of what was filled so far

 private:
  const WeightSource& source_;
  const PackProgress& progress_;
  const CancelToken& cancel_;
  kernels::ThreadPool pool_;
  int64_t total_bytes_ = 0;
  int64_t done_bytes_ = 0;
  kernels::Int4Matrix scratch_;
  Conversion conversion_;
};

// Writes the packed file. A checkpoint that was edited meanwhile is an error and leaves no file.
Result<void> pack_sections(const std::filesystem::path& path,
                           const std::filesystem::path& model_dir, const OpenedCheckpoint& opened,
                           std::vector<PackedSection> sections, const FillSection& fill);
// The same with a SectionFiller; says how true the packed weights are.
Result<Conversion> pack_checkpoint(const std::filesystem::path& path,
                                   const std::filesystem::path& model_dir,
                                   const OpenedCheckpoint& opened, const WeightSource& source,
                                   const PackProgress& progress, const CancelToken& cancel);

}  // namespace incipit::engine
