// WorkspaceIndex: keeps a SymbolIndex of the workspace's folders up to date, on one thread of the
// lowest priority, a file at a time. Folders are walked when they are set; a file is read again
// when it is said to have changed, and every file whose time of change differs when its folder is
// walked anew. Open documents stand for their files. Calls only post; any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/base/cancel_token.h"
#include "lsp/index/index_jobs.h"
#include "lsp/index/symbol_index.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp {

struct IndexLimits {
  size_t max_files = 5000;
  // All text read together; files beyond are left out. A symbol takes about a twelfth of its text.
  size_t max_bytes = size_t{512} << 20;
  // One file, by the clock: a thread of the lowest priority may wait for most of it. What takes
  // longer is left out.
  std::chrono::milliseconds max_parse{5000};
};

struct IndexProgress {
  size_t n_files = 0;
  size_t n_symbols = 0;
  size_t n_bytes = 0;     // text read
  bool complete = false;  // nothing is waiting
  bool limited = false;   // files were left out because of a limit
};

class WorkspaceIndex {
 public:
  explicit WorkspaceIndex(IndexLimits limits = {});
  ~WorkspaceIndex();  // ends within the file at hand

  // Absolute paths. Files of folders that are no longer named are forgotten; the others are walked.
  // Files whose names match one of `excluded` (file_patterns.h) are left out.
  void set_folders(std::vector<std::string> folders, std::vector<std::string> excluded = {});
  // On disk: written, made or removed; also a folder, which stands for all below it.
  void file_changed(const std::string& path);
  void document_changed(const std::string& path, Text text);  // open in the editor
  void document_closed(const std::string& path);              // the disk counts again

  const SymbolIndex& symbols() const { return symbols_; }
  IndexProgress progress() const;
  void wait_until_complete();  // for programs that come and go, and for tests

 private:
  struct Known {
    std::filesystem::file_time_type changed;
    size_t n_bytes = 0;
  };

  void post(IndexJob job);
  void run();
  void handle(const IndexJob& job);
  bool is_of_folder(const std::string& path) const;
  void folder_changed(const std::string& path);
  bool is_found(const std::string& path) const;
  void walk_all();
  void read(const std::string& path, const Language& language);
  void take(const std::string& path, const Language& language, const Text& text);
  void forget(const std::string& path);
  bool is_excluded(const std::string& path) const;
  bool inside_folders(const std::string& path) const;

  const IndexLimits limits_;
  SymbolIndex symbols_;
  std::atomic<bool> closing_{false};
  const CancelToken stop_;  // of the parse at hand
  std::atomic<size_t> n_bytes_{0};
  std::atomic<bool> limited_{false};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  IndexJobs jobs_;     // under mutex_
  bool busy_ = false;  // under mutex_

  // The thread's own.
  std::vector<std::string> folders_;
  std::vector<std::string> excluded_;
  std::map<std::string, Known> known_;
  std::set<std::string> open_;
  std::thread thread_;
};

}  // namespace incipit::lsp
