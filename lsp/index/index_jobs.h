// IndexJobs: what the WorkspaceIndex has still to do, in order, the newest news of a path alone.
// Plain data; whoever owns it locks.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_set>
#include <vector>

#include "lsp/syntax/parser.h"

namespace incipit::lsp {

struct IndexJob {
  enum class Kind { kFolders, kWalk, kFile, kDocument, kClosed } kind = Kind::kFile;
  std::string path;
  std::vector<std::string> folders;
  std::vector<std::string> excluded;
  Text text;
};

class IndexJobs {
 public:
  // Of more files than this (a checkout of another branch) no single one is remembered: a walk
  // finds them all.
  static constexpr size_t kMaxFiles = 4096;

  void push(IndexJob job);
  IndexJob pop();  // of those there are
  bool empty() const { return jobs_.empty(); }
  void clear();

 private:
  void push_file(IndexJob job);
  void push_walk();

  std::deque<IndexJob> jobs_;
  std::unordered_set<std::string> files_;  // of jobs_
  bool walk_waits_ = false;                // in jobs_: kFolders or kWalk, never both
};

}  // namespace incipit::lsp
