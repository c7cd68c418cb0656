// What `incipit doctor` prints: a line a finding, and below a problem what to do about it. Pure.
#pragma once

#include <span>
#include <string>

#include "engine/tools/diagnose.h"

namespace incipit::lsp::cli {

std::string findings_text(std::span<const engine::Finding> findings);

}  // namespace incipit::lsp::cli
