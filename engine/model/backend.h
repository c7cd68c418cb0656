// Backend: what a device must offer so that model/llama.h can run on it: the fused steps of a Llama
// layer, memory, and copies between its memory and the host's. A new backend fills this table and
// passes the parity suite; the model text stays.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "engine/base/result.h"
#include "engine/model/forward_batch.h"
#include "kernels/common/function_ref.h"
#include "kernels/step_params.h"

namespace incipit::engine {

// What a step is about, where the backend's steps can read it. A backend may round the numbers of
// rows up: what the rows behind the real ones give is never looked at.
struct StepInputs {
  kernels::RowBatch rows;
  const int32_t* token_ids = nullptr;   // [rows.n_rows]; null: the backend has gathered their rows
  const int32_t* logit_rows = nullptr;  // [n_logit_rows]
  int32_t n_logit_rows = 0;
};

// Values of a row of the stream and of the queries.
struct RowWidths {
  int64_t hidden = 0;
  int64_t attention = 0;
};

// The stream and the queries of the rows that a step goes on with.
template <class Value>
struct StepRows {
  float* x = nullptr;
  Value* q = nullptr;
};

template <class B>
concept Backend = requires(B& backend, void* to, const void* from, int64_t n_bytes,
                           const ForwardBatch& batch, const uint16_t* embedding,
                           kernels::FunctionRef<void()> launches, const RowWidths& widths,
                           StepInputs& inputs,
                           StepRows<kernels::Activation<typename B::WeightLayout>>& rows,
                           const kernels::EmbedParams& embed,
                           const kernels::QkvRopeAppendParams<typename B::WeightLayout>& qkv,
                           const kernels::AttentionParamsOf<typename B::WeightLayout>& attention,
                           const kernels::OutProjAddParams<typename B::WeightLayout>& out_proj,
                           const kernels::MlpAddParams<typename B::WeightLayout>& mlp,
                           const kernels::LmHeadParams<typename B::WeightLayout>& head,
                           const kernels::TopCandidatesParams& top) {
  typename B::WeightLayout;  // the layout tag of its matrices
  typename B::Buffer;        // owns zeroed memory that its steps can read and write
  typename B::HostBuffer;    // the same, and the host can read it too
  { B::Buffer::allocate(n_bytes) } -> std::same_as<Result<typename B::Buffer>>;
  { B::HostBuffer::allocate(n_bytes) } -> std::same_as<Result<typename B::HostBuffer>>;
  { backend.device_name() } -> std::convertible_to<const char*>;
  // A step: begin, run, finish. run() calls `launches`, which calls the steps below, unless an
  // earlier step of the same shape has left a recording of them. The batch lives until finish.
  { backend.begin_step(batch, embedding) } -> std::same_as<StepInputs>;
  backend.run(launches);
  backend.finish_step();  // the candidates can be read now

  // Between two layers: whether the step may end here. A backend that runs later than it is called
  // keeps the caller close to itself, so that ending is worth something. False when the step is
  // being recorded.
  { backend.may_end_here() } -> std::same_as<bool>;

  // Called behind the keys and values of the last layer when only some rows have logits, as the
  // others have no further use: the step may go on with those alone. Changes inputs and rows then.
  backend.keep_logit_rows(batch, widths, inputs, rows);

  // In the order in which they are called. They may run later, but in this order.
  backend.embed(embed);
  backend.qkv_rope_append(qkv);
  backend.attention(attention);
  backend.out_proj_add(out_proj);
  backend.mlp_add(mlp);
  backend.lm_head(head);
  backend.top_candidates(top);

  backend.upload(to, from, n_bytes);    // `from` may be reused at once
  backend.download(to, from, n_bytes);  // waits for all that was called before
  // Within the device: n runs of n_bytes, `stride` bytes from one to the next.
  backend.copy(to, from, n_bytes, /*stride=*/n_bytes, /*n=*/int32_t{});
};

}  // namespace incipit::engine
