// The text that a quantiser watches the model read, and the text that its result is judged by: two
// sets of token sequences that share no document. Main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/quantize/hidden_stream.h"

namespace incipit::engine {

struct CalibrationText {
  std::vector<std::string> documents;
  uint64_t fingerprint = 0;  // of all of them
};

// The set that comes with the program: ../share/incipit/calibration.txt beside the executable's
// directory, or the build tree's. kNotFound says where it looked.
Result<CalibrationText> default_calibration();
// Files of the user, each a document. An empty or unreadable one is an error that names it.
Result<CalibrationText> read_calibration(const std::vector<std::filesystem::path>& files);

struct CalibrationSizes {
  int32_t sequence_tokens = 512;
  int32_t n_sequences = 128;
  int32_t n_held_out = 16;  // sequences
};

struct CalibrationSets {
  TokenSequences calibration;
  TokenSequences held_out;
};

// Every sequence begins with `bos` (-1: none) and is a run of tokens of documents joined by `eos`
// (-1: none). With 16 documents or more, every eighth is held out; with fewer, the last eighth of
// each. Sequences are spread evenly over the text; where it is short there are fewer of them.
// kInvalidArgument when there is not one of each.
using Encode = std::function<std::vector<TokenId>(std::string_view)>;
Result<CalibrationSets> make_calibration_sets(const CalibrationText& text, const Encode& encode,
                                              TokenId bos, TokenId eos,
                                              const CalibrationSizes& sizes);

}  // namespace incipit::engine
