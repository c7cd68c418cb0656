// The fused steps of a Llama layer on one CUDA device: the same params as on the CPU, with device
// pointers. Owned by the CUDA model, called on the engine thread; everything is launched on one
// stream, in order, and returns before it has run. Scratch is taken once, by the limits; no step
// allocates, so the steps between begin_step() and the candidates can be captured as a graph, and
// replayed for every step of an equal shape with the same pointers.
//
// Steps of up to kFlatRows rows are exact in the batch (flat_matmul.h). Larger ones agree within
// rounding, and are not for capturing: prefill attention, and from 65 or 257 rows on LargeMatmul.
//
// The step that writes x also writes what the next norm wants of it (NormedRows): x is x and
// next_norm_weight is the weight of the next step's norm in the usual order of steps. A step that
// finds another x or weight than was announced prepares its rows itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/common/math.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device_buffer.h"
#include "kernels/cuda/flat_matmul.h"
#include "kernels/cuda/stream.h"
#include "kernels/step_params.h"

namespace incipit::kernels::cuda {

struct CublasLibrary;
const CublasLibrary* cublas_library();  // cublas_library.h

// Rows that a step is padded to: few shapes, so few graphs. Larger steps are not padded.
constexpr int32_t padded_rows(int32_t n_rows) {
  return n_rows <= 8 || n_rows > kFlatRows ? n_rows : static_cast<int32_t>(round_up(n_rows, 8));
}

struct CudaStepLimits {
  int32_t max_rows = 0;  // taken as padded_rows(max_rows), like the next
  int32_t max_logit_rows = 0;
  int32_t max_sequences = 0;
  int32_t max_pages = 0;  // of one sequence
  int32_t hidden = 0;     // a multiple of 64
  int32_t ffn = 0;        // a multiple of 8
  int32_t vocab = 0;
  int32_t n_candidates = 0;
  HeadShape heads;
  KvType kv_type = KvType::kF16;  // of all pages
  // All matrices of the layers have groups of 128 and no zero points (is_mixed_shape): large steps
  // are then faster on Hopper, and take less scratch.
  bool has_mixed_shapes = false;
  // Asked only where large steps want cuBLAS; null: there is none, and they go by turns of
  // kFlatRows rows through the flat products. Slower, and exact in the batch up to attention.
  const CublasLibrary* (*find_cublas)() = cublas_library;
};

// What a step is about, in host memory; read before begin_step() returns.
struct HostStep {
  std::span<const int32_t> token_ids;        // [n_rows]
  std::span<const int32_t> positions;        // [n_rows]
  std::span<const int32_t> sequence_of_row;  // [n_rows]
  std::span<const int32_t> page_tables;      // [n_sequences, page_table_stride]
  int32_t page_table_stride = 0;
  std::span<const int32_t> logit_rows;  // [n_logit_rows]
  const uint16_t* embedding = nullptr;  // [vocab, hidden] fp16, host
};

// What fixes the launches of a step: steps of equal shapes can replay one graph.
struct StepShape {
  int32_t n_rows = 0;        // rounded up; rows past the real ones are padding (position -1)
  int32_t n_logit_rows = 0;  // rounded up; padding repeats the last
  AttentionBounds attention;
  friend bool operator==(const StepShape&, const StepShape&) = default;
};

class CudaSteps {
 public:
  // Of the current device. Throws CudaError when it has no room.
  explicit CudaSteps(const CudaStepLimits& limits);
  ~CudaSteps();
  CudaSteps(const CudaSteps&) = delete;
  CudaSteps& operator=(const CudaSteps&) = delete;

  cudaStream_t stream() const { return stream_.get(); }

  // Copies the step's inputs to the device (asynchronously, from pinned staging) and plans its
  // attention. Waits only when the copy of the step before the last has not been made yet.
  StepShape begin_step(const HostStep& step);

  // Device pointers to the inputs of the current step, n_rows as in its shape.
  RowBatch rows() const;
  const int32_t* logit_rows() const;

  void embed(const EmbedParams& params);  // token_ids and table are the current step's
  void qkv_rope_append(const QkvRopeAppendParams<CudaTile>& params);
  void attention(const AttentionParamsOf<CudaTile>& params);
  void out_proj_add(const OutProjAddParams<CudaTile>& params);
  void mlp_add(const MlpAddParams<CudaTile>& params);
  void lm_head(const LmHeadParams<CudaTile>& params);  // `normed` may be null: not wanted
  void top_candidates(const TopCandidatesParams& params);

  // Behind the keys and values of the last layer only the rows with logits have a use. In a large
  // step with a few of them keep_logit_rows() copies these rows of x and q (the flat kernels take
  // them from there), and rows() and logit_rows() speak of them alone from then on.
  struct KeptRows {
    float* x = nullptr;
    uint16_t* q = nullptr;
  };
  bool can_keep_logit_rows() const;
  KeptRows keep_logit_rows(const float* x, const uint16_t* q);

  // Large steps go by turns because there is no cuBLAS.
  bool lacks_cublas() const;
  int64_t scratch_bytes() const;

 private:
  struct Scratch;
  struct Step;
  bool has_flat_products() const;
  // Whether dependent launches may read the step's inputs at once.
  StepInputs settled_inputs() const;
  // qkv_rope_append() of at most kFlatRows rows, from `first` on.
  void flat_qkv_append(const QkvRopeAppendParams<CudaTile>& params, int32_t first, int32_t n);
  // x += W in, kFlatRows rows at a time, and the rows for the next norm.
  void flat_adds(const uint16_t* in, const Int4View<CudaTile>& w, float* x,
                 const float* next_norm_weight, int32_t n_rows);
  // NormedRows of x for this weight, made now unless the step before has.
  void prepare(const float* x, const float* norm_weight);

  CudaStepLimits limits_;
  Stream stream_;
  LaunchContext context_;
  std::unique_ptr<Scratch> scratch_;
  std::unique_ptr<Step> step_;
};

}  // namespace incipit::kernels::cuda
