// What a quantisation has cost, as `incipit model add` says and the manifest keeps it. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace incipit::engine {

// Against the full-precision model, on text that was not calibrated with.
struct QuantizeQuality {
  int64_t n_tokens = 0;       // 0: not measured
  double kl_divergence = 0;   // mean over the tokens, of full precision to quantised, in nats
  double top1_agreement = 0;  // 0..1: how often both find the same next token most likely
  double loss_full = 0;       // mean of -log p(next token) of the full-precision model, in nats
  double loss_quantised = 0;  // of the quantised one

  bool operator==(const QuantizeQuality&) const = default;
};

// One section of stacked linears that share their inputs ("layers.3.gate_up").
struct SectionLoss {
  std::string name;
  double output_error = 0;  // |y - y'| / |y| on held-out inputs
  double damping = 0;       // that GPTQ's factorisation took; 0: not GPTQ

  bool operator==(const SectionLoss&) const = default;
};

// The residual stream after a layer: how far the quantised model has come off.
struct LayerLoss {
  double hidden_error = 0;  // |h - h'| / |h| on held-out tokens

  bool operator==(const LayerLoss&) const = default;
};

struct QuantizeReport {
  // "gptq, groups of 128, 128 x 512 tokens of calibration text 0123456789abcdef": equal ones of
  // equal sources give equal weights. Empty: nothing was quantised here.
  std::string recipe;
  QuantizeQuality quality;
  std::vector<SectionLoss> sections;
  std::vector<LayerLoss> layers;

  bool operator==(const QuantizeReport&) const = default;
};

// How long the parts of a walk took, in seconds; what is missing of the whole is attention, norms,
// activations and the file that is written.
struct QuantizeTimes {
  double reading_s = 0;   // the source's weights, as floats
  double products_s = 0;  // of the forward passes, head included
  double hessians_s = 0;  // sums of the inputs' products
  double rounding_s = 0;  // weights to the solver, factors, scales, integers
  double packing_s = 0;
  double comparing_s = 0;  // next-token distributions
};

}  // namespace incipit::engine
