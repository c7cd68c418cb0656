// What a device of a given bandwidth and arithmetic can do at best with a Llama of INT4 weights in
// groups of 128 and an INT8 head: each byte that a step needs is read once, each multiply-add of
// the model is done once. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/config/model_config.h"

namespace incipit::engine {

class Floors {
 public:
  Floors(const ModelConfig& config, double read_bytes_per_s, double flops_per_s,
         kernels::KvType kv_type = kernels::KvType::kF16)
      : config_(config), read_(read_bytes_per_s), flops_(flops_per_s), kv_type_(kv_type) {}

  bool known() const { return read_ > 0 && flops_ > 0; }

  // Weights that every step reads: all but the embedding, of which it reads its rows.
  double weight_bytes() const {
    constexpr double kBytesPerWeight = 0.5 + 2.0 / 128;  // nibbles, and an fp16 scale a group
    const double head = static_cast<double>(config_.vocab) * (config_.hidden + 4.0);
    const double norms = (2.0 * config_.n_layers + 1) * config_.hidden * 4;
    return kBytesPerWeight * projection_macs() + head + norms;
  }
  double kv_bytes(double n_tokens) const {
    return static_cast<double>(config_.kv_bytes_per_token(kv_type_)) * n_tokens;
  }

  // Seconds of a step whose sequences have so many tokens together: a step of few rows.
  double step_s(double n_context) const { return (weight_bytes() + kv_bytes(n_context)) / read_; }

  // Seconds until positions begin..end are computed and the last has its logits.
  double prompt_s(int32_t begin, int32_t end) const {
    const double n = end - begin;
    const double attended = n * (begin + end + 1) / 2;  // pairs of positions
    const double macs = projection_macs() * n + head_macs() +
                        2.0 * config_.n_layers * config_.attention_dim() * attended;
    return std::max(2 * macs / flops_, step_s(end));
  }

 private:
  double projection_macs() const {  // of a token
    const double hidden = config_.hidden;
    return config_.n_layers * (config_.qkv_rows() * hidden + hidden * config_.attention_dim() +
                               3 * hidden * config_.ffn);
  }
  double head_macs() const { return static_cast<double>(config_.vocab) * config_.hidden; }

  ModelConfig config_;
  double read_;
  double flops_;
  kernels::KvType kv_type_;
};

}  // namespace incipit::engine
