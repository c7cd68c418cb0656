#include "engine/tools/h100_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include "engine/config/device_defaults.h"
#include "engine/kv/page_table.h"
#include "engine/model/create_model.h"
#include "engine/model/cuda_device.h"
#include "engine/model/cuda_step_gate.h"
#include "engine/schedule/scheduler.h"
#include "engine/tools/bench_driver.h"
#include "engine/tools/h100_figures.h"
#include "engine/tools/h100_floors.h"
#include "engine/tools/synthetic_file.h"

namespace incipit::engine {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int32_t kContext = 16384;
constexpr int32_t kSequences = 8;
constexpr int32_t kStepContext = 2048;  // of the steps of several rows
constexpr const char* kJudgedShape = "llama-3-8b";

// What is asked of a figure, and what llama.cpp (build 10558, Q4_0, flash attention, CUDA graphs)
// reached with weights of the same shape on an H100 that reads 3,125 GB/s.
struct Target {
  std::optional<double> peer;
  std::optional<double> must;
  std::optional<double> aim;
};
constexpr std::optional<double> kNone;

H100Row time(std::string name, double value, const char* unit, const Target& target) {
  H100Row row;
  row.name = std::move(name);
  row.value = value;
  row.unit = unit;
  row.higher_is_better = false;
  row.peer = target.peer;
  row.must = target.must;
  row.aim = target.aim;
  return row;
}

H100Row rate(std::string name, double seconds, double count, const Target& target) {
  H100Row row = time(std::move(name), count / seconds, "tok/s", target);
  row.higher_is_better = true;
  return row;
}

std::string tokens_text(int32_t n) {
  return n < 1000 ? fmt::format("{}", n) : fmt::format("{},{:03}", n / 1000, n % 1000);
}

// The device of the suite and what is taken on it.
struct Device {
  bool is_cuda = false;
  int32_t index = 0;
  MemoryBudget memory;
  kernels::KvType kv_type = kernels::KvType::kF16;
};

Result<Device> choose_device(const EngineOptions& options) {
  ASSIGN_OR_RETURN(const DeviceWish wish, parse_device(options.device));
  Device device;
  device.is_cuda = wish.kind != DeviceWish::Kind::kCpu;
  device.index = wish.cuda_index;
  ASSIGN_OR_RETURN(device.memory, parse_memory_budget(options.gpu_memory));
  ASSIGN_OR_RETURN(device.kv_type, choose_kv_type(options));
  return device;
}

// Everything that the figures need; measures one after the other and adds a row for each.
class Suite {
 public:
  Suite(const H100SuiteOptions& options, const ModelConfig& config, const Device& device,
        const BenchProgress& say, const CancelToken& cancel)
      : options_(options),
        config_(config),
        device_(device),
        say_(say),
        cancel_(cancel),
        scale_{options.shrink},
        kv_type_(device.kv_type),
        floors_(config, 0, 0) {}

  Result<H100Report> run() {
    report_.model = options_.synthetic + " (random INT4 weights, INT8 head)";
    TRY(stage(0, "making random weights and a file of them"));
    ASSIGN_OR_RETURN(std::unique_ptr<Model> model, start());
    report_.device = model->device_name();
    TRY(stage(0.2, "measuring the device"));
    TRY(measure_peaks());
    TRY(stage(0.25, "steps of several rows"));
    measure_steps(*model);
    TRY(measure_requests(std::move(model)));
    TRY(measure_int8());
    say_(1, "done");
    sort_rows();
    return std::move(report_);
  }

 private:
  enum Place { kDecode, kSteps, kCached, kCold, kOutput, kStart };

  Result<void> stage(double fraction, const char* what) {
    if (cancel_.cancelled()) return Error{ErrorCode::kCancelled, "the bench was cancelled"};
    say_(fraction, what);
    return {};
  }

  void add(Place place, H100Row row, std::optional<double> floor) {
    if (floors_.known()) row.floor = floor;
    if (options_.synthetic != kJudgedShape || options_.shrink > 1)
      row.peer = row.must = row.aim = std::nullopt;
    rows_.emplace_back(place, std::move(row));
  }

