#include "lsp/completion/suggestion_cache.h"

#include <algorithm>
#include <utility>

namespace incipit::lsp {
namespace {

constexpr size_t kBefore = 1024;
constexpr size_t kAfter = 256;

}  // namespace

std::optional<std::string> typed_since(const SuggestionPlace& then, const SuggestionPlace& now) {
  if (now.offset < then.offset || now.uri != then.uri || now.after_size != then.after_size ||
      now.after != then.after || now.max_tokens != then.max_tokens ||
      now.max_lines != then.max_lines) {
    return std::nullopt;
  }
  const size_t n_typed = now.offset - then.offset;
  if (n_typed > now.before.size()) return std::nullopt;
  const std::string_view before = now.before;
  const std::string_view old = before.substr(0, before.size() - n_typed);
  const bool same = std::string_view(then.before).ends_with(old) || old.ends_with(then.before);
  if (!same || (old.empty() && !then.before.empty())) return std::nullopt;
  return with_lf(before.substr(before.size() - n_typed));
}

SuggestionPlace suggestion_place(std::string_view uri, const CursorSite& site,
                                 const CompletionOptions& options) {
  const size_t start = site.tail == LineTail::kClosers ? site.line_end : site.offset;
  const size_t from = site.offset - std::min(site.offset, kBefore);
  return {std::string(uri),
          std::string(site.text.substr(from, site.offset - from)),
          site.offset,
          std::string(site.text.substr(start, kAfter)),
          site.text.size() - start,
          options.max_tokens,
          options.max_lines};
}

bool contradicts(std::string_view suggested, std::string_view typed) {
  const size_t n_common = std::min(suggested.size(), typed.size());
  return suggested.substr(0, n_common) != typed.substr(0, n_common);
}

// What is left of an entry's suggestion at a place that was reached by typing its beginning.
std::optional<Suggestion> SuggestionCache::rest_of(const Entry& entry,
                                                   const SuggestionPlace& place) {
  const auto typed = typed_since(entry.place, place);
  if (!typed || !entry.suggestion.candidate.starts_with(*typed) ||
      typed->size() == entry.suggestion.candidate.size()) {
    return std::nullopt;
  }
  Suggestion rest = entry.suggestion;
  rest.candidate.erase(0, typed->size());
  return rest;
}

void SuggestionCache::remember(SuggestionPlace place, Suggestion suggestion, SuggestionDraw draw) {
  auto at = entries_.begin();
  for (auto next = entries_.begin(); draw.seed != 0 && next != entries_.end();) {
    const auto it = next++;
    const auto known = rest_of(*it, place);
    if (!known) continue;
    const bool comes_later = it->draw.answer == draw.answer && it->draw.seed > draw.seed;
    if (known->candidate != suggestion.candidate) {
      if (!comes_later) at = next;
    } else if (comes_later) {
      if (at == it) at = next;
      entries_.erase(it);
    } else {
      return;
    }
  }
  entries_.insert(at, {std::move(place), std::move(suggestion), draw});
  if (entries_.size() > capacity_) entries_.pop_back();
}

std::optional<Suggestion> SuggestionCache::find(const SuggestionPlace& place,
                                                double min_confidence) const {
  for (const Entry& entry : entries_) {
    auto rest = rest_of(entry, place);
    if (rest && rest->confidence >= min_confidence) return rest;
  }
  return std::nullopt;
}

std::vector<Suggestion> SuggestionCache::find_all(const SuggestionPlace& place) const {
  std::vector<Suggestion> found;
  for (const Entry& entry : entries_) {
    auto rest = rest_of(entry, place);
    const auto same = [&](const Suggestion& other) { return other.candidate == rest->candidate; };
    if (rest && std::none_of(found.begin(), found.end(), same)) found.push_back(std::move(*rest));
  }
  return found;
}

void SuggestionCache::forget(std::string_view uri) {
  entries_.remove_if([&](const Entry& entry) { return entry.place.uri == uri; });
}

}  // namespace incipit::lsp
