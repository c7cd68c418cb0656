// The steps of step_params.h done the slow and obvious way, in double precision, reading weights
// through the codecs. The oracle of every backend's parity tests; any thread, no scratch.
#pragma once

#include "kernels/step_params.h"

namespace incipit::kernels::reference {

void embed(const EmbedParams& params);
void qkv_rope_append(const QkvRopeAppendParams<CpuTile>& params);
void attention(const AttentionParams& params);
void out_proj_add(const OutProjAddParams<CpuTile>& params);
void mlp_add(const MlpAddParams<CpuTile>& params);
void lm_head(const LmHeadParams<CpuTile>& params);
void top_candidates(const TopCandidatesParams& params);

}  // namespace incipit::kernels::reference
