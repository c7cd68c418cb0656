#include "kernels/cuda/steps.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/math.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/kv_staging.h"
#include "kernels/cuda/step_inputs.h"
#include "kernels/cuda/step_scratch.h"
#include "kernels/cuda/top_candidates.h"

namespace incipit::kernels::cuda {

namespace {

constexpr int64_t kHalfBytes = 2;

template <class Work>
void by_turns(int32_t n_rows, const Work& work) {
  for (int32_t first = 0; first < n_rows; first += kFlatRows) {
    work(first, std::min(kFlatRows, n_rows - first));
  }
}
RowBatch part_of(RowBatch rows, int32_t first, int32_t n) {
  rows.n_rows = n;
  rows.positions += first;
  rows.sequence_of_row += first;
  return rows;
}

HeadOrder head_order(const HeadShape& heads) {
  return {(heads.n_heads + heads.n_kv_heads) * heads.head_dim, heads.head_dim};
}

CudaStepLimits padded(CudaStepLimits limits) {
  limits.max_rows = padded_rows(limits.max_rows);
  limits.max_logit_rows = padded_rows(limits.max_logit_rows);
  return limits;
}

}  // namespace

// The current step.
struct CudaSteps::Step {
  StepShape shape;
  const InputLayout* layout = nullptr;
  size_t n_begun = 0;
  // The rows with logits, when they can go on alone.
  int32_t n_kept = 0;  // 0: they cannot
  AttentionBounds kept_attention;
  bool is_kept = false;
  // Whether embed() was this step's first launch: everything that was there before is settled.
  bool begins_with_embed = false;
  // What the NormedRows are of.
  const float* prepared_x = nullptr;
  const float* prepared_weight = nullptr;

