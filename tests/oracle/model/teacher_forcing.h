// Runs one token sequence through a Model in several ways (chunk sizes, cached pages) and writes
// the logits of every position. Used by oracle_model alone, on its own thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"
#include "engine/model/create_model.h"
#include "engine/model/model.h"

namespace incipit::oracle {

// One way through the sequence. The first n_cached tokens are computed in chunks of prefix_chunk
// for another sequence, which goes on differently in their last, partial page; the sequence itself
// takes over the full pages, a copy of the partial one, and goes on in chunks of `chunk`.
struct Pass {
  std::string name;
  std::string file;
  int32_t chunk = 0;
  int32_t n_cached = 0;
  int32_t prefix_chunk = 0;
  std::string same_bits_as;  // the file of a pass that must give the same bits; empty: none
};

// flat_rows: up to so many rows a step, results do not depend on the chunk.
std::vector<Pass> passes_over(int32_t n_tokens, int32_t flat_rows);

// What the model must offer for these passes.
engine::ModelLimits limits_for(int32_t n_tokens, int32_t max_logit_rows);

// Writes float [n_tokens, vocab] into directory / pass.file. A chunk with more rows than the model
// gives logits of in one step is run again for the next of them, as its results stay the same.
Result<void> run_pass(engine::Model& model, const std::vector<engine::TokenId>& tokens,
                      const Pass& pass, int32_t max_logit_rows,
                      const std::filesystem::path& directory);

}  // namespace incipit::oracle
