#include "lsp/index/index_jobs.h"

#include <utility>

namespace incipit::lsp {
namespace {

using Kind = IndexJob::Kind;

bool walks(const IndexJob& job) {
  return job.kind == Kind::kFolders || job.kind == Kind::kWalk;
}

bool is_of_document(const IndexJob& job) {
  return job.kind == Kind::kDocument || job.kind == Kind::kClosed;
}

}  // namespace

void IndexJobs::push(IndexJob job) {
  switch (job.kind) {
    case Kind::kFile:
      return push_file(std::move(job));
    case Kind::kWalk:
      return push_walk();
    case Kind::kFolders:
      std::erase_if(jobs_, walks);
      walk_waits_ = true;
      break;
    case Kind::kDocument:
    case Kind::kClosed:
      std::erase_if(jobs_, [&](const IndexJob& waiting) {
        return is_of_document(waiting) && waiting.path == job.path;
      });
      break;
  }
  jobs_.push_back(std::move(job));
}

// A file is read when its turn comes, so a second piece of news adds nothing to one that waits, nor
// to a walk that does.
void IndexJobs::push_file(IndexJob job) {
  if (walk_waits_ || files_.contains(job.path)) return;
  if (files_.size() >= kMaxFiles) {
    std::erase_if(jobs_, [](const IndexJob& waiting) { return waiting.kind == Kind::kFile; });
    files_.clear();
    return push_walk();
  }
  files_.insert(job.path);
  jobs_.push_back(std::move(job));
}

void IndexJobs::push_walk() {
  if (walk_waits_) return;
  walk_waits_ = true;
  jobs_.push_back({Kind::kWalk, "", {}, {}, nullptr});
}

IndexJob IndexJobs::pop() {
  IndexJob job = std::move(jobs_.front());
  jobs_.pop_front();
  if (job.kind == Kind::kFile) files_.erase(job.path);
  if (walks(job)) walk_waits_ = false;
  return job;
}

void IndexJobs::clear() {
  jobs_.clear();
  files_.clear();
  walk_waits_ = false;
}

}  // namespace incipit::lsp
