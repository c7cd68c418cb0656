// Weights<Layout>: the matrices of one model in a backend's layout, borrowed from a mapped packed
// file or from memory. load_weights() packs a Hugging Face GPTQ checkpoint once into the user's
// cache directory and maps it from then on; synthetic_weights() makes a random model of a given
// shape. Called while the engine is being created, on the loading thread; the result is immutable
// and may be read from any thread for as long as `storage` lives.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/config/model_config.h"
#include "kernels/quant/int4_layout.h"
#include "kernels/quant/int8_layout.h"

namespace incipit::engine {

template <class Layout>
struct LayerWeights {
  const float* input_norm = nullptr;  // [hidden]
  const float* post_norm = nullptr;   // [hidden]
  kernels::Int4View<Layout> qkv;      // [(n_heads + 2 n_kv_heads) head_dim, hidden]: q, k, v
  kernels::Int4View<Layout> out;      // [hidden, n_heads head_dim]
  kernels::Int4View<Layout> gate_up;  // [2 ffn, hidden]: gate, then up
  kernels::Int4View<Layout> down;     // [hidden, ffn]
};

template <class Layout>
struct Weights {
  ModelConfig config;
  std::vector<LayerWeights<Layout>> layers;
  const uint16_t* embedding = nullptr;  // [vocab, hidden] fp16
  const float* final_norm = nullptr;    // [hidden]
  kernels::Int8View<Layout> head_int8;  // [vocab, hidden]; data == nullptr: the head is fp16
  const uint16_t* head_f16 = nullptr;   // [vocab, hidden]; the embedding when tied; null when int8
  uint64_t fingerprint = 0;             // of all of it and how it is packed; 0: not known
  int64_t bytes = 0;                    // what a full decode step reads, plus the embedding
  std::shared_ptr<const void> storage;  // keeps the mapping or the buffer alive
};

struct LoadOptions {
  HeadFormat head_format = HeadFormat::kInt8;
  std::string cache_dir;  // empty: $XDG_CACHE_HOME/incipit or ~/.cache/incipit
};

// A fraction 0..1 and a short text; called on the loading thread.
using LoadProgress = std::function<void(double fraction, const std::string& what)>;

// A cache that cannot be written or is damaged costs a warning in the log and a repack, never a
// failure; a checkpoint that is damaged, incomplete or of an unknown kind is an error that names
// file, tensor, wanted and found. `cancel` is looked at between two matrices.
Result<Weights<kernels::CpuTile>> load_weights(const std::filesystem::path& model_dir,
                                               const LoadOptions& options,
                                               const LoadProgress& progress = {},
                                               const CancelToken& cancel = {});

// Random INT4 weights of that shape, made in memory, the same for the same seed. The scales keep
// the residual stream finite and of order one through every layer. n_tokens: an INT8 head gives
// tokens from there on logits of 0, so that a smaller tokenizer can read what is generated; 0: all
// are drawn.
Result<Weights<kernels::CpuTile>> synthetic_weights(const ModelConfig& config,
                                                    HeadFormat head_format, uint64_t seed,
                                                    int n_threads, int32_t n_tokens = 0);

}  // namespace incipit::engine
