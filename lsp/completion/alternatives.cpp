#include "lsp/completion/alternatives.h"

#include <algorithm>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

// A draw may say what another said: so many a suggestion that is wanted.
constexpr uint64_t kDrawsEach = 2;

bool is_same(const CompletionItem& a, const CompletionItem& b) {
  return a.replace_start == b.replace_start && a.replace_end == b.replace_end &&
         trim_right(a.insert_text) == trim_right(b.insert_text);
}

}  // namespace

size_t n_wanted(const CompletionRequest& request) {
  return request.invoked ? static_cast<size_t>(std::max(1, request.options.alternatives)) : 1;
}

std::vector<CompletionItem> Alternatives::items() const {
  std::vector<CompletionItem> result;
  if (first) result = first->items;
  for (const auto& [seed, item] : drawn) {
    const auto known = [&item = item](const CompletionItem& other) { return is_same(item, other); };
    if (std::none_of(result.begin(), result.end(), known)) result.push_back(item);
  }
  const size_t n = n_wanted(start.request);
  if (result.size() > n) result.resize(n);
  return result;
}

bool Alternatives::needs_another() const {
  const size_t n = n_wanted(start.request);
  const size_t n_coming = items().size() + n_running + (first ? 0 : 1);
  return !is_closed && n_coming < n && last_seed < kDrawsEach * n;
}

}  // namespace incipit::lsp
