#include "engine/quantize/model_quantizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <utility>

#include "engine/base/log.h"
#include "engine/quantize/quality_meter.h"
#include "engine/weights/float_tensor.h"
#include "engine/weights/round_to_nearest.h"
#include "kernels/common/check.h"
#include "kernels/common/half.h"
#include "kernels/common/math.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {

using kernels::CpuTile;

struct ModelQuantizer::Streams {
  // The calibration and the quantised side read the embedding as it is packed.
  Streams(const HiddenStream::Embed& row, const HiddenStream::Embed& packed_row, ModelQuantizer& q)
      : calibration(q.config_, q.inputs_.calibration, packed_row, scratch, q.pool_),
        full(q.config_, q.inputs_.held_out, row, scratch, q.pool_),
        quantised(q.config_, q.inputs_.held_out, packed_row, scratch, q.pool_) {}

  StreamScratch scratch;
  HiddenStream calibration, full, quantised;
  // Outputs of the first held-out sequences, before and after rounding; as large as the largest.
  std::vector<float> before, after;
};

namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr int64_t kProbeSequences = 4;  // that a section's output error is measured on
constexpr int32_t kHeadRows = 2048;     // of the head in float at a time
constexpr int64_t kRun = 1 << 16;       // values that one thread adds up, or looks at

// |a - b| / |a|. Sums of runs are added in their order, whatever the number of threads.
double relative_distance(std::span<const float> a, std::span<const float> b,
                         kernels::ThreadPool& pool) {
  struct Sums {
    double difference = 0, size = 0;
  };
  const auto n = static_cast<int64_t>(a.size());
  std::vector<Sums> runs(static_cast<size_t>(kernels::ceil_div(n, kRun)));
  pool.parallel_for(static_cast<int64_t>(runs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      Sums& sums = runs[static_cast<size_t>(run)];
      for (auto i = static_cast<size_t>(run * kRun);
           i < std::min<size_t>(a.size(), (run + 1) * kRun); ++i) {
        sums.difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
        sums.size += double{a[i]} * a[i];
      }
    }
  });
  Sums all;
  for (const Sums& run : runs) {
    all.difference += run.difference;
    all.size += run.size;
  }
  return all.size > 0 ? std::sqrt(all.difference / all.size) : 0;
}

// The first element that is no finite number; n where all are.
int64_t first_not_finite(const float* values, int64_t n, kernels::ThreadPool& pool) {
  std::atomic<int64_t> first{n};
  pool.parallel_for(n, kRun, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    while (i < end && std::isfinite(values[i])) ++i;
    if (i == end) return;
    int64_t known = first.load();
    while (i < known && !first.compare_exchange_weak(known, i)) {
    }
  });
  return first.load();
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
    if (const int64_t i = first_not_finite(out, rows * cols, pool); i < rows * cols) {
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

QuantizeMemory quantize_memory(const ModelConfig& c, const QuantizeInputs& inputs,
                               SolverPlace place) {
  const int64_t held_out = static_cast<int64_t>(inputs.held_out.tokens.size());
  const int64_t tokens = static_cast<int64_t>(inputs.calibration.tokens.size()) + 2 * held_out;
  const int64_t kept = std::max(c.attention_dim(), c.ffn);
  const bool gptq = !inputs.calibration.tokens.empty();
  const bool on_device = place == SolverPlace::kCuda;
  const int32_t group = gptq ? kGptqGroup : kRoundedGroup;
  const std::array<kernels::Int4Shape, 4> sections = {{{c.qkv_rows(), c.hidden, group},
                                                       {c.hidden, c.attention_dim(), group},
                                                       {2 * c.ffn, c.hidden, group},
                                                       {c.hidden, c.ffn, group}}};
  int64_t largest = 0, rows = 0, cols = 0;
  for (const kernels::Int4Shape& s : sections) {
    const int64_t n = int64_t{s.rows} * s.cols, square = int64_t{s.cols} * s.cols;
    // Weights, what moved of them, integers; the inputs' products and their factor. Of those of a
    // device the host has the weights before and the integers after, not at the same time.
    const int64_t bytes = on_device ? 4 * n : n * (gptq ? 9 : 5) + (gptq ? 8 * square : 0);
    largest = std::max(largest, bytes);
    rows = std::max<int64_t>(rows, s.rows);
    cols = std::max<int64_t>(cols, s.cols);
  }
  // One sequence's inputs and outputs, and the outputs that are compared.
  const int64_t compared = 2 * std::min<int64_t>(kProbeSequences, inputs.held_out.n_sequences());
  const int64_t length = std::max(inputs.held_out.length, inputs.calibration.length);
  const int64_t scratch = 4 * length * (cols + (compared + 1) * rows + c.attention_dim());
  // Two slices of the head, their logits, the hidden states before it; the packed head.
  const int64_t head = 2 * 4 * (int64_t{kHeadRows} * c.hidden + held_out * (kHeadRows + c.hidden)) +
                       int64_t{c.vocab} * c.hidden;
  // The packed head, and beside it its numbers in fp16 or, as one section is written while the next
  // is made, the packed embedding.
  const int64_t embedding = 3 * int64_t{c.vocab} * c.hidden;
  QuantizeMemory memory;
  memory.host_bytes = tokens * (4 * c.hidden + 2 * kept) + scratch +
                      std::max({largest, head, embedding}) + (on_device ? kCudaSliceBytes : 0);
  if (on_device) memory.device_bytes = cuda_solver_bytes(sections, gptq);
  return memory;
}

ModelQuantizer::ModelQuantizer(const ModelConfig& config, const WeightSource& source,
                               const QuantizeInputs& inputs, SectionSolver& solver,
                               kernels::ThreadPool& pool, const PackProgress& progress,
                               const CancelToken& cancel)
    : config_(config),
      source_(source),
      inputs_(inputs),
      solver_(solver, times_),
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
  streams_ = std::make_unique<Streams>(row, packed_row, *this);
  return {};
}

