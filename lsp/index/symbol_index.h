// SymbolIndex: name -> where it is defined, over the files that were put into it. Any thread; a
// writer holds the lock for as long as one file takes, never while it reads or parses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lsp/index/file_symbols.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp {

struct IndexedDefinition {
  std::string path;  // as it was put
  const Language* language = nullptr;
  DefinitionKind kind = DefinitionKind::kFunction;
  std::string name;
  std::string signature;
  uint32_t line = 0;  // from 0
};

class SymbolIndex {
 public:
  // In the place of what was known of this file.
  void put(const std::string& path, const Language& language, FileSymbols symbols);
  void remove(const std::string& path);

  // By path, then by line; at most `most`.
  std::vector<IndexedDefinition> find(std::string_view name, size_t most = 64) const;

  size_t n_files() const;
  size_t n_symbols() const;

 private:
  struct File {
    std::string path;
    const Language* language = nullptr;
    FileSymbols symbols;
  };
  struct Place {
    uint32_t file = 0;
    uint32_t symbol = 0;
  };
  void remove_locked(const std::string& path);

  mutable std::shared_mutex mutex_;
  std::map<std::string, uint32_t> ids_;  // of files, by path
  std::unordered_map<uint32_t, File> files_;
  std::unordered_map<size_t, std::vector<Place>> names_;  // by the name's hash
  uint32_t next_id_ = 0;
  size_t n_symbols_ = 0;
};

}  // namespace incipit::lsp
