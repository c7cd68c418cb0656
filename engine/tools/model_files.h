// The files of a model beside its weights, and what a source that the user names amounts to. Used
// by `incipit model` on the main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"

namespace incipit::engine {

// What was given to `incipit model add`.
struct ModelSource {
  std::filesystem::path path;  // canonical: a directory, or a GGUF file
  std::string suggested_name;  // after it, a name that is_model_name() takes
};

// A directory in Hugging Face layout, one of the files in it, or a GGUF file. Anything else is
// refused with what it seems to be.
Result<ModelSource> resolve_source(const std::filesystem::path& given);

// A small file of a model: configuration, tokenizer, licence.
struct SmallFile {
  std::string name;
  std::string bytes;
};

// Those of the directory that loading and the licence need later; links are followed. Required:
// config.json and a tokenizer (Tokenizer::find), which is the first. Of a GGUF file: those two,
// made from its metadata.
Result<std::vector<SmallFile>> read_small_files(const std::filesystem::path& source);

// The files of a source that are read, where its directory has a checksums.sha256, against that;
// those that it does not list are taken as they are. `say` gets a line for each that takes long.
Result<void> check_source_digests(const std::filesystem::path& source,
                                  const std::function<void(const std::string&)>& say,
                                  const CancelToken& cancel);

// Over names and bytes.
uint64_t fingerprint_of(const std::vector<SmallFile>& files);

}  // namespace incipit::engine