Result<void> ModelQuantizer::operator()(size_t section_idx, int64_t offset,
                                        std::span<std::byte> out) {
  CHECK_EQ(offset, 0);
  const WeightSection& section = source_.wanted(section_idx);
  section_ = section.name;
  if (!streams_) TRY(prepare());
  if (section.kind == WeightKind::kInt4) return quantise(section_idx, out);
  section_bytes_ = 0;
  TRY(tick());
  {
    const AddSeconds clock(times_.reading_s);
    TRY(source_.fill(section_idx, 0, out, pool_, conversion_));
  }
  if (section.kind == WeightKind::kFloat) {
    const auto* const values = reinterpret_cast<const float*>(out.data());
    norm_.assign(values, values + section.rows);
  }
  if (section.role == WeightRole::kHead && measures()) TRY(measure_head(section, out));
  for (const WeightPart& part : section.parts) source_.checkpoint().release(part.tensor);
  return {};
}

Result<std::span<const float>> ModelQuantizer::probe(WeightRole role, std::vector<float>& outputs) {
  const HiddenStream& stream = streams_->quantised;
  const int64_t rows = role == WeightRole::kQkv      ? config_.qkv_rows()
                       : role == WeightRole::kGateUp ? 2 * config_.ffn
                                                     : config_.hidden;
  const int64_t n_sequences = std::min(kProbeSequences, stream.n_sequences());
  const int64_t a_sequence = stream.length() * rows;
  const auto n = static_cast<size_t>(n_sequences * a_sequence);
  if (outputs.size() < n) outputs.resize(n);
  for (int64_t i = 0; i < n_sequences; ++i) {
    stream.inputs(role, norm_, i, streams_->scratch.x);
    TRY(solver_.multiply(streams_->scratch.x.data(), stream.length(),
                         outputs.data() + i * a_sequence));
  }
  return std::span<const float>(outputs).first(n);
}

