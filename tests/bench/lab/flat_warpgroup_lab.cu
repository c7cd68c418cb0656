// Lab of flat products on wgmma (flat_warpgroup.cuh) against those of kernels/cuda: for 8, 16, 32
// and 64 tokens whether the bits are the same, microseconds of each product (32 layers with weights
// of their own, a graph, programmatic dependent launch), and milliseconds of the products of 32
// layers with the best of everything.
//
// Usage: flat_warpgroup_lab, for all, each part in a process of its own, so that one that fails
// does not end the others; or flat_warpgroup_lab PART, with cycles, qkv, out, gate_up, multicast
// (of gate_up), down, or layers and what is to be left out there. LAB_ALL=1 in the environment
// prints every candidate, not only the fastest.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/flat_product.cuh"
#include "tests/bench/lab/flat_warpgroup_check.h"

namespace incipit::kernels::cuda {
namespace {

constexpr int kRepeats = 11;
constexpr int kTokenCounts[] = {8, 16, 32, 64};
constexpr size_t kMostLines = 8;       // of a table
constexpr unsigned kMostSeconds = 60;  // of a part: kernels that wait for each other never end

constexpr FlatEnd end_of(int product) {
  return product == 0 ? FlatEnd::kRopeAppend : product == 2 ? FlatEnd::kGateUp : FlatEnd::kAdd;
}

// Everything that could be; what does not exist or fit is taken out again.
struct Dimensions {
  std::vector<std::pair<int, int>> warpgroups_and_parts;
  std::vector<int> spare_tiles;  // of 4 warpgroups / parts
  std::vector<int> stages;
};
Dimensions dimensions_of(int product) {
  // Parts of 4 groups; one part of 32; parts of 16.
  if (product < 2) return {{{1, 1}, {2, 1}, {4, 1}, {2, 2}, {4, 2}, {4, 4}}, {0}, {4, 2}};
  if (product == 2) return {{{2, 1}, {4, 1}}, {0, 1, 2}, {4, 8, 32}};
  return {{{1, 1}, {2, 1}, {4, 1}}, {0}, {4, 8, 16}};
}

// Another way to multiply or to bring the tokens.
std::vector<WarpgroupShape> variants_of(const WarpgroupShape& shape) {
  std::vector<WarpgroupShape> all(4, shape);
  all[1].steps = 4;
  all[2].math = FlatMath::kMma;
  all[3].multicast = true;
  return all;
}

// With multicast two blocks wait for each other: these have a part of the lab of their own.
enum class Which { kAll, kAlone, kMulticast };

std::vector<WarpgroupShape> candidates_of(const WarpgroupLayers& lab, int product, int tokens,
                                          Which which) {
  const Dimensions dimensions = dimensions_of(product);
  std::vector<WarpgroupShape> all;
  WarpgroupShape shape;
  shape.tokens = tokens;
  for (const auto& [warpgroups, parts] : dimensions.warpgroups_and_parts) {
    shape.warpgroups = warpgroups;
    shape.parts = parts;
    for (const int spare : dimensions.spare_tiles) {
      shape.tiles = 4 * warpgroups / parts - spare;
      for (const int stages : dimensions.stages) {
        shape.stages = stages;
        for (const int ring : {4, 8}) {
          shape.ring = ring;
          for (const WarpgroupShape& s : variants_of(shape)) all.push_back(s);
        }
      }
    }
  }
  const FlatWeights w = flat_weights(lab.view(0, product));
  const auto is_left_out = [&](const WarpgroupShape& s) {
    // Of gate and up 7 of 8 tiles, and 14 of 16, are an even load.
    const bool is_uneven = product == 2 && 4 * s.warpgroups - s.tiles > s.warpgroups / 2;
    // Parts of four groups fill a ring of four; what is compiled for one of eight alone may have
    // it.
    const bool is_waste = product < 2 && s.ring == 8 && s.steps == 2 && s.math != FlatMath::kMma;
    const bool is_of_others = which == (s.multicast ? Which::kAlone : Which::kMulticast);
    return is_uneven || is_waste || is_of_others || !is_possible(end_of(product), w, s);
  };
  std::erase_if(all, is_left_out);
  return all;
}

std::vector<int32_t> rows_to_check(int tokens) {
  if (tokens == 8) return {1, 5, 8};
  return {tokens / 2 + 1, tokens};
}

// What runs now, for those who want to know why it ended.
char g_candidate[128] = "";

void name_candidate(int product, int tokens, const WarpgroupShape& shape) {
  std::snprintf(g_candidate, sizeof(g_candidate), "%s, %d rows, %s\n", kLabProducts[product],
                tokens, name_of(shape).c_str());
}
void end_late(int) {
  constexpr char kText[] = "TOO LONG: ";
  if (write(STDOUT_FILENO, kText, sizeof(kText) - 1) < 0 ||
      write(STDOUT_FILENO, g_candidate, std::strlen(g_candidate)) < 0)
    _exit(4);
  _exit(3);
}

struct Measured {
  WarpgroupShape shape;
  float us = 0;
  Difference difference;
};

// Microseconds of a launch, in a graph of one for each layer.
float time_of_layers(const WarpgroupLayers& lab, const std::function<void(int)>& launch_layer) {
  const float ms = lab.time(
      [&] {
        for (int layer = 0; layer < kLabLayers; ++layer) launch_layer(layer);
      },
      kRepeats);
  return 1000 * ms / kLabLayers;
}

std::vector<Measured> measure(const WarpgroupLayers& lab, const BitCheck& check, int product,
                              int tokens, Which which, bool with_bits) {
  std::vector<Measured> results;
  const LaunchContext pdl = {lab.stream.get(), true};
  std::vector<Written> want;
  if (with_bits) {
    for (const int32_t n_rows : rows_to_check(tokens))
      want.push_back(check.by_now(product, n_rows, tokens));
  }
  for (const WarpgroupShape& shape : candidates_of(lab, product, tokens, which)) {
    name_candidate(product, tokens, shape);
    Measured m = {shape, 0, {}};
    for (size_t i = 0; i < want.size(); ++i)
      add_differences(check.by(product, rows_to_check(tokens)[i], shape), want[i], m.difference);
    lab.arrange_inputs(tokens, tokens);
    m.us = time_of_layers(lab, [&](int layer) { lab.launch(layer, product, tokens, shape, pdl); });
    results.push_back(m);
  }
  check.restore();
  std::sort(results.begin(), results.end(),
            [](const Measured& a, const Measured& b) { return a.us < b.us; });
  return results;
}

void print_measured(const Measured& m) {
  const Difference& d = m.difference;
  std::printf("  %7.2f us  %-46s ", m.us, name_of(m.shape).c_str());
  if (d.n_differ == 0) {
    std::printf("bits equal\n");
  } else {
    std::printf("BITS DIFFER: %zu of %zu, at most by %.3g\n", d.n_differ, d.n_values, d.largest);
  }
}

// The fastest, the fastest on mma.sync, and how many of the others differ.
void print_table(const std::vector<Measured>& fastest_first) {
  const size_t n_lines = std::getenv("LAB_ALL") != nullptr ? fastest_first.size() : kMostLines;
  size_t n_differ = 0;
  bool has_mma = false;
  for (size_t i = 0; i < fastest_first.size(); ++i) {
    const Measured& m = fastest_first[i];
    const bool is_first_mma = !has_mma && m.shape.math == FlatMath::kMma;
    has_mma = has_mma || is_first_mma;
    if (i < n_lines || is_first_mma) {
      print_measured(m);
    } else {
      n_differ += m.difference.n_differ > 0 ? 1 : 0;
    }
  }
  std::printf("  of %zu; not shown: %zu with other bits\n", fastest_first.size(), n_differ);
  std::fflush(stdout);
}

void run_product(int product, Which which) {
  const WarpgroupLayers lab;
  prepare_flat_matmul();
  const BitCheck check(lab);
  const double read_rate = lab.weights.size_bytes() / (lab.read_milliseconds() / 1e3);
  const LaunchContext pdl = {lab.stream.get(), true};
  const auto now = [&](int32_t n_rows) {
    return time_of_layers(lab, [&](int layer) { lab.launch_now(layer, product, n_rows, pdl); });
  };
  std::printf("%s%s: floor %.2f us, one row now %.2f us\n", kLabProducts[product],
              which == Which::kMulticast ? " with multicast" : "",
              CudaTile::bytes(lab.shapes[product]) / read_rate * 1e6, now(1));
  for (const int tokens : kTokenCounts) {
    std::printf(" %d rows: now %.2f us\n", tokens, now(tokens));
    check.restore();
    print_table(measure(lab, check, product, tokens, which, true));
  }
}

// The products of 32 layers, each by one of its candidates or as it is now.
class Layers {
 public:
  Layers(const WarpgroupLayers& lab, int tokens) : lab_(lab), tokens_(tokens) {}

