#include "engine/quantize/model_quantizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "engine/base/log.h"
#include "engine/quantize/quality_meter.h"
#include "engine/weights/float_tensor.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {

using kernels::CpuTile;

struct ModelQuantizer::Streams {
  HiddenStream calibration, full, quantised;
};

namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr int64_t kProbeSequences = 4;  // that a section's output error is measured on
constexpr int32_t kHeadRows = 2048;     // of the head in float at a time

double relative_distance(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{a[i]} * a[i];
  }
  return size > 0 ? std::sqrt(difference / size) : 0;
}

// The weights of all parts, [rows, cols].
Result<std::vector<float>> read_section(const Int4Plan& plan, const Checkpoint& checkpoint,
                                        kernels::ThreadPool& pool) {
  const int64_t cols = plan.shape.cols;
  std::vector<float> weights(static_cast<size_t>(plan.shape.rows * cols));
  int64_t first = 0;
  for (const Int4Part& part : plan.parts) {
    const int32_t rows = rows_of(part.linear);
    float* const out = weights.data() + first * cols;
    pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      read_rows(part.linear, static_cast<int32_t>(begin), static_cast<int32_t>(end),
                out + begin * cols);
    });
    for (int64_t i = 0; i < rows * cols; ++i) {
      if (std::isfinite(out[i])) continue;
      const Tensor& tensor = tensor_of(part.linear);
      return Error{ErrorCode::kCorrupt,
                   fmt::format("{}: {}: element [{}, {}]: want a finite number, found none",
                               checkpoint.where(tensor.name), tensor.name, i / cols, i % cols)};
    }
    first += rows;
  }
  return weights;
}

// Rows of a table of numbers.
void read_table(const Tensor& tensor, int64_t first, int64_t n, int64_t cols, float* out,
                kernels::ThreadPool& pool) {
  pool.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    copy_floats(tensor, (first + begin) * cols,
                std::span(out + begin * cols, static_cast<size_t>((end - begin) * cols)));
  });
}

}  // namespace

int64_t quantize_memory_bytes(const ModelConfig& c, const QuantizeInputs& inputs) {
  const int64_t tokens =
      static_cast<int64_t>(inputs.calibration.tokens.size() + 2 * inputs.held_out.tokens.size());
  const int64_t kept = std::max(c.attention_dim(), c.ffn);
  const int64_t streams = tokens * (4 * c.hidden + 2 * kept);
  const bool gptq = !inputs.calibration.tokens.empty();
  int64_t largest = 0;
  const std::array<std::array<int64_t, 2>, 4> sections = {{{c.qkv_rows(), c.hidden},
                                                           {c.hidden, c.attention_dim()},
                                                           {2 * c.ffn, c.hidden},
                                                           {c.hidden, c.ffn}}};
  for (const auto& [rows, cols] : sections) {
    // Weights, what moved of them, integers; the inputs' products and their factor.
    const int64_t bytes = rows * cols * (gptq ? 9 : 5) + (gptq ? 8 * cols * cols : 0);
    largest = std::max(largest, bytes);
  }
  const int64_t head = 2 * int64_t{kHeadRows} * c.hidden * 4 + int64_t{c.vocab} * c.hidden * 2;
  return streams + std::max(largest, head);
}

ModelQuantizer::ModelQuantizer(const ModelConfig& config, const WeightSource& source,
                               const QuantizeInputs& inputs, SectionSolver& solver,
                               kernels::ThreadPool& pool, const PackProgress& progress,
                               const CancelToken& cancel)
    : config_(config),
      source_(source),
      inputs_(inputs),
      solver_(solver),
      pool_(pool),
      progress_(progress),
      cancel_(cancel) {
  for (const PackedSection& section : source.sections()) {
    if (section.kind == WeightKind::kInt4) total_bytes_ += section.bytes;
  }
}

ModelQuantizer::~ModelQuantizer() = default;

