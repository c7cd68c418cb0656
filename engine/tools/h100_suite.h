// `incipit bench --suite h100`: every figure by which the CUDA engine is judged, measured on this
// device, beside what its measured bandwidth and arithmetic allow, what is asked of it on an H100,
// and what llama.cpp reached there. Random INT4 weights of a known shape. Blocks for two to three
// minutes; called by one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "engine/config/engine_options.h"
#include "engine/tools/engine_bench.h"

namespace incipit::engine {

struct H100SuiteOptions {
  EngineOptions engine;                  // device, threads
  std::string synthetic = "llama-3-8b";  // the figures asked for are of this shape
  std::string work_dir;                  // for the packed file; empty: $TMPDIR or /tmp
  int32_t shrink = 1;                    // tests: lengths and runs are divided by it
};

struct H100Row {
  std::string name;
  double value = 0;
  std::string unit;  // "tok/s", "ms", "x", "GB", "s", "us"
  bool higher_is_better = true;
  // In the same unit. What the measured bandwidth and arithmetic allow:
  std::optional<double> floor;
  std::optional<double> peer;  // llama.cpp on an H100, Q4_0, the same shape
  std::optional<double> must;
  std::optional<double> aim;
  std::string note;

  std::optional<double> fraction() const;  // of the floor
  std::optional<bool> met() const;         // what must be
};

struct H100Report {
  std::string model;
  std::string device;
  double read_bytes_per_s = 0;  // 0: not measured
  double copy_bytes_per_s = 0;  // bytes read and written both count
  double tensor_flops_per_s = 0;
  std::vector<H100Row> rows;
};

// `cancel` is looked at between two figures.
Result<H100Report> run_h100_suite(const H100SuiteOptions& options,
                                  const BenchProgress& progress = {},
                                  const CancelToken& cancel = {});

}  // namespace incipit::engine