  // Rows in the order of the table in which the figures were asked for.
  void sort_rows() {
    std::ranges::stable_sort(rows_, {}, &std::pair<Place, H100Row>::first);
    for (auto& [place, row] : rows_) report_.rows.push_back(std::move(row));
  }

  // Of the model. Room for the figures that are not shrunk: a step of 64 rows.
  int32_t context() const { return std::max(512, scale_.tokens(kContext)); }

  // The first model is gone when it returns.
  Result<void> measure_requests(std::unique_ptr<Model> model) {
    BenchDriver driver(std::move(model), scheduling_);
    LoopFigures loop(driver);
    TRY(stage(0.3, "decoding"));
    TRY(measure_decode(loop));
    TRY(stage(0.5, "cached first tokens"));
    TRY(measure_cached(loop));
    TRY(stage(0.6, "cold prompts"));
    TRY(measure_cold(loop));
    TRY(stage(0.7, "prompts and outputs"));
    return measure_outputs(loop);
  }

  Result<std::unique_ptr<Model>> start();
  Result<std::unique_ptr<Model>> create(const Weights<kernels::CpuTile>& weights);
  Result<void> measure_peaks();
  void add_memory(int64_t bytes_in_use);
  Result<void> measure_int8();
  void measure_steps(Model& model);
  Result<void> measure_decode(LoopFigures& loop);
  Result<void> measure_cached(LoopFigures& loop);
  Result<void> measure_cold(LoopFigures& loop);
  Result<void> measure_cancelled(LoopFigures& loop);
  Result<void> measure_outputs(LoopFigures& loop);

