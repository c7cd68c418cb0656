// StatsBoard: the newest EngineStats, written by the engine thread after each step and read by any
// thread without a lock. A sequence counter that is odd while a write is going on lets a reader
// notice that it saw two halves and read again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "engine/engine.h"

namespace incipit::engine {

class StatsBoard {
 public:
  void write(const EngineStats& s) {
    const std::array<int64_t, kFields> values = {
        s.pages_total,       s.pages_free,        s.pages_cached,      s.tokens_reused,
        s.tokens_prefilled,  s.tokens_generated,  s.requests_finished, s.requests_cancelled,
        s.sequences_running, s.sequences_waiting, s.pages_restored};
    const uint64_t version = version_.load();
    version_.store(version + 1);
    for (size_t i = 0; i < kFields; ++i) fields_[i].store(values[i]);
    version_.store(version + 2);
  }

  EngineStats read() const {
    std::array<int64_t, kFields> v{};
    for (;;) {
      const uint64_t before = version_.load();
      for (size_t i = 0; i < kFields; ++i) v[i] = fields_[i].load();
      if (before % 2 == 0 && version_.load() == before) break;
    }
    EngineStats s;
    s.pages_total = static_cast<int32_t>(v[0]);
    s.pages_free = static_cast<int32_t>(v[1]);
    s.pages_cached = static_cast<int32_t>(v[2]);
    s.tokens_reused = v[3];
    s.tokens_prefilled = v[4];
    s.tokens_generated = v[5];
    s.requests_finished = v[6];
    s.requests_cancelled = v[7];
    s.sequences_running = static_cast<int32_t>(v[8]);
    s.sequences_waiting = static_cast<int32_t>(v[9]);
    s.pages_restored = static_cast<int32_t>(v[10]);
    return s;
  }

 private:
  static constexpr size_t kFields = 11;
  // Sequentially consistent throughout: one write a step costs nothing that can be measured.
  std::atomic<uint64_t> version_{0};
  std::array<std::atomic<int64_t>, kFields> fields_{};
};

}  // namespace incipit::engine
