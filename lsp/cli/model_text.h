// What `incipit model` prints: text for people, JSON on one line, and the line of progress. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "engine/tools/model_report.h"
#include "engine/tools/model_store.h"

namespace incipit::lsp::cli {

std::string added_text(const engine::AddedModel& added);
std::string added_json(const engine::AddedModel& added);

// One line a model; the default one is marked.
std::string models_text(std::span<const engine::ModelReport> reports);
std::string models_json(std::span<const engine::ModelReport> reports);

std::string model_text(const engine::ModelReport& report);
std::string model_json(const engine::ModelReport& report);

// "packing layers.3.down: 34 %, 312 MB/s, 12 s left"; rate and rest only when there is something to
// reckon them from.
std::string progress_text(int64_t done_bytes, int64_t total_bytes, const std::string& what,
                          std::chrono::duration<double> elapsed);

}  // namespace incipit::lsp::cli
