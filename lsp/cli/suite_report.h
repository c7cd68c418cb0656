// How the figures of `incipit bench --suite h100` are printed: a table for people, one line of JSON
// for programs. Pure.
#pragma once

#include <string>

#include "engine/tools/h100_suite.h"

namespace incipit::lsp::cli {

std::string suite_table(const engine::H100Report& report);

// {"model":..,"device":..,"machine":{..},"rows":[{"name":..,"value":..,"unit":..,"floor":..,
//  "fraction":..,"must":..,"aim":..,"peer":..,"met":..,"note":..}]}
std::string suite_json(const engine::H100Report& report);

}  // namespace incipit::lsp::cli
