#include "engine/tools/diagnose.h"

#include <fmt/core.h>

#include "engine/tools/diagnose_internal.h"
#include "engine/weights/model_registry.h"

namespace incipit::engine {
namespace {

std::string describe_model(const std::filesystem::path& dir, const ModelConfig& c) {
  return fmt::format(
      "{}: Llama, hidden {}, {} layers, {} heads of {} ({} for keys and values), "
      "vocabulary {}, context {}, {} head",
      dir.string(), c.hidden, c.n_layers, c.n_heads, c.head_dim, c.n_kv_heads, c.vocab,
      c.max_positions, c.tied_head ? "tied" : "untied");
}

// A context beyond the model's own; `config` becomes what would run.
void diagnose_context(const EngineOptions& options, ModelConfig& config,
                      std::vector<Finding>& findings) {
  const int32_t trained = config.max_positions;
  const auto extended = extend_context(config, options.context_tokens);
  if (!extended.ok()) {
    findings.push_back(
        {Severity::kProblem, "context", extended.error().message, "ask for a shorter context"});
  } else if (config.max_positions > trained) {
    findings.push_back({Severity::kNote, "context",
                        fmt::format("{} tokens, where the model was trained for {}: by YaRN",
                                    config.max_positions, trained),
                        "what is written may be worse, in short prompts too; without --context the "
                        "model runs as it was trained"});
  }
}

}  // namespace

const char* name_of(Severity severity) {
  switch (severity) {
    case Severity::kOk:
      return "ok";
    case Severity::kNote:
      return "note";
    case Severity::kProblem:
      return "problem";
  }
  return "unknown";
}

std::vector<Finding> diagnose(const DiagnoseOptions& options) {
  std::vector<Finding> findings;
  diagnose_cpu(findings);
  diagnose_cuda(options.engine, findings);

  const auto dir = find_model(options.engine.model);
  if (!dir.ok()) {
    findings.push_back(
        {Severity::kProblem, "model", dir.error().message,
         "`incipit model list` shows what there is, `incipit model add DIR` adds a checkpoint"});
    return findings;
  }
  const auto config = load_model_config(*dir);
  if (!config.ok()) {
    findings.push_back({Severity::kProblem, "model", config.error().message,
                        "this program runs Llama-architecture checkpoints; check that the download "
                        "is complete"});
    diagnose_files(*dir, findings);
    return findings;
  }
  const auto manifest = read_manifest(*dir);
  if (!manifest.ok()) {
    findings.push_back({Severity::kProblem, "model", manifest.error().message,
                        "remove the model and add it again"});
    return findings;
  }
  const bool added = manifest->has_value();
  std::vector<Finding> checkpoint;
  const int64_t weight_bytes = added
                                   ? diagnose_added(*dir, *config, **manifest, checkpoint)
                                   : diagnose_checkpoint(*dir, *config, options.engine, checkpoint);
  ModelConfig used = *config;
  diagnose_context(options.engine, used, findings);
  diagnose_memory(weight_bytes, used, options.engine, findings);
  if (weight_bytes >= 0) diagnose_cuda_memory(weight_bytes, used, options.engine, findings);
  findings.push_back({Severity::kOk, "model", describe_model(*dir, *config), ""});
  findings.insert(findings.end(), checkpoint.begin(), checkpoint.end());
  if (!added) diagnose_files(*dir, findings);
  if (!added && weight_bytes >= 0) {
    diagnose_packed(*dir, *config, weight_bytes, options.engine, findings);
  }
  diagnose_tokenizer(*dir, *config, findings);
  return findings;
}

}  // namespace incipit::engine