  void set_candidates(int product, std::vector<Measured> fastest_first) {
    candidates_[product] = std::move(fastest_first);
    if (!candidates_[product].empty()) chosen_[product] = &candidates_[product].front().shape;
  }
  float milliseconds() const {
    const LaunchContext pdl = {lab_.stream.get(), true};
    return lab_.time(
        [&] {
          for (int layer = 0; layer < kLabLayers; ++layer) {
            for (int i = 0; i < 4; ++i) {
              if (chosen_[i] == nullptr) {
                lab_.launch_now(layer, i, tokens_, pdl);
              } else {
                lab_.launch(layer, i, tokens_, *chosen_[i], pdl);
              }
            }
          }
        },
        kRepeats);
  }
  // Exchanges each product's for what is best beside the others.
  float improve() {
    float best = milliseconds();
    for (int i = 3; i >= 0; --i) {
      const WarpgroupShape* best_shape = chosen_[i];
      for (size_t k = 0; k < std::min(candidates_[i].size(), 2 * kMostLines); ++k) {
        chosen_[i] = &candidates_[i][k].shape;
        const float ms = milliseconds();
        if (ms < best) best = ms, best_shape = chosen_[i];
      }
      chosen_[i] = best_shape;
    }
    return best;
  }
  void print_chosen() const {
    for (int i = 0; i < 4; ++i) {
      const char* const as_now = "as it is now";
      std::printf("   %-8s %s\n", kLabProducts[i],
                  chosen_[i] == nullptr ? as_now : name_of(*chosen_[i]).c_str());
    }
  }

