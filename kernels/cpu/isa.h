// Instruction sets of the CPU kernels and the choice between them at run time. Every kernel gives
// the same bits on each of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace incipit::kernels {

enum class Isa : uint8_t {
  kScalar,
  kAvx2,    // with FMA and F16C
  kAvx512,  // F, BW, VL, DQ and VNNI
};

// What this CPU and its operating system can run.
bool isa_supported(Isa isa);
Isa best_isa();

const char* name_of(Isa isa);                    // "scalar", "avx2", "avx512"
std::optional<Isa> parse_isa(std::string_view);  // the names above

}  // namespace incipit::kernels
