#include "engine/weights/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace incipit::engine {

struct RunningChecksum::State {
  XXH3_state_t hash;
};

void RunningChecksum::Free::operator()(State* state) const {
  delete state;
}

RunningChecksum::RunningChecksum() : state_(new State) {
  XXH3_64bits_reset(&state_->hash);
}

void RunningChecksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(&state_->hash, bytes.data(), bytes.size());
}

uint64_t RunningChecksum::take() {
  const uint64_t value = XXH3_64bits_digest(&state_->hash);
  XXH3_64bits_reset(&state_->hash);
  return value;
}

uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t checksum(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace incipit::engine
