#include "lsp/context/open_excerpts.h"

#include <algorithm>
#include <utility>

#include "lsp/context/cursor_site.h"
#include "lsp/context/secret_files.h"
#include "lsp/context/similar_lines.h"
#include "lsp/index/source_fitness.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Few and long beat many and short: a model sees how code is written only where there is some.
constexpr size_t kMaxSimilar = 4;
constexpr size_t kMinSimilarBytes = 500;
constexpr size_t kMaxWindowLines = 60;
// Below these, what is shared are words that any two files share.
constexpr size_t kLeastShared = 3;
constexpr double kLeastSimilarity = 0.05;

constexpr size_t kMaxEdited = 3;
constexpr size_t kPathBytes = 2;  // what a path costs beside itself

bool is_usable(const DocumentSnapshot& document, const Language& language) {
  if (document.text == nullptr || document.text->empty()) return false;
  const string_view path = document.path.empty() ? document.uri : document.path;
  const Language* other = find_language(document.language_id, path);
  return other != nullptr && are_related(*other, language) && unfit_by_name(path).empty() &&
         unfit_by_name(document.uri).empty() && unfit_by_size(document.text->size()).empty() &&
         unfit_by_text(*document.text).empty();
}

std::string lines_of(string_view text, Span span) {
  std::string lines = with_lf(text.substr(span.start, span.end - span.start));
  if (!lines.ends_with('\n')) lines += '\n';
  return lines;
}

size_t line_start(string_view text, size_t at) {
  return at == 0 ? 0 : text.rfind('\n', at - 1) + 1;  // 0 where there is none before
}

size_t line_end(string_view text, size_t at) {
  const size_t end = text.find('\n', at);
  return end == string_view::npos ? text.size() : end + 1;
}

// The lines of the span with one more above and below, at most `max_bytes`: the later ones where
// they are more, as they were written last. Empty when the last is too long.
Span lines_around(string_view text, const EditedSpan& edit, size_t max_bytes) {
  const size_t end = std::min(edit.end, text.size());
  Span span{line_start(text, std::min(edit.start, end)), line_end(text, end)};
  if (span.start > 0) span.start = line_start(text, span.start - 1);
  span.end = line_end(text, span.end);
  while (span.end - span.start > max_bytes) {
    span.start = std::min(line_end(text, span.start), span.end);
  }
  return span;
}

bool overlap(Span a, Span b) {
  return a.start < b.end && b.start < a.end;
}

struct Edit {
  size_t document = 0;
  EditedSpan span;
};

std::vector<Edit> edits_of(const OpenDocuments& open) {
  std::vector<Edit> edits;
  for (size_t i = 0; i < open.others.size(); ++i) {
    if (open.others[i].text == nullptr) continue;
    for (const EditedSpan& span : open.others[i].edits) edits.push_back({i, span});
  }
  for (const EditedSpan& span : open.own_edits) edits.push_back({open.others.size(), span});
  std::stable_sort(edits.begin(), edits.end(),
                   [](const Edit& a, const Edit& b) { return a.span.when > b.span.when; });
  return edits;
}

}  // namespace

std::vector<OpenExcerpt> similar_excerpts(const OpenDocuments& open, const OpenPlace& place,
                                          size_t max_bytes) {
  const size_t n_most = std::clamp<size_t>(max_bytes / kMinSimilarBytes, 1, kMaxSimilar);
  const size_t share = max_bytes / n_most;
  const NameSet names = names_around(place.text, place.offset);
  std::vector<std::pair<double, OpenExcerpt>> found;
  for (size_t i = 0; i < open.others.size(); ++i) {
    const DocumentSnapshot& other = open.others[i];
    const size_t path_bytes = other.path.size() + kPathBytes;
    if (path_bytes >= share || !is_usable(other, *place.language)) continue;
    const auto lines = most_similar_lines(*other.text, names, kMaxWindowLines, share - path_bytes);
    if (!lines || lines->n_shared < kLeastShared || lines->similarity < kLeastSimilarity) continue;
    found.push_back(
        {lines->similarity, {other.path, lines_of(*other.text, lines->span), i, lines->span}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<OpenExcerpt> excerpts;
  for (auto& [similarity, excerpt] : found) {
    if (excerpts.size() < n_most) excerpts.push_back(std::move(excerpt));
  }
  return excerpts;
}

std::vector<OpenExcerpt> edited_excerpts(const OpenDocuments& open, const OpenPlace& place,
                                         const std::vector<OpenExcerpt>& known, size_t max_bytes) {
  const size_t own = open.others.size();
  std::vector<OpenExcerpt> excerpts;
  for (const Edit& edit : edits_of(open)) {
    if (excerpts.size() == kMaxEdited) break;
    const bool is_own = edit.document == own;
    const string_view text = is_own ? place.text : string_view(*open.others[edit.document].text);
    const std::string path(is_own ? place.shown_path : open.others[edit.document].path);
    const size_t path_bytes = path.size() + kPathBytes;
    if (path_bytes >= max_bytes / kMaxEdited || text.empty()) continue;
    const Span span = lines_around(text, edit.span, max_bytes / kMaxEdited - path_bytes);
    const auto has = [&](const OpenExcerpt& one) {
      return one.document == edit.document && overlap(one.span, span);
    };
    if (is_blank(text.substr(span.start, span.end - span.start)) ||
        (is_own && overlap(place.shown, span)) || std::any_of(known.begin(), known.end(), has) ||
        std::any_of(excerpts.begin(), excerpts.end(), has)) {
      continue;
    }
    const bool usable = is_own ? !holds_private_key(text, span.start, span.end)
                               : is_usable(open.others[edit.document], *place.language);
    if (usable) excerpts.push_back({path, lines_of(text, span), edit.document, span});
  }
  return excerpts;
}

}  // namespace incipit::lsp
