#include "lsp/cli/model_text.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lsp/rpc/json.h"

namespace incipit::lsp::cli {
namespace {

using engine::AddedModel;
using engine::ExpectedMemory;
using engine::ModelReport;

std::string size_text(int64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes >= 1 << 30) return fmt::format("{:.2f} GiB", size / (1 << 30));
  return fmt::format("{:.1f} MiB", size / (1 << 20));
}

std::string count_text(int64_t n) {
  const auto count = static_cast<double>(n);
  if (n >= 1000000000) return fmt::format("{:.2f} billion", count / 1e9);
  return fmt::format("{:.1f} million", count / 1e6);
}

const char* outcome_text(AddedModel::Outcome outcome) {
  switch (outcome) {
    case AddedModel::Outcome::kAdded:
      return "added";
    case AddedModel::Outcome::kReplaced:
      return "replaced (it was of another source or quantisation, or damaged)";
    case AddedModel::Outcome::kAlreadyThere:
      return "already there, nothing to do";
  }
  return "";
}

const char* outcome_word(AddedModel::Outcome outcome) {
  switch (outcome) {
    case AddedModel::Outcome::kAdded:
      return "added";
    case AddedModel::Outcome::kReplaced:
      return "replaced";
    case AddedModel::Outcome::kAlreadyThere:
      return "alreadyThere";
  }
  return "";
}

std::string architecture_text(const engine::ModelConfig& c) {
  return fmt::format(
      "Llama, {} layers, hidden {}, feed-forward {}, {} heads over {} key-value heads of {}, "
      "vocabulary {}{}",
      c.n_layers, c.hidden, c.ffn, c.n_heads, c.n_kv_heads, c.head_dim, c.vocab,
      c.tied_head ? ", head tied to the embedding" : "");
}

std::string context_text(const engine::ModelConfig& c) {
  return fmt::format("{} tokens, RoPE base {:.0f}{}", c.max_positions, c.rope_theta,
                     c.rope_scaling ? fmt::format(", scaled by {:g} ({})", c.rope_scaling->factor,
                                                  engine::name_of(c.rope_scaling->type))
                                    : "");
}

std::string memory_text(const ExpectedMemory& memory) {
  return fmt::format("{} with {} tokens of context{}", size_text(memory.bytes),
                     memory.context_tokens,
                     memory.beyond_training ? " (more than it was trained for)" : "");
}

void add_line(std::string& text, const char* name, const std::string& value) {
  if (!value.empty()) text += fmt::format("{:<13} {}\n", name, value);
}

// What quantising has cost, section by section.
Json quantization_json(const engine::QuantizeReport& report) {
  Json json = {{"recipe", report.recipe}};
  const engine::QuantizeQuality& quality = report.quality;
  if (quality.n_tokens > 0) {
    json["heldOutTokens"] = quality.n_tokens;
    json["klDivergence"] = quality.kl_divergence;
    json["top1Agreement"] = quality.top1_agreement;
    json["lossFullPrecision"] = quality.loss_full;
    json["lossQuantized"] = quality.loss_quantised;
  }
  for (const engine::SectionLoss& section : report.sections) {
    json["sections"].push_back({{"name", section.name},
                                {"outputError", section.output_error},
                                {"damping", section.damping}});
  }
  for (const engine::LayerLoss& layer : report.layers) {
    json["layers"].push_back({{"hiddenError", layer.hidden_error}});
  }
  return json;
}

std::string loss_text(const engine::QuantizeQuality& quality) {
  if (quality.n_tokens == 0) return "";
  return fmt::format("{:.4f} nats a token on held-out text, {:.4f} in full precision",
                     quality.loss_quantised, quality.loss_full);
}

// Mean and worst of the sections, and how far the last layer has come off.
std::string errors_text(const engine::QuantizeReport& report) {
  if (report.sections.empty()) return "";
  const auto worst = std::max_element(
      report.sections.begin(), report.sections.end(),
      [](const auto& a, const auto& b) { return a.output_error < b.output_error; });
  double sum = 0;
  for (const engine::SectionLoss& section : report.sections) sum += section.output_error;
  std::string text = fmt::format("{:.2f} % of a section's outputs, {:.2f} % at most ({})",
                                 100 * sum / static_cast<double>(report.sections.size()),
                                 100 * worst->output_error, worst->name);
  if (!report.layers.empty()) {
    text += fmt::format("; {:.2f} % after the last layer", 100 * report.layers.back().hidden_error);
  }
  return text + " (--json has each)";
}

Json report_json(const ModelReport& report) {
  Json json = {{"name", report.name},
               {"directory", report.directory},
               {"default", report.is_default},
               {"added", report.is_added}};
  if (!report.problem.empty()) {
    json["problem"] = report.problem;
    return json;
  }
  const engine::ModelConfig& c = report.config;
  json["architecture"] = {
      {"family", "llama"},
      {"layers", c.n_layers},
      {"hidden", c.hidden},
      {"feedForward", c.ffn},
      {"heads", c.n_heads},
      {"keyValueHeads", c.n_kv_heads},
      {"headDimension", c.head_dim},
      {"vocabulary", c.vocab},
      {"tiedHead", c.tied_head},
      {"contextTokens", c.max_positions},
      {"ropeTheta", c.rope_theta},
      {"ropeScaling", c.rope_scaling ? engine::name_of(c.rope_scaling->type) : "none"}};
  json["parameters"] = report.n_parameters;
  json["format"] = report.format;
  json["sourceBytes"] = report.source_bytes;
  json["packedBytes"] = report.packed_bytes;
  if (report.is_added) {
    json["source"] = report.source;
    json["conversion"] = report.conversion;
    json["checksum"] = report.checksum;
    if (!report.quantization.recipe.empty()) {
      json["quantization"] = quantization_json(report.quantization);
    }
  }
  if (!report.notice.empty()) json["notice"] = report.notice;
  json["memory"] = Json::array();
  for (const ExpectedMemory& memory : report.memory) {
    json["memory"].push_back({{"contextTokens", memory.context_tokens},
                              {"bytes", memory.bytes},
                              {"beyondTraining", memory.beyond_training}});
  }
  return json;
}

// How long quantising took and where the time went.
std::string times_text(const AddedModel& added) {
  if (added.quantized_on.empty()) return "";
  const engine::QuantizeTimes& t = added.quantize_times;
  return fmt::format(
      "quantised in {:.0f} s on {}: reading {:.1f}, products {:.1f}, Hessians {:.1f}, rounding "
      "{:.1f}, packing {:.1f}, comparing {:.1f}, the rest {:.1f}",
      added.quantizing_s, added.quantized_on, t.reading_s, t.products_s, t.hessians_s, t.rounding_s,
      t.packing_s, t.comparing_s,
      added.quantizing_s - t.reading_s - t.products_s - t.hessians_s - t.rounding_s - t.packing_s -
          t.comparing_s);
}

Json times_json(const AddedModel& added) {
  const engine::QuantizeTimes& t = added.quantize_times;
  return {{"device", added.quantized_on}, {"seconds", added.quantizing_s},
          {"reading", t.reading_s},       {"products", t.products_s},
          {"hessians", t.hessians_s},     {"rounding", t.rounding_s},
          {"packing", t.packing_s},       {"comparing", t.comparing_s}};
}

}  // namespace

