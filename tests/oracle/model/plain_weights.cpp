#include "tests/oracle/model/plain_weights.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/common/thread_pool.h"

namespace incipit::oracle {

namespace {

using kernels::CpuTile;
using kernels::Int4View;
using kernels::Int8View;
using HeadTile = kernels::Int8Layout<CpuTile>;
using nlohmann::json;

struct Matrix {
  std::string name;
  std::string kind;
  int32_t rows = 0;
  int32_t cols = 0;
  std::variant<Int4View<CpuTile>, Int8View<CpuTile>, const uint16_t*, const float*> data;
};

Result<void> write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (file) return {};
  return Error{ErrorCode::kIo,
               fmt::format("{}: cannot be written (want {} bytes)", path.string(), bytes.size())};
}

// Eight columns from a multiple of 8 on: four bytes of the layout hold quad c in their low nibbles
// and quad c + 1 in their high ones.
void unpack_eight(const Int4View<CpuTile>& view, int32_t row, int32_t col, std::byte* out) {
  uint32_t word = 0;
  std::memcpy(&word, view.data + CpuTile::byte_of(view.shape, row, col), sizeof(word));
  const auto pairs = [](uint32_t quad) {  // 0x0d0c0b0a -> bytes 0xba, 0xdc
    const uint32_t joined = quad | (quad >> 4);
    return (joined & 0xff) | ((joined >> 8) & 0xff00);
  };
  const uint32_t low = pairs(word & 0x0f0f0f0fu);
  const uint32_t high = pairs((word >> 4) & 0x0f0f0f0fu);
  const uint32_t both = low | (high << 16);
  std::memcpy(out, &both, sizeof(both));
}

std::vector<std::byte> plain_values(const Int4View<CpuTile>& view) {
  const kernels::Int4Shape& s = view.shape;
  CHECK_EQ(s.cols % 8, 0);
  std::vector<std::byte> out(static_cast<size_t>(int64_t{s.rows} * s.cols / 2));
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t col = 0; col < s.cols; col += 8) {
      unpack_eight(view, row, col, out.data() + (int64_t{row} * s.cols + col) / 2);
    }
  }
  return out;
}

std::vector<std::byte> plain_scales(const Int4View<CpuTile>& view) {
  const kernels::Int4Shape& s = view.shape;
  std::vector<std::byte> out(static_cast<size_t>(int64_t{s.rows} * s.n_groups() * 2));
  std::byte* at = out.data();
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t group = 0; group < s.n_groups(); ++group, at += 2) {
      std::memcpy(at, view.data + CpuTile::scale_of(s, row, group), 2);
    }
  }
  return out;
}

std::vector<std::byte> plain_values(const Int8View<CpuTile>& view) {
  const kernels::Int8Shape& s = view.shape;
  std::vector<std::byte> out(static_cast<size_t>(int64_t{s.rows} * s.cols));
  std::byte* at = out.data();
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t col = 0; col < s.cols; ++col, ++at) {
      const int q = static_cast<int>(view.data[HeadTile::byte_of(s, row, col)]) - HeadTile::kBias;
      *at = static_cast<std::byte>(q);
    }
  }
  return out;
}

std::vector<std::byte> plain_scales(const Int8View<CpuTile>& view) {
  const kernels::Int8Shape& s = view.shape;
  std::vector<std::byte> out(static_cast<size_t>(s.rows) * 4);
  for (int32_t row = 0; row < s.rows; ++row) {
    std::memcpy(out.data() + int64_t{row} * 4, view.data + HeadTile::scale_of(s, row), 4);
  }
  return out;
}

template <class T>
std::span<const std::byte> plain_span(const T* data, const Matrix& m) {
  return std::as_bytes(std::span(data, static_cast<size_t>(int64_t{m.rows} * m.cols)));
}

Result<void> write_matrix(const Matrix& m, const std::filesystem::path& directory) {
  const std::filesystem::path values = directory / (m.name + ".values");
  const std::filesystem::path scales = directory / (m.name + ".scales");
  if (const auto* half = std::get_if<const uint16_t*>(&m.data)) {
    return write_file(values, plain_span(*half, m));
  }
  if (const auto* floats = std::get_if<const float*>(&m.data)) {
    return write_file(values, plain_span(*floats, m));
  }
  const auto write_both = [&](const auto& view) -> Result<void> {
    TRY(write_file(values, plain_values(view)));
    return write_file(scales, plain_scales(view));
  };
  if (const auto* int4 = std::get_if<Int4View<CpuTile>>(&m.data)) return write_both(*int4);
  return write_both(std::get<Int8View<CpuTile>>(m.data));
}

