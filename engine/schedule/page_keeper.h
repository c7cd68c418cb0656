// PageKeeper: the prefix cache across restarts (EngineOptions::kv_disk). Reads the pages of the
// last run back into the cache of a new engine, and writes the most recently used ones when the
// engine has been idle for a while, and at its end; each time the whole file, hence only when at
// least an eighth of it is new. All of it in pieces of one page, between which the engine looks for
// requests; what is being written is given up when one comes, and at the end when it takes long.
// Whatever is wrong with a file costs a warning and the warmth, nothing else. Engine thread alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/kv/page_file.h"
#include "engine/model/model.h"
#include "engine/schedule/scheduler.h"

namespace incipit::engine {

struct PageKeeping {
  std::filesystem::path path;  // of this model's file; others of its directory count, too
  std::string identity;        // what the bytes of a page depend on, but for the tokens
  int64_t max_bytes = 0;       // of all files of the directory
  std::chrono::milliseconds idle_before_writing{10'000};
  // Editors give a server little time to end (ours for VS Code 500 ms) before they kill it.
  std::chrono::milliseconds longest_at_end{300};
};

class PageKeeper {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kReadingAtStart{1};

  explicit PageKeeper(PageKeeping keeping) : keeping_(std::move(keeping)) {}

  // Reads for kReadingAtStart at most, so that the first request finds its pages; the rest comes
  // when the engine is idle.
  void read_at_start(Scheduler& scheduler, Model& model);
  // When there is something to do, if nothing happens until then; nothing: never.
  std::optional<Clock::time_point> due(const Scheduler& scheduler) const;
  // A piece of it. The scheduler is idle.
  void work(Scheduler& scheduler, Model& model);
  // A request has come, or was answered: writing starts again some time after the last one.
  void interrupt();
  // The engine ends: writes what is not written yet, if that takes no longer than it may.
  void write_all(const Scheduler& scheduler, Model& model);

  int32_t n_restored() const { return n_restored_; }

 private:
  enum class Phase { kOpening, kReading, kWaiting, kWriting };
  using RunKey = uint64_t;  // hash of a run's tokens and of all before it

  struct Pace {
    Clock::time_point began;
    size_t n_before = 0;  // pages that were written by then
  };

  void open_file(const Scheduler& scheduler, Model& model);
  void read_one(Scheduler& scheduler, Model& model);
  void end_reading(Scheduler& scheduler);
  bool begin_writing(const Scheduler& scheduler, Model& model);
  bool enough_is_new(const std::vector<RunKey>& keys) const;
  void write_one(const Scheduler& scheduler, Model& model);
  bool ends_in_time(const Pace& pace) const;
  void give_up(const Error& why);
  void remove_left_overs() const;
  void trim_directory() const;

  PageKeeping keeping_;
  Phase phase_ = Phase::kOpening;
  bool has_failed_ = false;  // the disk does not take it: no more attempts
  Clock::time_point last_request_ = Clock::now();
  std::vector<std::byte> page_;

  std::optional<PageFileReader> reader_;
  size_t n_to_read_ = 0;                         // entries
  std::vector<std::optional<PageId>> restored_;  // by entry of the file; each with a reference
  int32_t n_restored_ = 0;

  std::optional<PageFileWriter> writer_;
  std::vector<PageId> to_write_;
  std::vector<RunKey> keys_to_write_;   // of the same pages
  std::unordered_set<RunKey> written_;  // what the file holds
  int64_t n_computed_seen_ = 0;  // of the scheduler, when the file was made or had too little new
};

}  // namespace incipit::engine
