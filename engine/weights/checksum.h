// The 64-bit checksum of packed files and source fingerprints: XXH3. Against accidents, not against
// an adversary. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace incipit::engine {

uint64_t checksum(std::span<const std::byte> bytes);
uint64_t checksum(std::string_view text);

}  // namespace incipit::engine