Result<void> ModelQuantizer::tick() {
  if (cancel_.cancelled()) return Error{ErrorCode::kCancelled, "quantising was cancelled"};
  if (progress_) {
    const double part = static_cast<double>(n_ticks_) / static_cast<double>(total_ticks_);
    progress_(done_bytes_ + static_cast<int64_t>(part * static_cast<double>(section_bytes_)),
              total_bytes_, section_);
  }
  n_ticks_ = std::min(n_ticks_ + 1, total_ticks_);
  return {};
}

Result<void> ModelQuantizer::prepare() {
  const Tensor& table = *source_.checkpoint().find(kEmbedding);
  const auto row = [&](TokenId token, float* out) {
    copy_floats(table, int64_t{token} * config_.hidden,
                std::span(out, static_cast<size_t>(config_.hidden)));
  };
  const auto packed_row = [&](TokenId token, float* out) {
    row(token, out);
    for (int32_t i = 0; i < config_.hidden; ++i) {
      out[i] = kernels::half_to_float(kernels::float_to_half(out[i]));
    }
  };
  streams_ = std::make_unique<Streams>(
      Streams{HiddenStream(config_, inputs_.calibration, packed_row, pool_),
              HiddenStream(config_, inputs_.held_out, row, pool_),
              HiddenStream(config_, inputs_.held_out, packed_row, pool_)});
  return {};
}

Result<void> ModelQuantizer::operator()(size_t section_idx, std::span<std::byte> out) {
  const WeightSection& section = source_.wanted(section_idx);
  section_ = section.name;
  if (!streams_) TRY(prepare());
  if (section.kind == WeightKind::kInt4) return quantise(section_idx, out);
  section_bytes_ = 0;
  TRY(tick());
  TRY(source_.fill(section_idx, out, pool_, conversion_));
  if (section.kind == WeightKind::kFloat) {
    const auto* const values = reinterpret_cast<const float*>(out.data());
    norm_.assign(values, values + section.rows);
  }
  if (section.role == WeightRole::kHead && measures()) TRY(measure_head(section, out));
  return {};
}

Result<std::vector<float>> ModelQuantizer::probe(WeightRole role) {
  const HiddenStream& stream = streams_->quantised;
  std::vector<float> x, y, all;
  for (int64_t i = 0; i < std::min(kProbeSequences, stream.n_sequences()); ++i) {
    stream.inputs(role, norm_, i, x);
    const int64_t rows = role == WeightRole::kQkv      ? config_.qkv_rows()
                         : role == WeightRole::kGateUp ? 2 * config_.ffn
                                                       : config_.hidden;
    y.resize(static_cast<size_t>(stream.length() * rows));
    TRY(solver_.multiply(x.data(), stream.length(), y.data()));
    all.insert(all.end(), y.begin(), y.end());
  }
  return all;
}

Result<kernels::Int4Matrix> ModelQuantizer::round_by_gptq(const WeightSection& section,
                                                          SectionLoss& loss) {
  const HiddenStream& stream = streams_->calibration;
  std::vector<float> x;
  for (int64_t i = 0; i < stream.n_sequences(); ++i) {
    TRY(tick());
    stream.inputs(section.role, norm_, i, x);
    TRY(solver_.add_inputs(x.data(), stream.length()));
  }
  ASSIGN_OR_RETURN(GptqOutcome outcome, solver_.quantise([&] { return tick(); }));
  loss.damping = outcome.damping;
  if (outcome.damping > kDamping * 1.001) {
    log::warn(
        "quantise: {}: damped by {:.0f} % of the mean instead of {:.0f} %, since the "
        "factorisation failed",
        section.name, 100 * outcome.damping, 100 * kDamping);
  }
  return std::move(outcome.matrix);
}

