#include "tests/support/dense_llama.h"

#include <cmath>
#include <string>

#include "engine/model/rope_tables.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/weight_names.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::test {
namespace {

using Matrix = DenseLlama::Matrix;

size_t at(int64_t i) {
  return static_cast<size_t>(i);
}

Matrix multiply(const Matrix& w, const Matrix& x) {
  Matrix y(w.size() / x.size(), 0.0);
  for (size_t row = 0; row < y.size(); ++row) {
    for (size_t col = 0; col < x.size(); ++col) y[row] += w[row * x.size() + col] * x[col];
  }
  return y;
}

Matrix normed(const Matrix& x, const Matrix& weight, double eps) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Matrix y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * factor * weight[i];
  return y;
}

void add(Matrix& to, const Matrix& what) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += what[i];
}

// Query and key heads of one token turned to its position, in place.
void rotate(const engine::ModelConfig& c, Matrix& qkv, int64_t position) {
  const std::vector<double> frequencies = engine::rope_frequencies(c);
  const int64_t half = c.head_dim / 2;
  for (int64_t head = 0; head < c.n_heads + c.n_kv_heads; ++head) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies[at(i)];
      double& a = qkv[at(head * c.head_dim + i)];
      double& b = qkv[at(head * c.head_dim + half + i)];
      const double turned = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = turned;
    }
  }
}

// The last of the tokens so far looks at all of them.
Matrix attend(const engine::ModelConfig& c, const std::vector<Matrix>& qkv) {
  Matrix out(at(c.attention_dim()), 0.0);
  const Matrix& own = qkv.back();
  for (int64_t head = 0; head < c.n_heads; ++head) {
    const int64_t kv = head / (c.n_heads / c.n_kv_heads);
    Matrix weights;
    double sum = 0;
    for (const Matrix& other : qkv) {
      double score = 0;
      for (int64_t d = 0; d < c.head_dim; ++d) {
        score += own[at(head * c.head_dim + d)] * other[at((c.n_heads + kv) * c.head_dim + d)];
      }
      weights.push_back(std::exp(score / std::sqrt(c.head_dim)));
      sum += weights.back();
    }
    for (size_t t = 0; t < qkv.size(); ++t) {
      for (int64_t d = 0; d < c.head_dim; ++d) {
        out[at(head * c.head_dim + d)] +=
            weights[t] / sum * qkv[t][at((c.n_heads + c.n_kv_heads + kv) * c.head_dim + d)];
      }
    }
  }
  return out;
}

Matrix activated(const Matrix& gate_up) {
  const size_t ffn = gate_up.size() / 2;
  Matrix out(ffn);
  for (size_t i = 0; i < ffn; ++i) {
    out[i] = gate_up[i] / (1 + std::exp(-gate_up[i])) * gate_up[ffn + i];
  }
  return out;
}

Matrix unpacked(const kernels::Int4View<kernels::CpuTile>& view) {
  Matrix out;
  for (int32_t row = 0; row < view.shape.rows; ++row) {
    for (int32_t col = 0; col < view.shape.cols; ++col) {
      out.push_back(kernels::weight_at(view, row, col));
    }
  }
  return out;
}

Matrix floats(const float* values, int32_t n) {
  return {values, values + n};
}

Matrix section_of(const engine::Checkpoint& checkpoint, const engine::WeightSection& section) {
  Matrix out;
  for (const engine::WeightPart& part : section.parts) {
    const engine::Tensor* tensor = checkpoint.find(part.tensor);
    if (tensor == nullptr) tensor = checkpoint.find(part.tensor + ".weight");
    for (int64_t i = 0; i < tensor->n_elements(); ++i) {
      out.push_back(engine::float_at(*tensor, i));
    }
  }
  return out;
}

}  // namespace

std::vector<double> DenseLlama::logits(std::span<const engine::TokenId> tokens) const {
  std::vector<std::vector<Matrix>> seen(layers.size());
  std::vector<double> all;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const auto row = embedding.begin() + int64_t{tokens[t]} * config.hidden;
    Matrix h(row, row + config.hidden);
    for (size_t l = 0; l < layers.size(); ++l) {
      const Layer& layer = layers[l];
      seen[l].push_back(multiply(layer.qkv, normed(h, layer.input_norm, config.norm_eps)));
      rotate(config, seen[l].back(), static_cast<int64_t>(t));
      add(h, multiply(layer.out, attend(config, seen[l])));
      const Matrix x = normed(h, layer.post_norm, config.norm_eps);
      add(h, multiply(layer.down, activated(multiply(layer.gate_up, x))));
    }
    const Matrix own = multiply(head, normed(h, final_norm, config.norm_eps));
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

Result<DenseLlama> dense_checkpoint(const std::filesystem::path& dir) {
  using engine::WeightRole;
  DenseLlama llama;
  ASSIGN_OR_RETURN(llama.config, engine::load_model_config(dir));
  ASSIGN_OR_RETURN(const auto checkpoint, engine::Checkpoint::open(dir));
  llama.layers.resize(at(llama.config.n_layers));
  for (const auto& section : engine::weight_sections(llama.config, engine::HeadFormat::kInt8)) {
    Matrix matrix = section_of(checkpoint, section);
    DenseLlama::Layer* const layer = section.layer < 0 ? nullptr : &llama.layers[at(section.layer)];
    Matrix& place = section.role == WeightRole::kInputNorm   ? layer->input_norm
                    : section.role == WeightRole::kQkv       ? layer->qkv
                    : section.role == WeightRole::kOut       ? layer->out
                    : section.role == WeightRole::kPostNorm  ? layer->post_norm
                    : section.role == WeightRole::kGateUp    ? layer->gate_up
                    : section.role == WeightRole::kDown      ? layer->down
                    : section.role == WeightRole::kFinalNorm ? llama.final_norm
                    : section.role == WeightRole::kHead      ? llama.head
                                                             : llama.embedding;
    place = std::move(matrix);
  }
  return llama;
}

DenseLlama dense_weights(const engine::Weights<kernels::CpuTile>& weights) {
  DenseLlama llama;
  const engine::ModelConfig& c = llama.config = weights.config;
  for (const auto& layer : weights.layers) {
    llama.layers.push_back({floats(layer.input_norm, c.hidden), floats(layer.post_norm, c.hidden),
                            unpacked(layer.qkv), unpacked(layer.out), unpacked(layer.gate_up),
                            unpacked(layer.down)});
  }
  llama.final_norm = floats(weights.final_norm, c.hidden);
  for (int32_t row = 0; row < c.vocab; ++row) {
    for (int32_t col = 0; col < c.hidden; ++col) {
      llama.head.push_back(kernels::weight_at(weights.head_int8, row, col));
      llama.embedding.push_back(
          kernels::half_to_float(weights.embedding[int64_t{row} * c.hidden + col]));
    }
  }
  return llama;
}

}  // namespace incipit::test
