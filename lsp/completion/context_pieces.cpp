#include "lsp/completion/context_pieces.h"

#include <algorithm>
#include <utility>

#include "lsp/context/related_definitions.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

using std::string_view;

constexpr size_t kMaxDefinitions = 24;

// Of the workspace, with a slash at its end; empty when it is not known.
string_view root_of(const ContextPlace& place) {
  const bool known = place.file_path.ends_with(place.shown_path);
  return known ? place.file_path.substr(0, place.file_path.size() - place.shown_path.size()) : "";
}

// Below the folder of the workspace, as the document's own path is shown.
string_view shown_as(string_view path, const ContextPlace& place) {
  const string_view root = root_of(place);
  if (!root.empty() && path.starts_with(root)) return path.substr(root.size());
  return path.substr(path.rfind('/') + 1);  // no home directory enters a prompt
}

std::string lines_of(const IndexedDefinition& definition) {
  std::string text = with_lf(trim_right(definition.signature));
  const bool whole = text.ends_with('}') || text.ends_with(';');
  if (!whole && definition.kind == DefinitionKind::kFunction) text += definition.language->stub_end;
  return text + "\n";
}

}  // namespace

std::vector<ContextPiece> definition_pieces(const SymbolIndex& symbols, const ContextPlace& place,
                                            size_t max_bytes) {
  std::vector<ContextPiece> pieces;
  if (place.file_path.empty() || place.language == nullptr) return pieces;
  const RelatedQuery query{place.site->text, place.site->offset, std::string(place.file_path),
                           place.language, place.tree};
  size_t used = 0;
  for (const RelatedDefinition& one : related_definitions(symbols, query, kMaxDefinitions)) {
    if (looks_secret(one.definition.path)) continue;
    const std::string path(shown_as(one.definition.path, place));
    const std::string lines = lines_of(one.definition);
    const auto piece = std::find_if(pieces.begin(), pieces.end(),
                                    [&](const ContextPiece& other) { return other.path == path; });
    const size_t cost = lines.size() + (piece == pieces.end() ? path.size() + 2 : 0);
    if (used + cost > max_bytes) continue;
    used += cost;
    if (piece == pieces.end()) {
      pieces.push_back({ContextSource::kDefinitions, path, lines});
    } else {
      piece->text += lines;
    }
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<ContextPiece> open_pieces(const OpenDocuments& open, const ContextPlace& place,
                                      size_t max_similar_bytes, size_t max_edited_bytes) {
  std::vector<ContextPiece> pieces;
  if (place.language == nullptr) return pieces;
  const OpenPlace from{place.site->text, place.site->offset, place.language, place.shown_path,
                       place.shown};
  std::vector<OpenExcerpt> similar, edited;
  if (open.similar) similar = similar_excerpts(open, from, max_similar_bytes);
  if (open.edited) edited = edited_excerpts(open, from, similar, max_edited_bytes);
  const auto take = [&](std::vector<OpenExcerpt>& excerpts, ContextSource source) {
    for (auto it = excerpts.rbegin(); it != excerpts.rend(); ++it) {
      pieces.push_back({source, std::move(it->path), std::move(it->text)});
    }
  };
  take(similar, ContextSource::kSimilar);
  take(edited, ContextSource::kEdited);
  return pieces;
}

string_view repository_of(const ContextPlace& place) {
  string_view root = root_of(place);
  while (root.ends_with('/')) root.remove_suffix(1);
  return root.substr(root.rfind('/') + 1);
}

std::string as_comments(const ContextPiece& piece, const Language& language) {
  if (language.line_comment.empty()) return "";
  const std::string mark = std::string(language.line_comment) + " ";
  std::string result = mark + piece.path + "\n";
  for (size_t at = 0; at < piece.text.size();) {
    const size_t end = std::min(piece.text.find('\n', at), piece.text.size());
    result += mark + piece.text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return result;
}

}  // namespace incipit::lsp
