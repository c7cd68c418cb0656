#include "lsp/context/related_definitions.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "lsp/context/cursor_site.h"
#include "lsp/context/names.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Where names are looked for around the cursor.
constexpr size_t kBytesBefore = 3000;
constexpr size_t kBytesAfter = 800;
// Where this file's imports and its own definitions are looked for: a query costs by the byte.
constexpr size_t kImportBytes = size_t{16} << 10;
constexpr size_t kOwnBytes = size_t{48} << 10;
constexpr size_t kMaxNames = 96;
constexpr size_t kMinNameBytes = 3;
// A name that is defined in more places than this ("get", "run") says nothing.
constexpr size_t kMaxPlaces = 8;
// So many bytes away a name counts half.
constexpr double kHalfWay = 400;
// Weights by what a reader would look at first; their ratios were chosen by hand, not measured.
constexpr double kImported = 4;
constexpr double kSameFolder = 2;

struct NearName {
  string_view name;
  double nearness = 0;  // 1 at the cursor
};

std::vector<NearName> names_near(string_view text, size_t offset) {
  const size_t from = offset - std::min(offset, kBytesBefore);
  const size_t to = std::min(text.size(), offset + kBytesAfter);
  std::map<string_view, double> found;
  for_each_name(text, from, to, kMinNameBytes, [&](string_view name, size_t at) {
    const double away = static_cast<double>(at < offset ? offset - at : at - offset);
    double& nearness = found[name];
    nearness = std::max(nearness, kHalfWay / (kHalfWay + away));
  });
  std::vector<NearName> result;
  for (const auto& [name, nearness] : found) result.push_back({name, nearness});
  std::stable_sort(result.begin(), result.end(),
                   [](const NearName& a, const NearName& b) { return a.nearness > b.nearness; });
  if (result.size() > kMaxNames) result.resize(kMaxNames);
  return result;
}

string_view folder_of(string_view path) {
  const size_t slash = path.rfind('/');
  return slash == string_view::npos ? string_view{} : path.substr(0, slash);
}

// What an import would call this file: its name without the extension, or its folder's where the
// file only stands for it.
string_view module_of(string_view path) {
  const string_view folder = folder_of(path);
  string_view name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.find('.'));
  if (name == "__init__" || name == "index" || name == "mod" || name == "lib") {
    return folder.substr(folder.rfind('/') + 1);
  }
  return name;
}

bool has_word(string_view text, string_view word) {
  if (word.empty()) return false;
  for (size_t at = 0; (at = text.find(word, at)) != string_view::npos; at += word.size()) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_identifier(text[at - 1])) &&
        (end == text.size() || !is_identifier(text[end]))) {
      return true;
    }
  }
  return false;
}

struct OwnFile {
  std::string imports;
  std::set<std::string, std::less<>> names;  // defined here
};

OwnFile look_at_own(const SyntaxTree* tree, size_t offset) {
  OwnFile own;
  if (tree == nullptr) return own;
  const size_t size = tree->text()->size();
  for (const Span& span : imports_in(*tree, {0, std::min(size, kImportBytes)})) {
    own.imports += tree->text()->substr(span.start, span.end - span.start) + "\n";
  }
  const Span around{offset - std::min(offset, kOwnBytes), std::min(size, offset + kOwnBytes)};
  for (const Definition& d : declarations_in(*tree, around)) own.names.insert(d.name);
  return own;
}

double weight_of(const IndexedDefinition& definition, const RelatedQuery& query,
                 const OwnFile& own) {
  double weight = 1;
  if (has_word(own.imports, module_of(definition.path))) weight *= kImported;
  if (folder_of(definition.path) == folder_of(query.path)) weight *= kSameFolder;
  return weight;
}

}  // namespace

std::vector<RelatedDefinition> related_definitions(const SymbolIndex& index,
                                                   const RelatedQuery& query, size_t most) {
  std::vector<RelatedDefinition> result;
  if (query.language == nullptr) return result;
  const OwnFile own = look_at_own(query.tree, query.offset);
  for (const NearName& near : names_near(query.text, std::min(query.offset, query.text.size()))) {
    if (own.names.contains(near.name)) continue;
    std::vector<IndexedDefinition> places = index.find(near.name);
    std::erase_if(places, [&](const IndexedDefinition& place) {
      return place.path == query.path || !are_related(*place.language, *query.language);
    });
    if (places.size() > kMaxPlaces) continue;
    for (IndexedDefinition& place : places) {
      const double score =
          near.nearness * weight_of(place, query, own) / static_cast<double>(places.size());
      result.push_back({std::move(place), score});
    }
  }
  std::sort(result.begin(), result.end(),
            [](const RelatedDefinition& a, const RelatedDefinition& b) {
              if (a.score != b.score) return a.score > b.score;
              return std::tie(a.definition.path, a.definition.line) <
                     std::tie(b.definition.path, b.definition.line);
            });
  if (result.size() > most) result.resize(most);
  return result;
}

}  // namespace incipit::lsp
