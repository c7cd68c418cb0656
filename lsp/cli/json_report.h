// The JSON that the commands print, each on one line. Times are milliseconds, positions those of
// LSP with position encoding utf-8. Pure.
#pragma once

#include <span>
#include <string>

#include "engine/base/result.h"
#include "engine/tools/diagnose.h"
#include "engine/tools/engine_bench.h"
#include "lsp/cli/exit_code.h"
#include "lsp/cli/source_file.h"
#include "lsp/completion/completion_pipeline.h"

namespace incipit::lsp::cli {

// {"error":{"code":"not_found","message":..,"exitCode":3}}
std::string error_json(ExitCode exit, const Error& error);

// {"items":[{"insertText":..,"range":{..}}],"timings":{..}}, and "whyEmpty" when items is empty.
std::string completion_json(const CompletionOutcome& outcome, const SourceFile& source);

// {"text":..,"timings":{..}}
std::string explanation_json(const ExplainOutcome& outcome);

// {"model":..,"machine":{..},"rows":[{"name":..,"value":..,"unit":..,"limit":..,"fraction":..}]}
std::string bench_json(const engine::EngineBenchReport& report);

// {"problems":0,"findings":[{"severity":..,"area":..,"found":..,"advice":..}]}
std::string findings_json(std::span<const engine::Finding> findings);

}  // namespace incipit::lsp::cli
