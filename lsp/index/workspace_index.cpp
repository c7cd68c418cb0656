#include "lsp/index/workspace_index.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include "engine/base/log.h"
#include "lsp/context/file_patterns.h"
#include "lsp/index/source_fitness.h"
#include "lsp/index/workspace_walk.h"

namespace incipit::lsp {
namespace {

namespace fs = std::filesystem;

// On Linux a thread has a priority of its own: typing must not feel this one.
void step_back() {
#ifdef __linux__
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  ::pthread_setname_np(::pthread_self(), "incipit-index");
#endif
}

Text content_of_file(const std::string& path) {
  std::string text(kMaxFileBytes + 1, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.gcount() <= 0) return nullptr;
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return std::make_shared<const std::string>(std::move(text));
}

bool is_below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder) && path.size() > folder.size() &&
         (folder.ends_with('/') || path[folder.size()] == '/');
}

}  // namespace

WorkspaceIndex::WorkspaceIndex(IndexLimits limits) : limits_(limits), thread_([this] { run(); }) {}

WorkspaceIndex::~WorkspaceIndex() {
  closing_.store(true, std::memory_order_release);
  stop_.cancel();
  {
    const std::lock_guard lock(mutex_);
    jobs_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void WorkspaceIndex::set_folders(std::vector<std::string> folders,
                                 std::vector<std::string> excluded) {
  post({IndexJob::Kind::kFolders, "", std::move(folders), std::move(excluded), nullptr});
}
void WorkspaceIndex::file_changed(const std::string& path) {
  // Of a folder it may end with a slash.
  post({IndexJob::Kind::kFile, path.substr(0, path.find_last_not_of('/') + 1), {}, {}, nullptr});
}
void WorkspaceIndex::document_changed(const std::string& path, Text text) {
  post({IndexJob::Kind::kDocument, path, {}, {}, std::move(text)});
}
void WorkspaceIndex::document_closed(const std::string& path) {
  post({IndexJob::Kind::kClosed, path, {}, {}, nullptr});
}

void WorkspaceIndex::post(IndexJob job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push(std::move(job));
  }
  changed_.notify_all();
}

void WorkspaceIndex::run() {
  step_back();
  for (;;) {
    IndexJob job;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      changed_.notify_all();
      changed_.wait(lock, [&] { return closing_.load() || !jobs_.empty(); });
      if (closing_.load()) return;
      job = jobs_.pop();
      busy_ = true;
    }
    handle(job);
  }
}

void WorkspaceIndex::handle(const IndexJob& job) {
  const Language* language =
      job.path.empty() || is_excluded(job.path) ? nullptr : source_language(job.path);
  switch (job.kind) {
    case IndexJob::Kind::kFolders:
      folders_ = job.folders;
      excluded_ = job.excluded;
      return walk_all();
    case IndexJob::Kind::kWalk:
      return walk_all();
    case IndexJob::Kind::kDocument:
      open_.insert(job.path);
      if (language == nullptr || !inside_folders(job.path)) return forget(job.path);
      return take(job.path, *language, job.text);
    case IndexJob::Kind::kClosed:
      open_.erase(job.path);
      break;
    case IndexJob::Kind::kFile:
      if (is_of_folder(job.path)) return folder_changed(job.path);
      break;
  }
  if (language == nullptr || open_.contains(job.path)) return;
  is_found(job.path) ? read(job.path, *language) : forget(job.path);
}

// Also of one that is gone: then something is known below it.
bool WorkspaceIndex::is_of_folder(const std::string& path) const {
  const auto below = known_.upper_bound(path + "/");
  if (below != known_.end() && is_below(below->first, path)) return true;
  std::error_code error;
  return fs::is_directory(fs::symlink_status(path, error));
}

