// A model directory and a cache directory for the tests of loading.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/weights/weight_cache.h"
#include "engine/weights/weights.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {

struct Place {
  test::TempDir dir;
  std::filesystem::path model = dir / "model";
  std::filesystem::path cache = dir / "cache";

  Place() = default;
  explicit Place(const test::TinyCheckpoint& tiny) { tiny.write(model); }
  explicit Place(const test::TinyOptions& options) : Place(test::make_tiny_checkpoint(options)) {}

  LoadOptions options(HeadFormat head = HeadFormat::kInt8) const { return {head, cache.string()}; }
  Result<Weights<kernels::CpuTile>> load(HeadFormat head = HeadFormat::kInt8) const {
    return load_weights(model, options(head));
  }
  std::filesystem::path packed(HeadFormat head = HeadFormat::kInt8) const {
    return packed_path(model, options(head)).value();
  }
  std::vector<std::filesystem::path> cached() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(cache))
      files.push_back(entry.path());
    return files;
  }
};

}  // namespace incipit::engine