std::vector<Matrix> matrices_of(const PackedWeights& w) {
  std::vector<Matrix> all;
  const int32_t hidden = w.config.hidden;
  const auto add_int4 = [&](std::string name, const Int4View<CpuTile>& view) {
    CHECK(!view.shape.has_zeros);  // synthetic weights have none
    all.push_back({std::move(name), "int4", view.shape.rows, view.shape.cols, view});
  };
  // The large ones first: they are shared out in this order.
  all.push_back({"embedding", "half", w.config.vocab, hidden, w.embedding});
  all.push_back({"head", "int8", w.config.vocab, hidden, w.head_int8});
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const engine::LayerWeights<CpuTile>& layer = w.layers[i];
    add_int4(fmt::format("layers.{}.gate_up", i), layer.gate_up);
    add_int4(fmt::format("layers.{}.down", i), layer.down);
    add_int4(fmt::format("layers.{}.qkv", i), layer.qkv);
    add_int4(fmt::format("layers.{}.out", i), layer.out);
    all.push_back({fmt::format("layers.{}.input_norm", i), "float", 1, hidden, layer.input_norm});
    all.push_back({fmt::format("layers.{}.post_norm", i), "float", 1, hidden, layer.post_norm});
  }
  all.push_back({"final_norm", "float", 1, hidden, w.final_norm});
  return all;
}

json entry_of(const Matrix& m) {
  json entry = {{"name", m.name},
                {"kind", m.kind},
                {"rows", m.rows},
                {"cols", m.cols},
                {"values", m.name + ".values"}};
  if (m.kind == "int4") entry["group"] = std::get<Int4View<CpuTile>>(m.data).shape.group;
  if (m.kind == "int4" || m.kind == "int8") entry["scales"] = m.name + ".scales";
  return entry;
}

// Queries and keys of random weights are of size one: every position looks at all others alike, the
// average is small, and what attention does wrong is lost in it. With scores of deviation 2.5 a few
// positions count, as in a trained model.
void sharpen_attention(const PackedWeights& weights) {
  constexpr float kGain = 1.6F;  // of queries and of keys: its square is the scores'
  const engine::ModelConfig& c = weights.config;
  for (const engine::LayerWeights<CpuTile>& layer : weights.layers) {
    const kernels::Int4Shape& s = layer.qkv.shape;
    auto* data = const_cast<std::byte*>(layer.qkv.data);  // made just now, and not yet shared
    for (int32_t row = 0; row < (c.n_heads + c.n_kv_heads) * c.head_dim; ++row) {
      for (int32_t group = 0; group < s.n_groups(); ++group) {
        uint16_t scale = 0;
        std::memcpy(&scale, data + CpuTile::scale_of(s, row, group), sizeof(scale));
        scale = kernels::float_to_half(kGain * kernels::half_to_float(scale));
        std::memcpy(data + CpuTile::scale_of(s, row, group), &scale, sizeof(scale));
      }
    }
  }
}

// Norm weights and what they stand beside.
struct Storage {
  std::shared_ptr<const void> matrices;
  std::vector<float> norms;
};

}  // namespace

Result<PackedWeights> make_weights(const engine::ModelConfig& config, uint64_t seed) {
  ASSIGN_OR_RETURN(PackedWeights weights,
                   engine::synthetic_weights(config, engine::HeadFormat::kInt8, seed,
                                             kernels::physical_cores_available()));
  sharpen_attention(weights);
  const auto hidden = static_cast<size_t>(config.hidden);
  auto storage = std::make_shared<Storage>();
  storage->matrices = weights.storage;
  storage->norms.resize((2 * weights.layers.size() + 1) * hidden);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> around_one(0.6F, 1.4F);
  for (float& value : storage->norms) value = around_one(random);
  const float* next = storage->norms.data();
  for (auto& layer : weights.layers) {
    layer.input_norm = std::exchange(next, next + hidden);
    layer.post_norm = std::exchange(next, next + hidden);
  }
  weights.final_norm = next;
  weights.storage = std::move(storage);
  return weights;
}

Result<json> write_plain_weights(const PackedWeights& weights,
                                 const std::filesystem::path& directory) {
  const std::vector<Matrix> matrices = matrices_of(weights);
  std::vector<Result<void>> results(matrices.size());
  kernels::ThreadPool pool(0);
  pool.parallel_for(static_cast<int64_t>(matrices.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      results[i] = write_matrix(matrices[i], directory);
    }
  });
  json list = json::array();
  for (size_t i = 0; i < matrices.size(); ++i) {
    if (!results[i].ok()) return results[i].error();
    list.push_back(entry_of(matrices[i]));
  }
  return list;
}

json config_json(const engine::ModelConfig& c) {
  json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"hidden_size", c.hidden},
                 {"intermediate_size", c.ffn},
                 {"num_hidden_layers", c.n_layers},
                 {"num_attention_heads", c.n_heads},
                 {"num_key_value_heads", c.n_kv_heads},
                 {"head_dim", c.head_dim},
                 {"vocab_size", c.vocab},
                 {"max_position_embeddings", c.max_positions},
                 {"rms_norm_eps", std::stod(fmt::format("{}", c.norm_eps))},
                 {"rope_theta", c.rope_theta},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", false}};
  if (c.rope_scaling) {
    config["rope_scaling"] = {
        {"rope_type", engine::name_of(c.rope_scaling->type)},
        {"factor", c.rope_scaling->factor},
        {"low_freq_factor", c.rope_scaling->low_freq_factor},
        {"high_freq_factor", c.rope_scaling->high_freq_factor},
        {"original_max_position_embeddings", c.rope_scaling->original_max_positions},
        {"beta_fast", c.rope_scaling->beta_fast},
        {"beta_slow", c.rope_scaling->beta_slow}};
  }
  return config;
}

}  // namespace incipit::oracle
