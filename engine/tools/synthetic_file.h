// A packed weight file of random weights, as loading a model for the second time finds one: for
// measuring how long a start takes. Used by h100_suite.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/base/result.h"
#include "engine/config/model_config.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weights.h"

namespace incipit::engine {

// Removes its file when it goes.
class SyntheticFile {
 public:
  // In `directory`, with an INT8 head. As it was just written, the system has it in its page cache.
  static Result<SyntheticFile> write(const ModelConfig& config,
                                     const std::filesystem::path& directory, int32_t n_threads);
  SyntheticFile(SyntheticFile&& other) noexcept;
  SyntheticFile& operator=(SyntheticFile&&) = delete;
  ~SyntheticFile();

  Result<Weights<kernels::CpuTile>> map() const;

 private:
  SyntheticFile(ModelConfig config, std::filesystem::path path, PackedIdentity identity);

  ModelConfig config_;
  std::filesystem::path path_;  // empty: moved from
  PackedIdentity identity_;
};

}  // namespace incipit::engine
