// A GGUF file of a tiny checkpoint, for the tests of what is read from one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_builder.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {

// May add something else of this name and shape; true: it did.
using InsteadOfTensor = std::function<bool(test::GgufBuilder& builder, const std::string& name,
                                           const std::vector<int64_t>& shape)>;

// What convert_hf_to_gguf.py makes of a checkpoint in full precision: other names, rows of q and k
// in pairs, configuration and tokenizer as metadata.
inline test::GgufBuilder gguf_of(const test::TinyCheckpoint& tiny, const test::TinyOptions& options,
                                 const InsteadOfTensor& instead = {}) {
  using test::GgufBuilder;
  constexpr uint32_t kF32Type = 0;
  GgufBuilder builder;
  builder.add("general.architecture", "llama");
  builder.add("llama.embedding_length", static_cast<uint32_t>(options.hidden));
  builder.add("llama.feed_forward_length", static_cast<uint32_t>(options.ffn));
  builder.add("llama.block_count", static_cast<uint32_t>(options.n_layers));
  builder.add("llama.attention.head_count", static_cast<uint32_t>(options.n_heads));
  builder.add("llama.attention.head_count_kv", static_cast<uint32_t>(options.n_kv_heads));
  builder.add("llama.context_length", static_cast<uint32_t>(options.max_positions));
  builder.add("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  builder.add("llama.rope.freq_base", 10000.0F);
  std::vector<std::string> tokens(static_cast<size_t>(options.vocab));
  std::vector<int32_t> types(tokens.size(), 5);  // unused
  for (size_t id = 0; id < tokens.size(); ++id) tokens[id] = "[PAD" + std::to_string(id) + "]";
  for (const auto& [spelling, id] : tiny.tokenizer["model"]["vocab"].items()) {
    tokens[id.get<size_t>()] = spelling;
    types[id.get<size_t>()] = 1;
  }
  for (const auto& added : tiny.tokenizer["added_tokens"]) {
    tokens[added["id"].get<size_t>()] = added["content"];
    types[added["id"].get<size_t>()] = 3;
  }
  builder.add("tokenizer.ggml.model", "gpt2");
  builder.add("tokenizer.ggml.pre", "llama-bpe");
  builder.add("tokenizer.ggml.tokens", tokens);
  builder.add("tokenizer.ggml.token_type", types);
  builder.add("tokenizer.ggml.merges",
              tiny.tokenizer["model"]["merges"].get<std::vector<std::string>>());
  builder.add("tokenizer.ggml.bos_token_id", tiny.config["bos_token_id"].get<uint32_t>());
  builder.add("tokenizer.ggml.eos_token_id", tiny.config["eos_token_id"][0].get<uint32_t>());
  builder.add("tokenizer.ggml.eot_token_id", tiny.config["eos_token_id"][1].get<uint32_t>());
  const std::vector<std::pair<std::string, std::string>> names = {
      {"model.embed_tokens.", "token_embd."},
      {"model.norm.", "output_norm."},
      {"model.layers.", "blk."},
      {"input_layernorm.", "attn_norm."},
      {"post_attention_layernorm.", "ffn_norm."},
      {"self_attn.q_proj.", "attn_q."},
      {"self_attn.k_proj.", "attn_k."},
      {"self_attn.v_proj.", "attn_v."},
      {"self_attn.o_proj.", "attn_output."},
      {"mlp.gate_proj.", "ffn_gate."},
      {"mlp.up_proj.", "ffn_up."},
      {"mlp.down_proj.", "ffn_down."}};
  for (const test::RawTensor& tensor : tiny.tensors) {
    std::string name = tensor.name;
    for (const auto& [from, to] : names) {
      const size_t at = name.find(from);
      if (at != std::string::npos) name.replace(at, from.size(), to);
    }
    if (instead && instead(builder, name, tensor.shape)) continue;
    std::string bytes = tensor.bytes;
    if (name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight")) {
      const auto dim = static_cast<size_t>(options.head_dim);
      const size_t row_bytes = static_cast<size_t>(tensor.shape[1]) * 4;
      for (size_t row = 0; row < static_cast<size_t>(tensor.shape[0]); ++row) {
        const size_t head = row / dim, pair = row % dim / 2, half = row % 2;
        const size_t from = head * dim + half * dim / 2 + pair;
        bytes.replace(row * row_bytes, row_bytes, tensor.bytes, from * row_bytes, row_bytes);
      }
    }
    builder.add_tensor(name, tensor.shape, kF32Type, bytes);
  }
  return builder;
}

}  // namespace incipit::engine