Result<kernels::Int4Matrix> ModelQuantizer::round_by_gptq(const WeightSection& section,
                                                          SectionLoss& loss) {
  const HiddenStream& stream = streams_->calibration;
  std::vector<float>& x = streams_->scratch.x;
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

Result<void> ModelQuantizer::begin_section(const Int4Plan& plan) {
  std::vector<float> weights;
  {
    const AddSeconds clock(times_.reading_s);
    ASSIGN_OR_RETURN(weights, read_section(plan, source_.checkpoint(), pool_));
  }
  return solver_.begin(plan.shape, std::move(weights));
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
  TRY(begin_section(plan));
  TRY(streams.full.advance(section.role, norm_, solver_, step));
  ASSIGN_OR_RETURN(const auto before, probe(section.role, streams.before));
  if (calibrates()) {
    ASSIGN_OR_RETURN(const kernels::Int4Matrix matrix, round_by_gptq(section, loss));
    const AddSeconds clock(times_.packing_s);
    kernels::pack<CpuTile>(matrix, out, &pool_);
    conversion_.n_linears += static_cast<int32_t>(plan.parts.size());
  } else {
    {
      const AddSeconds clock(times_.packing_s);
      TRY(source_.fill(section_idx, 0, out, pool_, conversion_));
    }
    TRY(solver_.replace(kernels::unpack<CpuTile>({out.data(), plan.shape})));
  }
  ASSIGN_OR_RETURN(const auto after, probe(section.role, streams.after));
  loss.output_error = relative_distance(before, after, pool_);
  report_.sections.push_back(std::move(loss));
  TRY(streams.calibration.advance(section.role, norm_, solver_, step));
  TRY(streams.quantised.advance(section.role, norm_, solver_, step));
  if (section.role == WeightRole::kDown) compare_layers();
  for (const Int4Part& part : plan.parts) source_.checkpoint().release(tensor_of(part.linear).name);
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
  report_.layers.push_back({relative_distance(all(full), all(streams_->quantised), pool_)});
}

// logits [tokens, n_rows] = x [tokens, hidden] of these rows of a head.
Result<void> ModelQuantizer::head_product(std::vector<float> rows, int32_t n_rows,
                                          const std::vector<float>& x, std::vector<float>& logits) {
  const auto n_tokens = static_cast<int64_t>(x.size()) / config_.hidden;
  logits.resize(static_cast<size_t>(n_tokens * n_rows));
  TRY(solver_.begin({n_rows, config_.hidden, kGptqGroup}, std::move(rows)));
  return solver_.multiply(x.data(), n_tokens, logits.data());
}

Result<void> ModelQuantizer::measure_head(const WeightSection& section,
                                          std::span<const std::byte> packed) {
  CHECK(section.kind == WeightKind::kInt8);
  const int32_t hidden = config_.hidden;
  std::vector<float> full, quantised;  // [tokens, hidden] after the last norm
  std::vector<TokenId> next;
  const int32_t length = streams_->full.length();
  const auto append = [&](const HiddenStream& stream, int64_t sequence, std::vector<float>& to) {
    std::vector<float>& x = streams_->scratch.x;
    // Any section that begins with a norm: the final one was filled last.
    stream.inputs(WeightRole::kQkv, norm_, sequence, x);
    to.insert(to.end(), x.begin(), x.begin() + int64_t{length} * hidden);
  };
  for (int64_t i = 0; i < streams_->full.n_sequences(); ++i) {
    append(streams_->full, i, full);
    append(streams_->quantised, i, quantised);
    const auto first = inputs_.held_out.tokens.begin() + i * length;
    next.insert(next.end(), first + 1, first + length);
    next.push_back(-1);
  }
  const Tensor& table = *source_.checkpoint().find(section.parts[0].tensor);
  const kernels::Int8View<CpuTile> view{packed.data(), {section.rows, section.cols}};
  QualityMeter meter(next, pool_);
  std::vector<float> full_logits, quantised_logits;
  for (int32_t first = 0; first < section.rows; first += kHeadRows) {
    TRY(tick());
    const int32_t n = std::min(kHeadRows, section.rows - first);
    std::vector<float> rows(static_cast<size_t>(int64_t{n} * hidden));
    read_table(table, first, n, hidden, rows.data(), pool_);
    TRY(head_product(std::move(rows), n, full, full_logits));
    rows = std::vector<float>(static_cast<size_t>(int64_t{n} * hidden));
    pool_.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * hidden; i < end * hidden; ++i) {
        rows[static_cast<size_t>(i)] = kernels::weight_at(
            view, first + static_cast<int32_t>(i / hidden), static_cast<int32_t>(i % hidden));
      }
    });
    TRY(head_product(std::move(rows), n, quantised, quantised_logits));
    const AddSeconds clock(times_.comparing_s);
    meter.add_logits(first, n, full_logits.data(), quantised_logits.data());
  }
  report_.quality = meter.result();
  return {};
}

}  // namespace incipit::engine
