#include "tests/support/rounding_deviations.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/kv/page_table.h"
#include "engine/model/llama.h"
#include "kernels/cpu/isa.h"
#include "tests/support/noisy_backend.h"

namespace incipit::test {

namespace {

// Errors are made larger than the rounding, up to this, and what they do is divided by the same
// factor. The run's own rounding, which differs between two runs once their values do, is then
// small beside them, and they still so small that their effects add up.
constexpr double kLargestError = 0x1p-9;

double amplification_of(const Rounding& r) {
  double largest = r.softmax;
  for (const RoundingError& e : {r.product_rows, r.queries, r.pages, r.head_rows})
    largest = std::max({largest, e.relative, e.of_largest});
  return std::max(1.0, kLargestError / largest);
}

double square(double v) {
  return v * v;
}

Deviations zeros_like(const engine::ModelRun& run, size_t hidden) {
  Deviations out;
  for (const auto& stage : run.stages) out.stages.emplace_back(stage.size() / hidden, 0.0);
  for (const auto& row : run.logits) out.logits.emplace_back(row.size(), 0.0);
  return out;
}

void add_squares(const engine::ModelRun& exact, const engine::ModelRun& noisy, size_t hidden,
                 Deviations& sums) {
  for (size_t stage = 0; stage < exact.stages.size(); ++stage)
    for (size_t i = 0; i < exact.stages[stage].size(); ++i)
      sums.stages[stage][i / hidden] +=
          square(double{noisy.stages[stage][i]} - double{exact.stages[stage][i]});
  for (size_t row = 0; row < exact.logits.size(); ++row)
    for (size_t t = 0; t < exact.logits[row].size(); ++t)
      sums.logits[row][t] += square(double{noisy.logits[row][t]} - double{exact.logits[row][t]});
}

}  // namespace

RoundingDeviations::RoundingDeviations(const engine::Weights<kernels::CpuTile>& weights,
                                       int32_t n_draws)
    : n_draws_(n_draws) {
  const int32_t n_pages = engine::pages_for(engine::kContext);
  const engine::StepCapacity capacity = {.max_rows = engine::kContext,
                                         .max_logit_rows = engine::kContext,
                                         .max_sequences = 1,
                                         .max_pages = n_pages};
  auto backend = std::make_unique<NoisyBackend>(kernels::best_isa(), 2, weights.config, capacity);
  noise_ = backend.get();
  model_ = engine::LlamaModel<NoisyBackend>::create(
               std::move(backend), weights, [&] { return Result<int32_t>(n_pages); },
               engine::kContext, capacity)
               .value();
}

Deviations RoundingDeviations::of(const std::vector<engine::TokenId>& tokens,
                                  const Rounding& rounding, size_t first_row) {
  const auto hidden = static_cast<size_t>(model_->config().hidden);
  const double amplification = amplification_of(rounding);
  noise_->set_noise({}, 0, 0);
  const engine::ModelRun exact = engine::run_model(*model_, tokens, first_row);
  Deviations sums = zeros_like(exact, hidden);
  for (int32_t draw = 0; draw < n_draws_; ++draw) {
    noise_->set_noise(rounding, amplification, static_cast<uint64_t>(draw) << 40U);
    add_squares(exact, engine::run_model(*model_, tokens, first_row), hidden, sums);
  }
  for (auto* all : {&sums.stages, &sums.logits})
    for (auto& row : *all)
      for (double& v : row) v = std::sqrt(v / n_draws_) / amplification;
  return sums;
}

}  // namespace incipit::test