// One that was removed, renamed or made is told of without its files. That an entry of one came or
// went is told of with that entry.
void WorkspaceIndex::folder_changed(const std::string& path) {
  std::vector<std::string> below;
  for (auto next = known_.upper_bound(path + "/");
       next != known_.end() && is_below(next->first, path); ++next) {
    below.push_back(next->first);
  }
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(path, error))) {
    for (const std::string& file : below) {
      if (!open_.contains(file)) forget(file);
    }
  } else if (below.empty() && is_found(path)) {
    post({IndexJob::Kind::kWalk, "", {}, {}, nullptr});
  }
}

bool WorkspaceIndex::is_found(const std::string& path) const {
  return std::any_of(folders_.begin(), folders_.end(),
                     [&](const std::string& folder) { return walk_would_find(folder, path); });
}

void WorkspaceIndex::walk_all() {
  std::set<std::string> found;
  limited_ = false;
  for (const std::string& folder : folders_) {
    walk_sources(folder, [&](const WalkedFile& file) {
      if (closing_.load(std::memory_order_acquire)) return false;
      if (found.size() >= limits_.max_files || n_bytes_.load() >= limits_.max_bytes) {
        limited_ = true;
        return false;
      }
      if (is_excluded(file.path)) return true;
      if (!found.insert(file.path).second || open_.contains(file.path)) return true;
      const auto known = known_.find(file.path);
      if (known != known_.end() && known->second.changed == file.changed) return true;
      read(file.path, *file.language);
      return true;
    });
  }
  if (closing_.load(std::memory_order_acquire)) return;
  std::vector<std::string> gone;
  for (const auto& [path, known] : known_) {
    if (!found.contains(path) && !(open_.contains(path) && inside_folders(path))) {
      gone.push_back(path);
    }
  }
  for (const std::string& path : gone) forget(path);
  log::info("index: {} symbols of {} files{}", symbols_.n_symbols(), symbols_.n_files(),
            limited_ ? ", the limit" : "");
}

void WorkspaceIndex::read(const std::string& path, const Language& language) {
  std::error_code error;
  const fs::file_time_type changed = fs::last_write_time(path, error);
  const bool regular = !error && fs::is_regular_file(fs::symlink_status(path, error));
  const Text text = regular ? content_of_file(path) : nullptr;
  if (text == nullptr) return forget(path);
  take(path, language, text);
  known_[path].changed = changed;
}

void WorkspaceIndex::take(const std::string& path, const Language& language, const Text& text) {
  const bool known = known_.contains(path);
  if (!known && known_.size() >= limits_.max_files) {
    limited_ = true;
    return;
  }
  n_bytes_ += text->size() - (known ? known_[path].n_bytes : 0);
  known_[path].n_bytes = text->size();
  Tree tree;
  if (unfit_by_size(text->size()).empty() && unfit_by_text(*text).empty()) {
    tree = DocumentParser(language).parse(text, DocumentParser::Clock::now() + limits_.max_parse,
                                          stop_);
  }
  // What became unfit, by a key in it for one, is as good as gone.
  if (tree == nullptr) return symbols_.remove(path);
  symbols_.put(path, language, FileSymbols(*tree));
}

void WorkspaceIndex::forget(const std::string& path) {
  const auto known = known_.find(path);
  if (known == known_.end()) return;
  n_bytes_ -= known->second.n_bytes;
  known_.erase(known);
  symbols_.remove(path);
}

bool WorkspaceIndex::is_excluded(const std::string& path) const {
  return matches_any(excluded_, path.substr(path.rfind('/') + 1));
}

bool WorkspaceIndex::inside_folders(const std::string& path) const {
  return std::any_of(folders_.begin(), folders_.end(),
                     [&](const std::string& folder) { return is_below(path, folder); });
}

IndexProgress WorkspaceIndex::progress() const {
  IndexProgress result{symbols_.n_files(), symbols_.n_symbols(), n_bytes_.load(), false,
                       limited_.load()};
  const std::lock_guard lock(mutex_);
  result.complete = jobs_.empty() && !busy_;
  return result;
}

void WorkspaceIndex::wait_until_complete() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return jobs_.empty() && !busy_; });
}

}  // namespace incipit::lsp
