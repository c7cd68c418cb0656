// How far rounding takes a model's numbers, measured: the model runs as it is and again with
// random errors of the size of the rounding, put on every value that is rounded
// (noisy_backend.h). So an error is carried on as this model carries it on: through softmaxes that
// are sharp or flat, in keys that many rows share, along the directions that the layers stretch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/model/model.h"
#include "engine/weights/weights.h"
#include "tests/support/model_run.h"

namespace incipit::test {

// The size of a rounding error, root mean square: of each number (floating point), and of the
// largest of the numbers that share a scale (integers).
struct RoundingError {
  double relative = 0;
  double of_largest = 0;
};

// Where an arithmetic rounds, and by how much.
struct Rounding {
  RoundingError product_rows = {};  // rows that a product reads, in the groups of its weights; with
                                    // the errors of the weights where these are rounded too
  RoundingError queries = {};
  RoundingError pages = {};  // a head's key or value, as it is written
  double softmax = 0;        // its weights, relative
  RoundingError head_rows = {};
};

// Of a run's numbers: root mean square over the draws.
struct Deviations {
  std::vector<std::vector<double>> stages;  // [n_layers + 2][n_rows], length of the row's error
  std::vector<std::vector<double>> logits;  // [n_rows][vocab], as in ModelRun
};

class NoisyBackend;

class RoundingDeviations {
 public:
  RoundingDeviations(const engine::Weights<kernels::CpuTile>& weights, int32_t n_draws);

  // Logits of the rows from `first_row` on.
  Deviations of(const std::vector<engine::TokenId>& tokens, const Rounding& rounding,
                size_t first_row);

 private:
  int32_t n_draws_;
  std::unique_ptr<engine::Model> model_;
  NoisyBackend* noise_ = nullptr;  // the model's
};

}  // namespace incipit::test
