// The 64-bit checksum of packed files and source fingerprints: XXH3. Against accidents, not against
// an adversary. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace incipit::engine {

uint64_t checksum(std::span<const std::byte> bytes);
uint64_t checksum(std::string_view text);

// The same of bytes that come in pieces. One thread at a time.
class RunningChecksum {
 public:
  RunningChecksum();
  void add(std::span<const std::byte> bytes);
  uint64_t take();  // of all since the last take()

 private:
  struct State;
  struct Free {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Free> state_;
};

}  // namespace incipit::engine
