#include "lsp/document/edited_spans.h"

#include <algorithm>
#include <utility>

namespace incipit::lsp {

void EditedSpans::replaced(size_t start, size_t n_removed, size_t n_added, uint64_t when) {
  const size_t old_end = start + n_removed;
  const size_t new_end = start + n_added;
  const auto moved = [&](size_t at) {
    if (at <= start) return at;
    return at >= old_end ? at - n_removed + n_added : new_end;
  };
  const bool typed = std::max(n_removed, n_added) <= kMaxEditBytes;
  const size_t reach = typed ? kNearBytes : 0;
  EditedSpan edit{start, new_end, when};
  std::vector<EditedSpan> kept;
  for (const EditedSpan& span : spans_) {
    const bool touches = span.start <= old_end + reach && start <= span.end + reach;
    if (!touches) {
      kept.push_back({moved(span.start), moved(span.end), span.when});
    } else if (typed) {
      edit.start = std::min(edit.start, span.start);
      edit.end = std::max(edit.end, moved(span.end));
    }
  }
  if (typed) kept.insert(kept.begin(), edit);
  if (kept.size() > kMaxSpans) kept.resize(kMaxSpans);
  spans_ = std::move(kept);
}

}  // namespace incipit::lsp
