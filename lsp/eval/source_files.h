// The files of an evaluation and their holes: finds them in folders, leaves out what is unfit,
// counts that by reason. Reads files, never changes any. Main thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"
#include "lsp/document/snapshot.h"
#include "lsp/eval/hole.h"
#include "lsp/syntax/language.h"
#include "lsp/syntax/parser.h"

namespace incipit::lsp::eval {

struct EvalOptions {
  int32_t holes = 50;  // a language
  uint64_t seed = 1;
  std::vector<HoleKind> kinds{kHoleKinds.begin(), kHoleKinds.end()};
  std::vector<const Language*> languages;  // none: all
  int32_t max_files = 20;                  // a language
  bool neighbours = false;                 // the files beside one are open, too: see files_beside()
};

struct EvalFile {
  std::string name;  // relative to the folder it was found in
  std::string uri;
  const Language* language = nullptr;
  Text text;
  std::vector<Hole> holes;                    // in the order of their places
  std::vector<DocumentSnapshot> beside = {};  // what else is open
};

struct EvalFiles {
  std::vector<EvalFile> files;          // by language, then by name
  std::map<std::string, int> left_out;  // how many files by reason
};

// `paths` are folders and files. Of a language with more than `max_files`, those are taken whose
// names come first in an order that the seed makes. An error when a path cannot be read, kCancelled
// when asked to stop.
Result<EvalFiles> find_files(const std::vector<std::string>& paths, const EvalOptions& options,
                             const CancelToken& cancel);

}  // namespace incipit::lsp::eval