 private:
  const WarpgroupLayers& lab_;
  int tokens_;
  std::vector<Measured> candidates_[4];
  const WarpgroupShape* chosen_[4] = {};  // null: as it is now
};

void run_layers(const std::vector<std::string>& left_alone) {
  const WarpgroupLayers lab;
  prepare_flat_matmul();
  const BitCheck check(lab);
  const float read_ms = lab.read_milliseconds();
  const float one_row = Layers(lab, 1).milliseconds();
  const auto is_left_alone = [&](const char* name) {
    return std::count(left_alone.begin(), left_alone.end(), name) > 0;
  };
  const Which which = is_left_alone("multicast") ? Which::kAlone : Which::kAll;
  std::printf("layers: read %.3f ms; one row now %.3f ms\n", read_ms, one_row);
  for (const int tokens : kTokenCounts) {
    const float now = Layers(lab, tokens).milliseconds();
    Layers layers(lab, tokens);
    for (int i = 0; i < 4; ++i) {
      if (is_left_alone(kLabProducts[i])) continue;
      layers.set_candidates(i, measure(lab, check, i, tokens, which, false));
    }
    lab.arrange_inputs(tokens, tokens);
    const float first = layers.milliseconds();
    const float best = layers.improve();
    check.restore();
    std::printf(
        " %d rows: now %.3f ms (%.2f x one row), best of each alone %.3f ms, beside each other "
        "%.3f ms (%.2f x)\n",
        tokens, now, now / one_row, first, best, best / one_row);
    layers.print_chosen();
    std::fflush(stdout);
  }
}

int run_part(const std::string& part, const std::vector<std::string>& rest) {
  std::signal(SIGALRM, end_late);
  alarm(kMostSeconds);
  if (!has_warpgroup_products()) {
    std::printf("flat_warpgroup_lab: no code for this device: it takes compute capability 9.0\n");
    return 1;
  }
  if (part == "cycles") {
    print_wgmma_cycles();
    return 0;
  }
  if (part == "layers") {
    run_layers(rest);
    return 0;
  }
  for (int i = 0; i < 4; ++i) {
    if (part != kLabProducts[i]) continue;
    run_product(i, Which::kAlone);
    return 0;
  }
  if (part == "multicast") {
    run_product(2, Which::kMulticast);
    return 0;
  }
  std::printf("flat_warpgroup_lab: unknown part %s\n", part.c_str());
  return 2;
}

int run_all(const std::string& program) {
  std::string failed;
  for (const std::string part :
       {"cycles", "qkv", "out", "gate_up", "multicast", "down", "layers"}) {
    std::fflush(stdout);
    const std::string rest = part == "layers" ? failed : "";
    const int status = std::system(("'" + program + "' " + part + rest).c_str());
    if (status == 0) continue;
    std::printf("%s: FAILED (status %d)\n", part.c_str(), status);
    failed += " " + part;
  }
  return failed.empty() ? 0 : 1;
}

}  // namespace
}  // namespace incipit::kernels::cuda

int main(int argc, char** argv) {
  using namespace incipit::kernels::cuda;
  if (argc < 2) return run_all(argv[0]);
  try {
    return run_part(argv[1], std::vector<std::string>(argv + 2, argv + argc));
  } catch (const std::exception& e) {
    std::printf("flat_warpgroup_lab %s: %s\n%s", argv[1], e.what(), g_candidate);
    return 1;
  }
}