  const H100SuiteOptions& options_;
  const ModelConfig& config_;
  const Device& device_;
  const BenchProgress& say_;
  const CancelToken& cancel_;
  SuiteScale scale_;
  kernels::KvType kv_type_;  // of the model that is being measured
  Floors floors_;
  std::optional<SyntheticFile> file_;
  SchedulerOptions scheduling_;
  std::unique_ptr<StepGate> gate_;  // of the model's steps, while it is used
  double device_step_s_ = 0;        // of decoding at a short context
  int64_t bytes_in_use_ = 0;
  double ready_s_ = 0;
  H100Report report_;
  std::vector<std::pair<Place, H100Row>> rows_;
};

// One whole context of KV pages and no more: the figure of the memory is that of such a model, and
// all other figures run in it.
Result<std::unique_ptr<Model>> Suite::create(const Weights<kernels::CpuTile>& weights) {
  const DeviceDefaults& defaults = device_.is_cuda ? kCudaDefaults : kCpuDefaults;
  const EngineOptions& engine = options_.engine;
  const int32_t n_tokens = context();
  scheduling_ = {
      .context_tokens = n_tokens,
      .max_batch = kSequences,
      .prefill_chunk = engine.prefill_chunk > 0 ? engine.prefill_chunk : defaults.prefill_chunk,
      .flat_rows = defaults.flat_rows,
      .large_step_rows = defaults.large_step_rows};
  const ModelLimits limits = {.n_pages = pages_for(n_tokens),
                              .context_tokens = n_tokens,
                              .max_rows = kSequences + scheduling_.prefill_chunk,
                              .max_sequences = kSequences,
                              .kv_type = kv_type_};
  if (!device_.is_cuda) return create_cpu_model(weights, limits, {engine.n_threads, engine.isa});
  const CudaOptions cuda = {.device = device_.index,
                            .memory = device_.memory,
                            .n_threads = engine.n_threads,
                            .before_step = [this](void* stream) {
                              if (gate_) gate_->before_step(stream);
                            }};
  return create_cuda_model(weights, limits, cuda);
}

// The first use of the device in this process: its start is part of the figure.
Result<std::unique_ptr<Model>> Suite::start() {
  const std::filesystem::path directory = options_.work_dir.empty()
                                              ? std::filesystem::temp_directory_path()
                                              : std::filesystem::path(options_.work_dir);
  ASSIGN_OR_RETURN(SyntheticFile file,
                   SyntheticFile::write(config_, directory, options_.engine.n_threads));
  file_.emplace(std::move(file));
  TRY(stage(0.15, "from the packed file to a model that is ready"));
  const Clock::time_point begin = Clock::now();
  ASSIGN_OR_RETURN(const auto weights, file_->map());
  ASSIGN_OR_RETURN(auto model, create(weights));
  ready_s_ = std::chrono::duration<double>(Clock::now() - begin).count();
  if (device_.is_cuda) bytes_in_use_ = cuda_bytes_in_use(device_.index);
  return model;
}

Result<void> Suite::measure_peaks() {
  if (device_.is_cuda) {
    ASSIGN_OR_RETURN(const CudaPeaks peaks, measure_cuda_peaks(device_.index));
    report_.read_bytes_per_s = peaks.read_bytes_per_s;
    report_.copy_bytes_per_s = peaks.copy_bytes_per_s;
    report_.tensor_flops_per_s = peaks.tensor_flops_per_s;
    floors_ = Floors(config_, peaks.read_bytes_per_s, peaks.tensor_flops_per_s, kv_type_);
    add_memory(bytes_in_use_);
  }
  H100Row ready = time("packed file to ready", ready_s_, "s", {kNone, 1.5, 0.8});
  ready.note = "page cache warm; the driver's start and recorded steps are in it";
  add(kStart, std::move(ready), std::nullopt);
  return {};
}

void Suite::add_memory(int64_t bytes_in_use) {
  const bool is_int8 = kv_type_ == kernels::KvType::kInt8;
  const double least = floors_.weight_bytes() + floors_.kv_bytes(context());
  const Target target = is_int8 ? Target{kNone, 6.0, 5.8} : Target{kNone, 7.0, 6.8};
  H100Row memory = time(fmt::format("device memory, {} tokens{}", tokens_text(context()),
                                    is_int8 ? ", INT8 KV" : " of context"),
                        static_cast<double>(bytes_in_use) / 1e9, "GB", target);
  memory.note = fmt::format("all of the device's memory in use; floor: weights, {} keys and values",
                            is_int8 ? "INT8" : "fp16");
  add(kStart, std::move(memory), least / 1e9);
}

// A second model with INT8 keys and values, when the first one is gone: of all device memory that
// is in use then, some is the driver's from before.
Result<void> Suite::measure_int8() {
  if (!device_.is_cuda || kv_type_ == kernels::KvType::kInt8) return {};
  TRY(stage(0.9, "INT8 keys and values"));
  kv_type_ = kernels::KvType::kInt8;
  floors_ = Floors(config_, report_.read_bytes_per_s, report_.tensor_flops_per_s, kv_type_);
  ASSIGN_OR_RETURN(const auto weights, file_->map());
  ASSIGN_OR_RETURN(auto model, create(weights));
  add_memory(cuda_bytes_in_use(device_.index));
  BenchDriver driver(std::move(model), scheduling_);
  LoopFigures loop(driver);
  const int32_t prompt = scale_.tokens(16240);
  const int32_t output = scale_.tokens(128);
  ASSIGN_OR_RETURN(const double step, loop.decode(prompt, output, scale_.runs(7)));
  add(kDecode, rate("decode, context 16,384, INT8 KV", step, 1, {}),
      1 / floors_.step_s(prompt + output / 2.0));
  return {};
}

void Suite::measure_steps(Model& model) {
  const int32_t context = scale_.tokens(kStepContext);
  const StepTimes steps = time_steps(model, context, {1, 8, 16, 32, 64}, scale_.runs(60));
  const Target targets[] = {
      {}, {1.79, 1.1, 1.05}, {2.31, 1.15, kNone}, {2.67, 1.25, kNone}, {kNone, 1.45, 1.25}};
  add(kSteps,
      time(fmt::format("step of 1 row at {}", tokens_text(context)), steps.step_s[0] * 1e3, "ms",
           {}),
      floors_.step_s(context) * 1e3);
  for (size_t i = 1; i < steps.n_rows.size(); ++i) {
    H100Row row = time(fmt::format("step of {} rows / of 1", steps.n_rows[i]),
                       steps.step_s[i] / steps.step_s[0], "x", targets[i]);
    row.note = fmt::format("{:.3f} ms", steps.step_s[i] * 1e3);
    add(kSteps, std::move(row), 1.0);
  }
  if (device_.is_cuda) gate_ = make_step_gate(device_.index);
  if (gate_) device_step_s_ = time_on_device(model, *gate_, scale_.tokens(384), scale_.runs(200));
  gate_.reset();
}

Result<void> Suite::measure_decode(LoopFigures& loop) {
  const auto decode = [&](int32_t n_prompt, int32_t n_new, int32_t n_runs, const std::string& name,
                          const Target& target) -> Result<void> {
    const int32_t prompt = scale_.tokens(n_prompt);
    const int32_t output = scale_.tokens(n_new);
    ASSIGN_OR_RETURN(const double step, loop.decode(prompt, output, scale_.runs(n_runs)));
    add(kDecode, rate(name, step, 1, target), 1 / floors_.step_s(prompt + output / 2.0));
    return {};
  };
  TRY(decode(256, 256, 9, "decode, context up to 512", {319, 480, 600}));
  if (device_.is_cuda) {
    H100Row host = time("host time a step, not hidden", (loop.interval_s() - device_step_s_) * 1e6,
                        "us", {kNone, 60, 40});
    host.note = fmt::format("median of {:.1f} us between tokens less {:.1f} us on the device",
                            loop.interval_s() * 1e6, device_step_s_ * 1e6);
    add(kStart, std::move(host), std::nullopt);
  }
  TRY(decode(8128, 128, 7, "decode, context 8,192", {272, 390, 480}));
  TRY(decode(16240, 128, 7, "decode, context 16,384", {kNone, 330, 400}));
  const int32_t n_new = scale_.tokens(256);
  ASSIGN_OR_RETURN(const double step, loop.decode_together(kSequences, n_new, scale_.runs(7)));
  H100Row row = rate(fmt::format("decode, {} sequences together", kSequences), step, kSequences,
                     {1211, 2900, 4000});
  row.note = fmt::format("{:.3f} ms a step", step * 1e3);
  add(kDecode, std::move(row), kSequences / floors_.step_s(kSequences * n_new / 2.0));
  return {};
}

Result<void> Suite::measure_cached(LoopFigures& loop) {
  const struct {
    int32_t n_cached;
    Target p50, p95;
  } figures[] = {{2048, {10.0, 3.3, 2.4}, {11.6, 4.5, kNone}},
                 {7936, {14.5, 3.8, 2.8}, {23.2, 5.0, kNone}}};
  constexpr int32_t kNew = 16;
  for (const auto& figure : figures) {
    const int32_t n_cached = scale_.tokens(figure.n_cached);
    ASSIGN_OR_RETURN(const RequestTimes times, loop.first_token(n_cached, kNew, scale_.runs(200)));
    const std::string name =
        fmt::format("first token, {} cached + {} new", tokens_text(times.n_cached),
                    n_cached + kNew - times.n_cached);
    const double floor = floors_.step_s(n_cached + kNew) * 1e3;
    add(kCached, time(name + ", p50", times.p50_s * 1e3, "ms", figure.p50), floor);
    add(kCached, time(name + ", p95", times.p95_s * 1e3, "ms", figure.p95), floor);
  }
  return {};
}

Result<void> Suite::measure_cold(LoopFigures& loop) {
  const auto prefill = [&](int32_t n_tokens, int32_t n_runs, const Target& target) -> Result<void> {
    const int32_t n = scale_.tokens(n_tokens);
    ASSIGN_OR_RETURN(const OutputTimes times, loop.prompt_and_output(n, 1, scale_.runs(n_runs)));
    H100Row row = rate(fmt::format("cold prefill, {} tokens", tokens_text(n)), times.first_token_s,
                       n, target);
    row.note = fmt::format("{:.1f} ms", times.first_token_s * 1e3);
    add(kCold, std::move(row), n / floors_.prompt_s(0, n));
    return {};
  };
  TRY(prefill(2048, 15, {11390, 26000, 35000}));
  TRY(prefill(8192, 7, {11470, 22000, 35000}));
  const int32_t n_tokens = scale_.tokens(2048);
  const int32_t n_redone = scale_.tokens(512);
  ASSIGN_OR_RETURN(const RequestTimes times,
                   loop.first_token(n_tokens - n_redone, n_redone, scale_.runs(30)));
  H100Row row = time(fmt::format("edit in the middle: {} tokens, {} to redo", tokens_text(n_tokens),
                                 n_tokens - times.n_cached),
                     times.p50_s * 1e3, "ms", {51, 20, 15});
  row.note = fmt::format("p95 {:.2f} ms", times.p95_s * 1e3);
  add(kCold, std::move(row), floors_.prompt_s(n_tokens - n_redone, n_tokens) * 1e3);
  return measure_cancelled(loop);
}

// At most one chunk of a prompt that nobody wants any more: 15 ms.
Result<void> Suite::measure_cancelled(LoopFigures& loop) {
  const int32_t n_tokens = scale_.tokens(8192);
  ASSIGN_OR_RETURN(const std::vector<double> first,
                   loop.first_token_after_cancel(n_tokens, scale_.runs(60)));
  H100Row row =
      time(fmt::format("{} tokens cancelled: next first token, worst", tokens_text(n_tokens)),
           std::ranges::max(first) * 1e3, "ms", {kNone, 15, kNone});
  row.note = fmt::format("p50 {:.2f} ms", quantile(first, 0.5) * 1e3);
  add(kCold, std::move(row), std::nullopt);
  return {};
}

Result<void> Suite::measure_outputs(LoopFigures& loop) {
  const struct {
    int32_t n_prompt, n_new;
    Target first, rest;
  } figures[] = {{512, 256, {51, 25, kNone}, {273, 460, kNone}},
                 {2048, 512, {184, 85, kNone}, {266, 460, kNone}},
                 {1024, 768, {95, 45, kNone}, {265, 460, kNone}}};
  for (const auto& figure : figures) {
    const int32_t prompt = scale_.tokens(figure.n_prompt);
    const int32_t output = scale_.tokens(figure.n_new);
    ASSIGN_OR_RETURN(const OutputTimes times,
                     loop.prompt_and_output(prompt, output, scale_.runs(7)));
    const std::string name =
        fmt::format("prompt {} -> output {}", tokens_text(prompt), tokens_text(output));
    add(kOutput, time(name + ": first token", times.first_token_s * 1e3, "ms", figure.first),
        floors_.prompt_s(0, prompt) * 1e3);
    add(kOutput, rate(name + ": rate", times.step_s, 1, figure.rest),
        1 / floors_.step_s(prompt + output / 2.0));
  }
  return {};
}

}  // namespace

std::optional<double> H100Row::fraction() const {
  if (!floor || *floor <= 0 || value <= 0) return std::nullopt;
  return higher_is_better ? value / *floor : *floor / value;
}

std::optional<bool> H100Row::met() const {
  if (!must) return std::nullopt;
  return higher_is_better ? value >= *must : value <= *must;
}

Result<H100Report> run_h100_suite(const H100SuiteOptions& options, const BenchProgress& progress,
                                  const CancelToken& cancel) {
  const BenchProgress say = [&](double fraction, const std::string& what) {
    if (progress) progress(fraction, what);
  };
  if (options.shrink < 1 || options.shrink > 64)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("shrink: want 1..64, found {}", options.shrink)};
  ASSIGN_OR_RETURN(const ModelConfig config, synthetic_model_config(options.synthetic));
  ASSIGN_OR_RETURN(const Device device, choose_device(options.engine));
  return Suite(options, config, device, say, cancel).run();
}

}  // namespace incipit::engine
