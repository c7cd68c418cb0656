// The source files of a folder that are worth knowing: in a language with a grammar, not ignored,
// not hidden, not secret by name, of usual size. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "lsp/syntax/language.h"

namespace incipit::lsp {

struct WalkedFile {
  std::string path;  // absolute
  const Language* language = nullptr;
  std::filesystem::file_time_type changed;
};

// In the order of names, files of a folder before its folders, so that a limit keeps what lies
// higher up. `.gitignore` files count, symbolic links are not followed, hidden folders and
// node_modules are left out. `visit` returns whether to go on. What cannot be listed is passed
// over.
void walk_sources(const std::string& folder, const std::function<bool(const WalkedFile&)>& visit);

// The language of a file that is not left out by its name; null when it is.
const Language* source_language(const std::string& path);

// Whether a walk of `folder` would come by this file or folder: no part of the way is hidden or
// ignored.
bool walk_would_find(const std::string& folder, const std::string& path);

}  // namespace incipit::lsp