std::string added_text(const AddedModel& added) {
  std::string text = fmt::format("{}: {}\n  {}\n  {}, {}, {} packed\n", added.name,
                                 outcome_text(added.outcome), added.directory.string(),
                                 added.format, added.conversion, size_text(added.packed_bytes));
  for (const std::string& line :
       {loss_text(added.quantization.quality), times_text(added), added.note, added.notice}) {
    if (!line.empty()) text += "  " + line + "\n";
  }
  return text;
}

std::string added_json(const AddedModel& added) {
  Json json = {{"name", added.name},
               {"outcome", outcome_word(added.outcome)},
               {"directory", added.directory.string()},
               {"format", added.format},
               {"conversion", added.conversion},
               {"packedBytes", added.packed_bytes}};
  if (!added.quantization.recipe.empty()) {
    json["quantization"] = quantization_json(added.quantization);
  }
  if (!added.quantized_on.empty()) json["quantizing"] = times_json(added);
  if (!added.note.empty()) json["note"] = added.note;
  if (!added.notice.empty()) json["notice"] = added.notice;
  return print_json(json);
}

std::string models_text(std::span<const ModelReport> reports) {
  size_t columns = 0;
  for (const ModelReport& report : reports) columns = std::max(columns, report.name.size());
  std::string text;
  for (const ModelReport& report : reports) {
    const std::string what =
        !report.problem.empty()
            ? "cannot be used: " + report.problem
            : fmt::format("{:>10}  {} parameters, from {}{}", size_text(report.packed_bytes),
                          count_text(report.n_parameters), report.format,
                          report.is_added ? "" : " (a checkpoint, packed when first used)");
    text +=
        fmt::format("{} {:<{}}  {}\n", report.is_default ? '*' : ' ', report.name, columns, what);
  }
  return text + "\n* is used when no model is named.\n";
}

std::string models_json(std::span<const ModelReport> reports) {
  Json list = Json::array();
  for (const ModelReport& report : reports) list.push_back(report_json(report));
  return print_json({{"models", std::move(list)}});
}

std::string model_text(const ModelReport& report) {
  std::string text;
  add_line(text, "name", report.name + (report.is_default ? " (the default)" : ""));
  add_line(text, "directory", report.directory);
  if (!report.problem.empty()) {
    add_line(text, "problem", report.problem);
    return text;
  }
  add_line(text, "architecture", architecture_text(report.config));
  add_line(text, "parameters", count_text(report.n_parameters));
  add_line(text, "trained for", context_text(report.config));
  add_line(text, "made from", report.format);
  add_line(text, "source", report.source);
  add_line(text, "conversion", report.conversion);
  add_line(text, "loss", loss_text(report.quantization.quality));
  add_line(text, "output error", errors_text(report.quantization));
  add_line(text, "size",
           fmt::format("{} of source, {} packed", size_text(report.source_bytes),
                       size_text(report.packed_bytes)));
  add_line(text, "checksum", report.checksum);
  for (const ExpectedMemory& memory : report.memory) {
    add_line(text, &memory == report.memory.data() ? "memory" : "", memory_text(memory));
  }
  add_line(text, "notice", report.notice);
  return text;
}

std::string model_json(const ModelReport& report) {
  return print_json(report_json(report));
}

std::string progress_text(int64_t done_bytes, int64_t total_bytes, const std::string& what,
                          std::chrono::duration<double> elapsed) {
  const auto done = static_cast<double>(done_bytes);
  const auto total = static_cast<double>(std::max<int64_t>(total_bytes, 1));
  std::string text = fmt::format("packing {}: {:.0f} %", what, 100 * done / total);
  if (done_bytes <= 0 || elapsed.count() <= 0) return text;
  const double rate = done / elapsed.count();
  const double left_s = std::ceil((total - done) / rate);
  const std::string left = left_s < 600 ? fmt::format("{:.0f} s", left_s)
                                        : fmt::format("{:.0f} min", std::ceil(left_s / 60));
  return text + fmt::format(", {:.{}f} MB/s, {} left", rate / 1e6, rate < 1e7 ? 2 : 0, left);
}

}  // namespace incipit::lsp::cli
