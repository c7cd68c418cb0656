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

// Changes of an open document are only parsed when the next one is not there already.
constexpr size_t kMaxJobs = 4096;

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
  post({Job::Kind::kFolders, "", std::move(folders), std::move(excluded), nullptr});
}
void WorkspaceIndex::file_changed(const std::string& path) {
  post({Job::Kind::kFile, path, {}, {}, nullptr});
}
void WorkspaceIndex::document_changed(const std::string& path, Text text) {
  post({Job::Kind::kDocument, path, {}, {}, std::move(text)});
}
void WorkspaceIndex::document_closed(const std::string& path) {
  post({Job::Kind::kClosed, path, {}, {}, nullptr});
}

void WorkspaceIndex::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    // Of one file only the newest news is of use.
    std::erase_if(jobs_, [&](const Job& waiting) {
      return waiting.kind == job.kind && waiting.path == job.path;
    });
    if (jobs_.size() >= kMaxJobs) return;  // a checkout of another branch: the next walk finds it
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void WorkspaceIndex::run() {
  step_back();
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      changed_.notify_all();
      changed_.wait(lock, [&] { return closing_.load() || !jobs_.empty(); });
      if (closing_.load()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
    }
    handle(job);
  }
}

void WorkspaceIndex::handle(const Job& job) {
  const Language* language =
      job.path.empty() || is_excluded(job.path) ? nullptr : source_language(job.path);
  switch (job.kind) {
    case Job::Kind::kFolders:
      folders_ = job.folders;
      excluded_ = job.excluded;
      return walk_all();
    case Job::Kind::kDocument:
      open_.insert(job.path);
      if (language != nullptr && inside_folders(job.path)) take(job.path, *language, job.text);
      return;
    case Job::Kind::kClosed:
      open_.erase(job.path);
      break;
    case Job::Kind::kFile:
      break;
  }
  if (language == nullptr || open_.contains(job.path)) return;
  const bool wanted = std::any_of(folders_.begin(), folders_.end(), [&](const std::string& folder) {
    return walk_would_find(folder, job.path);
  });
  wanted ? read(job.path, *language) : forget(job.path);
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