  void prepared(const float* x, const float* norm_weight) {
    prepared_x = norm_weight != nullptr ? x : nullptr;
    prepared_weight = norm_weight;
  }
};

CudaSteps::CudaSteps(const CudaStepLimits& limits)
    : limits_(padded(limits)),
      stream_(make_stream()),
      context_{stream_.get(), runs_hopper_code()},
      scratch_(std::make_unique<Scratch>(limits_)),
      step_(std::make_unique<Step>()) {
  CHECK_EQ(limits.hidden % 64, 0);
  CHECK_EQ(limits.ffn % 8, 0);
  prepare_flat_matmul();
  prepare_attention(limits.kv_type);
}

CudaSteps::~CudaSteps() {
  (void)cudaStreamSynchronize(stream_.get());  // scratch may be in use
}

StepShape CudaSteps::begin_step(const HostStep& step) {
  const auto n_rows = static_cast<int32_t>(step.token_ids.size());
  const auto n_logit_rows = static_cast<int32_t>(step.logit_rows.size());
  CHECK_LE(n_rows, limits_.max_rows);
  CHECK_LE(n_logit_rows, limits_.max_logit_rows);
  CHECK_EQ(step.positions.size(), step.token_ids.size());
  CHECK_EQ(step.sequence_of_row.size(), step.token_ids.size());

  Step& now = *step_;
  now.shape = {padded_rows(n_rows), padded_rows(n_logit_rows), {}};
  now.layout = now.shape.n_rows <= kFlatRows ? &scratch_->flat_layout : &scratch_->large_layout;
  now.is_kept = false;
  now.begins_with_embed = false;
  now.n_kept =
      now.shape.n_rows > kFlatRows && n_logit_rows <= kFlatRows ? now.shape.n_logit_rows : 0;
  now.prepared(nullptr, nullptr);

  Scratch::Staging& staging = scratch_->staging[now.n_begun++ % scratch_->staging.size()];
  CUDA_CHECK(cudaEventSynchronize(staging.copied.get()));
  const InputWriter writer(limits_, *now.layout, step, staging.inputs.data());
  writer.write_tables();
  now.shape.attention = writer.write_rows(now.shape.n_rows);
  writer.write_logit_rows(now.shape.n_logit_rows);
  if (now.n_kept > 0) now.kept_attention = writer.write_kept_rows(now.n_kept);
  writer.write_embeddings(now.shape.n_rows);

  const int64_t begin = writer.unused_bytes();
  const int64_t end =
      now.layout->embeddings + kHalfBytes * now.shape.n_rows * int64_t{limits_.hidden};
  CUDA_CHECK(cudaMemcpyAsync(scratch_->inputs.data() + begin, staging.inputs.data() + begin,
                             static_cast<size_t>(end - begin), cudaMemcpyHostToDevice,
                             stream_.get()));
  CUDA_CHECK(cudaEventRecord(staging.copied.get(), stream_.get()));
  return now.shape;
}

RowBatch CudaSteps::rows() const {
  const InputLayout& layout = *step_->layout;
  const auto ints = [this](int64_t offset) {
    return reinterpret_cast<const int32_t*>(scratch_->inputs.data() + offset);
  };
  if (step_->is_kept) {
    return {step_->n_kept, ints(layout.kept_positions), ints(layout.kept_sequences),
            ints(layout.tables), limits_.max_pages};
  }
  return {step_->shape.n_rows, ints(layout.positions), ints(layout.sequences), ints(layout.tables),
          limits_.max_pages};
}

const int32_t* CudaSteps::logit_rows() const {
  const InputLayout& layout = *step_->layout;
  return reinterpret_cast<const int32_t*>(scratch_->inputs.data() +
                                          (step_->is_kept ? layout.kept_order : layout.logit_rows));
}

bool CudaSteps::has_flat_products() const {
  return rows().n_rows <= scratch_->max_rows_by_turns;
}

bool CudaSteps::can_keep_logit_rows() const {
  return step_->n_kept > 0 && !step_->is_kept;
}

CudaSteps::KeptRows CudaSteps::keep_logit_rows(const float* x, const uint16_t* q) {
  CHECK(can_keep_logit_rows());
  GatherRowsParams gather;
  gather.n_rows = step_->n_kept;
  gather.rows = logit_rows();
  gather.hidden = limits_.hidden;
  gather.x = x;
  gather.x_out = scratch_->kept_x.as<float>();
  gather.q_width = attention_width(limits_.heads);
  gather.q = q;
  gather.q_out = scratch_->kept_q.as<uint16_t>();
  gather_rows(gather, context_);
  step_->is_kept = true;
  step_->prepared(nullptr, nullptr);
  return {gather.x_out, gather.q_out};
}

void CudaSteps::prepare(const float* x, const float* norm_weight) {
  if (step_->prepared_x == x && step_->prepared_weight == norm_weight) return;
  prepare_rows({rows().n_rows, limits_.hidden, x, norm_weight, scratch_->normed(0, limits_.hidden)},
               context_);
  step_->prepared(x, norm_weight);
}

void CudaSteps::embed(const EmbedParams& params) {
  CHECK_EQ(params.hidden, limits_.hidden);
  EmbedRowsParams p;
  p.n_rows = rows().n_rows;
  p.hidden = params.hidden;
  p.embeddings =
      reinterpret_cast<const uint16_t*>(scratch_->inputs.data() + step_->layout->embeddings);
  p.x = params.x;
  p.next_norm_weight = has_flat_products() ? params.next_norm_weight : nullptr;
  p.next = scratch_->normed(0, limits_.hidden);
  // Not dependent: it waits for the copy of the inputs and for all earlier steps, which lets the
  // kernels behind it read those before they wait (StepInputs::kSettled).
  embed_rows(p, {stream_.get(), false});
  step_->begins_with_embed = true;
  step_->prepared(params.x, p.next_norm_weight);
}

StepInputs CudaSteps::settled_inputs() const {
  return step_->begins_with_embed ? StepInputs::kSettled : StepInputs::kAfterWait;
}

void CudaSteps::flat_qkv_append(const QkvRopeAppendParams<CudaTile>& params, int32_t first,
                                int32_t n) {
  const RowBatch rows = part_of(params.rows, first, n);
  const KvStaging* const staging = scratch_->kv_staging.get();
  uint16_t* const q = params.q + int64_t{first} * attention_width(params.heads);
  flat_qkv({staging != nullptr ? staging->rows_of(rows) : rows, params.hidden, params.heads,
            scratch_->normed(first, params.hidden), params.norm_eps, params.w_qkv, params.rope_cos,
            params.rope_sin, q, staging != nullptr ? staging->pages() : params.kv},
           scratch_->flat(), context_);
  if (staging == nullptr) return;
  const bool is_settled = settled_inputs() == StepInputs::kSettled;
  quantize_rows({rows, params.heads, staging->pages(), params.kv, is_settled}, context_);
}

void CudaSteps::qkv_rope_append(const QkvRopeAppendParams<CudaTile>& params) {
  CHECK_EQ(params.hidden, limits_.hidden);
  CHECK_EQ(params.w_qkv.shape.rows, qkv_width(limits_.heads));
  CHECK_EQ(params.w_qkv.shape.cols, params.hidden);
  CHECK(params.kv.type == limits_.kv_type);
  if (has_flat_products()) {
    prepare(params.x, params.norm_weight);
    by_turns(params.rows.n_rows,
             [&](int32_t first, int32_t n) { flat_qkv_append(params, first, n); });
    return;
  }
  const int32_t n_rows = params.rows.n_rows;
  auto* const normed = scratch_->normed_values.as<uint16_t>();
  auto* const qkv = scratch_->qkv.as<uint16_t>();
  norm_rows({n_rows, params.hidden, nullptr, params.x, params.norm_weight, params.norm_eps, normed,
             nullptr},
            context_);
  scratch_->matmul->product(params.w_qkv, RowOrder::kRopePairs, head_order(params.heads), normed,
                            n_rows, qkv, context_);
  rope_append(
      {params.rows, params.heads, qkv, params.rope_cos, params.rope_sin, params.q, params.kv},
      context_);
  step_->prepared(nullptr, nullptr);
}

void CudaSteps::attention(const AttentionParamsOf<CudaTile>& params) {
  CHECK(params.kv.type == limits_.kv_type);
  CudaAttentionParams p;
  p.rows = params.rows;
  p.heads = params.heads;
  p.q = params.q;
  p.kv = params.kv;
  p.scale = params.scale;
  p.out = params.out;
  p.plan =
      scratch_->inputs.data() + (step_->is_kept ? step_->layout->kept_plan : step_->layout->plan);
  p.bounds = step_->is_kept ? step_->kept_attention : step_->shape.attention;
  // The plan of kept rows does not know the keys that their own step has written.
  p.inputs = step_->is_kept ? StepInputs::kAfterWait : settled_inputs();
  const AttentionScratch scratch = {scratch_->attention.data()};
  const auto launch_attention = p.rows.n_rows <= kFlatRows ? flat_attention : prefill_attention;
  launch_attention(p, scratch_->attention_limits, scratch, context_);
}

void CudaSteps::flat_adds(const uint16_t* in, const Int4View<CudaTile>& w, float* x,
                          const float* next_norm_weight, int32_t n_rows) {
  by_turns(n_rows, [&](int32_t first, int32_t n) {
    flat_add({n, w.shape.cols, limits_.hidden, in + int64_t{first} * w.shape.cols, w,
              x + int64_t{first} * limits_.hidden, next_norm_weight,
              scratch_->normed(first, limits_.hidden)},
             scratch_->flat(), context_);
  });
  step_->prepared(x, next_norm_weight);
}

void CudaSteps::out_proj_add(const OutProjAddParams<CudaTile>& params) {
  CHECK_EQ(params.hidden, limits_.hidden);
  CHECK_EQ(params.w_out.shape.rows, params.hidden);
  CHECK_EQ(params.w_out.shape.cols, params.attention_dim);
  if (has_flat_products()) {
    flat_adds(params.attention, params.w_out, params.x, params.next_norm_weight, params.n_rows);
    return;
  }
  scratch_->matmul->add_product(params.w_out, params.attention, params.n_rows, params.x, context_);
  step_->prepared(nullptr, nullptr);
}

void CudaSteps::mlp_add(const MlpAddParams<CudaTile>& params) {
  CHECK_EQ(params.hidden, limits_.hidden);
  CHECK_EQ(params.ffn, limits_.ffn);
  CHECK_EQ(params.w_gate_up.shape.rows, 2 * params.ffn);
  CHECK_EQ(params.w_down.shape.cols, params.ffn);
  if (has_flat_products()) {
    auto* const act = scratch_->act.as<uint16_t>();
    prepare(params.x, params.norm_weight);
    by_turns(params.n_rows, [&](int32_t first, int32_t n) {
      flat_gate_up({n, params.hidden, params.ffn, scratch_->normed(first, params.hidden),
                    params.norm_eps, params.w_gate_up, act + int64_t{first} * params.ffn},
                   scratch_->flat(), context_);
    });
    flat_adds(act, params.w_down, params.x, params.next_norm_weight, params.n_rows);
    return;
  }
  auto* const normed = scratch_->normed_values.as<uint16_t>();
  norm_rows({params.n_rows, params.hidden, nullptr, params.x, params.norm_weight, params.norm_eps,
             normed, nullptr},
            context_);
  scratch_->matmul->mlp_product(params.w_gate_up, params.w_down, normed, params.n_rows, params.x,
                                context_);
  step_->prepared(nullptr, nullptr);
}

void CudaSteps::lm_head(const LmHeadParams<CudaTile>& params) {
  CHECK_LE(params.n_logit_rows, limits_.max_logit_rows);
  CHECK_EQ(params.hidden, limits_.hidden);
  CHECK_EQ(params.vocab, limits_.vocab);
  if (params.n_logit_rows == 0) return;
  prepare(params.x, params.norm_weight);
  if (params.normed != nullptr) {
    norm_rows({params.n_logit_rows, params.hidden, params.rows, params.x, params.norm_weight,
               params.norm_eps, nullptr, params.normed},
              context_);
  }
  flat_head({params.n_logit_rows, params.hidden, params.vocab, params.rows,
             scratch_->normed(0, limits_.hidden), params.norm_eps, params.w_int8, params.w_f16,
             params.logits},
            scratch_->flat(), context_);
}

void CudaSteps::top_candidates(const TopCandidatesParams& params) {
  CHECK_LE(params.n_logit_rows, limits_.max_logit_rows);
  CHECK_LE(params.vocab, limits_.vocab);
  cuda::top_candidates(params, scratch_->candidate_lists.data(), context_);
}

bool CudaSteps::lacks_cublas() const {
  return scratch_->lacks_cublas();
}

int64_t CudaSteps::scratch_bytes() const {
  return scratch_->size_bytes();
}

}  // namespace incipit::kernels::cuda
