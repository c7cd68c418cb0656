#include "lsp/index/symbol_index.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <tuple>
#include <utility>

namespace incipit::lsp {
namespace {

size_t hash_of(std::string_view name) {
  return std::hash<std::string_view>()(name);
}

}  // namespace

void SymbolIndex::put(const std::string& path, const Language& language, FileSymbols symbols) {
  const std::unique_lock lock(mutex_);
  remove_locked(path);
  const uint32_t id = next_id_++;
  for (size_t i = 0; i < symbols.size(); ++i) {
    names_[hash_of(symbols.name(i))].push_back({id, static_cast<uint32_t>(i)});
  }
  n_symbols_ += symbols.size();
  ids_[path] = id;
  files_[id] = File{path, &language, std::move(symbols)};
}

void SymbolIndex::remove(const std::string& path) {
  const std::unique_lock lock(mutex_);
  remove_locked(path);
}

void SymbolIndex::remove_locked(const std::string& path) {
  const auto found = ids_.find(path);
  if (found == ids_.end()) return;
  const uint32_t id = found->second;
  const FileSymbols& symbols = files_.at(id).symbols;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const auto entry = names_.find(hash_of(symbols.name(i)));
    if (entry == names_.end()) continue;  // all of this file's places went with an earlier one
    std::erase_if(entry->second, [id](const Place& place) { return place.file == id; });
    if (entry->second.empty()) names_.erase(entry);
  }
  n_symbols_ -= symbols.size();
  files_.erase(id);
  ids_.erase(found);
}

std::vector<IndexedDefinition> SymbolIndex::find(std::string_view name, size_t most) const {
  std::vector<IndexedDefinition> result;
  const std::shared_lock lock(mutex_);
  const auto entry = names_.find(hash_of(name));
  if (entry == names_.end()) return result;
  for (const Place& place : entry->second) {
    const File& file = files_.at(place.file);
    if (file.symbols.name(place.symbol) != name) continue;  // another name of the same hash
    result.push_back({file.path, file.language, file.symbols.kind(place.symbol), std::string(name),
                      std::string(file.symbols.signature(place.symbol)),
                      file.symbols.line(place.symbol)});
  }
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) {
    return std::tie(a.path, a.line) < std::tie(b.path, b.line);
  });
  if (result.size() > most) result.resize(most);
  return result;
}

size_t SymbolIndex::n_files() const {
  const std::shared_lock lock(mutex_);
  return files_.size();
}

size_t SymbolIndex::n_symbols() const {
  const std::shared_lock lock(mutex_);
  return n_symbols_;
}

}  // namespace incipit::lsp
