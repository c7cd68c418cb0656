// The user's models: what `incipit model add`, `default` and `remove` do. An added model is a
// directory of user_models_dir() with the packed weights, copies of the small files and a manifest;
// it is made under a hidden name and renamed, so it is there whole or not at all, and its source
// may go afterwards. One command at a time (a lock on the directory). Main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/tools/quantize_choice.h"

namespace incipit::engine {

struct AddModelOptions {
  std::filesystem::path source;  // a directory in Hugging Face layout, a file in one, a GGUF file
  std::string name;              // empty: after the directory or the GGUF file
  QuantizeOptions quantize = {};
  // Gets what the user should know while the work goes on, a line each: which large file is
  // compared with its checksum, which device quantises, and why none better does.
  std::function<void(const std::string& line)> say = {};
};

struct AddedModel {
  enum class Outcome {
    kAdded,
    kReplaced,     // the same source had changed
    kAlreadyThere  // nothing was done
  };
  Outcome outcome = Outcome::kAdded;
  std::string name;
  std::filesystem::path directory;
  std::string format;
  std::string conversion;
  std::string notice;  // that the licence wants shown; may be empty
  int64_t packed_bytes = 0;
  std::string note;             // what the user should know of the choice; may be empty
  QuantizeReport quantization;  // recipe empty: there was nothing to choose
  std::string quantized_on;  // "CUDA (NVIDIA H200)"; empty: no walk through the model, or earlier
  double quantizing_s = 0;   // of that walk, packing and writing included
  QuantizeTimes quantize_times;
};

// Packed bytes made, of how many, and what is being made; of a quantisation those of its linears,
// the section's own share growing as the work does.
using AddProgress =
    std::function<void(int64_t done_bytes, int64_t total_bytes, const std::string& what)>;

// Refused before any work: a source that cannot be used (file, tensor or key, wanted, found) or is
// not what its checksums.sha256 lists, a name that another source has, a disk without room.
// Cancelled or failed: nothing is left behind.
Result<AddedModel> add_model(const AddModelOptions& options, const AddProgress& progress = {},
                             const CancelToken& cancel = {});

// The model that counts where none is named. It must be one that find_model() finds.
Result<void> set_default_model(const std::string& name);

struct RemovedModel {
  int64_t freed_bytes = 0;
  bool was_default = false;  // then the default is again the model that comes with the program
};

// Only what add_model() made is removed; its source is never touched. A server that uses it goes
// on.
Result<RemovedModel> remove_model(const std::string& name);

}  // namespace incipit::engine