Result<void> ModelQuantizer::quantise(size_t section_idx, std::span<std::byte> out) {
  const WeightSection& section = source_.wanted(section_idx);
  const Int4Plan& plan = source_.int4_plan(section_idx);
  CHECK(plan.output_order.empty());
  Streams& streams = *streams_;
  section_bytes_ = static_cast<int64_t>(out.size());
  n_ticks_ = 0;
  total_ticks_ = 1 + 2 * (streams.calibration.n_sequences() + streams.full.n_sequences()) +
                 (calibrates() ? plan.shape.cols / 128 : 0);
  const auto step = [&] { return tick(); };

  SectionLoss loss{.name = section.name};
  ASSIGN_OR_RETURN(std::vector<float> weights, read_section(plan, source_.checkpoint(), pool_));
  TRY(solver_.begin(plan.shape, std::move(weights)));
  TRY(streams.full.advance(section.role, norm_, solver_, step));
  ASSIGN_OR_RETURN(const std::vector<float> before, probe(section.role));
  if (calibrates()) {
    ASSIGN_OR_RETURN(const kernels::Int4Matrix matrix, round_by_gptq(section, loss));
    kernels::pack<CpuTile>(matrix, out, &pool_);
    conversion_.n_linears += static_cast<int32_t>(plan.parts.size());
  } else {
    TRY(source_.fill(section_idx, out, pool_, conversion_));
    TRY(solver_.replace(kernels::unpack<CpuTile>({out.data(), plan.shape})));
  }
  ASSIGN_OR_RETURN(const std::vector<float> after, probe(section.role));
  loss.output_error = relative_distance(before, after);
  report_.sections.push_back(std::move(loss));
  TRY(streams.calibration.advance(section.role, norm_, solver_, step));
  TRY(streams.quantised.advance(section.role, norm_, solver_, step));
  if (section.role == WeightRole::kDown) compare_layers();
  done_bytes_ += section_bytes_;
  return {};
}

void ModelQuantizer::compare_layers() {
  if (!measures()) return;
  const HiddenStream& full = streams_->full;
  const auto all = [&](const HiddenStream& stream) {
    return std::span(stream.hidden(0),
                     static_cast<size_t>(stream.n_sequences() * stream.length() * config_.hidden));
  };
  report_.layers.push_back({relative_distance(all(full), all(streams_->quantised))});
}

Result<void> ModelQuantizer::measure_head(const WeightSection& section,
                                          std::span<const std::byte> packed) {
  CHECK(section.kind == WeightKind::kInt8);
  const int32_t hidden = config_.hidden;
  std::vector<float> full, quantised, x;
  std::vector<TokenId> next;
  const int32_t length = streams_->full.length();
  for (int64_t i = 0; i < streams_->full.n_sequences(); ++i) {
    // Any section that begins with a norm: the final one was filled last.
    streams_->full.inputs(WeightRole::kQkv, norm_, i, x);
    full.insert(full.end(), x.begin(), x.end());
    streams_->quantised.inputs(WeightRole::kQkv, norm_, i, x);
    quantised.insert(quantised.end(), x.begin(), x.end());
    const auto first = inputs_.held_out.tokens.begin() + i * length;
    next.insert(next.end(), first + 1, first + length);
    next.push_back(-1);
  }
  const Tensor& table = *source_.checkpoint().find(section.parts[0].tensor);
  const kernels::Int8View<CpuTile> view{packed.data(), {section.rows, section.cols}};
  QualityMeter meter(full, quantised, next, hidden, pool_);
  std::vector<float> full_rows(static_cast<size_t>(int64_t{kHeadRows} * hidden));
  std::vector<float> quantised_rows(full_rows.size());
  for (int32_t first = 0; first < section.rows; first += kHeadRows) {
    TRY(tick());
    const int32_t n = std::min(kHeadRows, section.rows - first);
    read_table(table, first, n, hidden, full_rows.data(), pool_);
    pool_.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * hidden; i < end * hidden; ++i) {
        quantised_rows[static_cast<size_t>(i)] = kernels::weight_at(
            view, first + static_cast<int32_t>(i / hidden), static_cast<int32_t>(i % hidden));
      }
    });
    meter.add_rows(first, n, full_rows.data(), quantised_rows.data());
  }
  report_.quality = meter.result();
  return {};
}

}  // namespace incipit::engine
