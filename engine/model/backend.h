// Backend: what a device must offer so that model/llama.h can run on it: the fused steps of a Llama
// layer, memory, and copies between its memory and the host's. A new backend fills this table and
// passes the parity suite; the model text stays.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "engine/base/result.h"
#include "kernels/step_params.h"

namespace incipit::engine {

template <class B>
concept Backend = requires(B& backend, void* to, const void* from, int64_t n_bytes,
                           const kernels::EmbedParams& embed,
                           const kernels::QkvRopeAppendParams<typename B::WeightLayout>& qkv,
                           const kernels::AttentionParams& attention,
                           const kernels::OutProjAddParams<typename B::WeightLayout>& out_proj,
                           const kernels::MlpAddParams<typename B::WeightLayout>& mlp,
                           const kernels::LmHeadParams<typename B::WeightLayout>& head,
                           const kernels::TopCandidatesParams& top) {
  typename B::WeightLayout;  // the layout tag of its matrices
  typename B::Buffer;        // owns zeroed memory that its steps can read and write
  { B::Buffer::allocate(n_bytes) } -> std::same_as<Result<typename B::Buffer>>;
  { backend.device_name() } -> std::convertible_to<const char*>;

  // In the order in which they are called. They may run later, but in this order.
  backend.embed(embed);
  backend.qkv_rope_append(qkv);
  backend.attention(attention);
  backend.out_proj_add(out_proj);
  backend.mlp_add(mlp);
  backend.lm_head(head);
  backend.top_candidates(top);

  backend.upload(to, from, n_bytes);    // `from` may be reused at once
  backend.copy(to, from, n_bytes);      // within the device
  backend.download(to, from, n_bytes);  // waits for all that was called before
};

}  // namespace incipit::engine
