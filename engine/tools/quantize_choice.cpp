#include "engine/tools/quantize_choice.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include "engine/weights/linear.h"
#include "engine/weights/weight_names.h"

namespace incipit::engine {
namespace {

// What the linears of a source are made of.
struct Linears {
  bool any_integers = false;  // whose integers are kept
  bool any_blocks = false;    // of a GGUF file's quantised types
  int64_t n_weights = 0;
};

Result<Linears> look_at(const OpenedCheckpoint& opened) {
  Linears linears;
  for (const WeightSection& section : weight_sections(opened.config, HeadFormat::kInt8)) {
    if (section.kind != WeightKind::kInt4) continue;
    linears.n_weights += int64_t{section.rows} * section.cols;
    for (const WeightPart& part : section.parts) {
      ASSIGN_OR_RETURN(const Linear linear, find_linear(opened.checkpoint, part.tensor, part.rows,
                                                        section.cols, opened.quant));
      const auto* dense = std::get_if<DenseLinear>(&linear);
      if (dense == nullptr) {
        linears.any_integers = true;
      } else if (size_of(dense->weight->type) == 0) {
        linears.any_blocks = true;
      }
    }
  }
  return linears;
}

int64_t available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, rest;
  for (int64_t value = 0; file >> key >> value; std::getline(file, rest)) {
    if (key == "MemAvailable:") return value * 1024;
  }
  return std::numeric_limits<int64_t>::max();
}

std::string gib(int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

Result<CalibrationSets> read_sets(const QuantizeOptions& options, const OpenedCheckpoint& opened,
                                  const Tokenizer& tokenizer, uint64_t& fingerprint) {
  ASSIGN_OR_RETURN(const CalibrationText text, options.calibration.empty()
                                                   ? default_calibration()
                                                   : read_calibration(options.calibration));
  fingerprint = text.fingerprint;
  CalibrationSizes sizes = options.sizes;
  sizes.sequence_tokens = std::min(sizes.sequence_tokens, opened.config.max_positions);
  const TokenId eos = opened.config.eos.empty() ? -1 : opened.config.eos[0];
  return make_calibration_sets(
      text, [&](std::string_view document) { return tokenizer.encode(document); },
      opened.config.bos, eos, sizes);
}

QuantizeChoice rounding(std::string note) {
  QuantizeChoice choice;
  choice.recipe = fmt::format("rtn, groups of {}", kRoundedGroup);
  choice.note = std::move(note);
  return choice;
}

// Why kAuto had better not; empty where it had.
std::string why_not(const Linears& linears, const QuantizeDevice& device, int64_t wanted_bytes) {
  if (!device.is_cuda() && linears.n_weights > kMostWeightsOnCpu) {
    return fmt::format(
        "rounded to nearest: GPTQ of {:.1f} billion weights takes minutes on a CUDA device and "
        "hours on a CPU ({}--quantize gptq does it all the same)",
        static_cast<double>(linears.n_weights) / 1e9,
        device.why_not_cuda.empty() ? "" : device.why_not_cuda + "; ");
  }
  if (wanted_bytes > available_memory_bytes()) {
    return fmt::format("rounded to nearest: GPTQ wants {} of memory, {} are free",
                       gib(wanted_bytes), gib(available_memory_bytes()));
  }
  return "";
}

Result<QuantizeChoice> choose(const QuantizeOptions& options, const OpenedCheckpoint& opened,
                              const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const Linears linears, look_at(opened));
  const bool is_auto = options.method == QuantizeMethod::kAuto;
  if (linears.any_integers && !is_auto) {
    return Error{ErrorCode::kInvalidArgument,
                 "--quantize: want a source in full precision, found one whose integers are kept "
                 "(leave the option out)"};
  }
  if (is_auto && (linears.any_integers || linears.any_blocks)) return QuantizeChoice{};
  const bool rounds = options.method == QuantizeMethod::kRtn;
  if (rounds && !options.measure) return rounding("");

  uint64_t fingerprint = 0;
  auto sets = read_sets(options, opened, tokenizer, fingerprint);
  if (!sets.ok()) {
    // A model whose tokenizer or context is too small for the text is not refused for that.
    if (is_auto && options.calibration.empty()) {
      return rounding("rounded to nearest: " + sets.error().message);
    }
    return sets.error();
  }
  QuantizeChoice choice = rounding("");
  choice.walks = true;
  choice.inputs.held_out = std::move(sets->held_out);
  if (!rounds) choice.inputs.calibration = std::move(sets->calibration);
  ASSIGN_OR_RETURN(
      choice.device,
      choose_quantize_device(
          options.device,
          quantize_memory(opened.config, choice.inputs, SolverPlace::kCuda).device_bytes));
  if (rounds) return choice;
  const int64_t wanted =
      quantize_memory(opened.config, choice.inputs,
                      choice.device.is_cuda() ? SolverPlace::kCuda : SolverPlace::kCpu)
          .host_bytes;
  if (is_auto) {
    std::string reason = why_not(linears, choice.device, wanted);
    if (!reason.empty()) return rounding(std::move(reason));
  } else if (wanted > available_memory_bytes()) {
    return Error{ErrorCode::kOutOfMemory,
                 fmt::format("GPTQ: want {} of memory, found {} free (--quantize rtn needs little)",
                             gib(wanted), gib(available_memory_bytes()))};
  }
  choice.recipe = fmt::format("gptq, groups of {}, {} x {} tokens of text {:016x}", kGptqGroup,
                              choice.inputs.calibration.n_sequences(),
                              choice.inputs.calibration.length, fingerprint);
  return choice;
}

}  // namespace

Result<QuantizeChoice> choose_quantizing(const QuantizeOptions& options,
                                         const OpenedCheckpoint& opened,
                                         const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(QuantizeChoice choice, choose(options, opened, tokenizer));
  choice.takes_any = options.method == QuantizeMethod::kAuto && options.calibration.empty();
  return choice;
}

}  // namespace incipit::engine
