#include "lsp/context/similar_lines.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "lsp/context/names.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// As far as pocket's training looks, which chooses excerpts in the same way (cross_file.h there).
constexpr size_t kReachBefore = 900;
constexpr size_t kReachAfter = 300;
// Shorter ones ("for", "i", "int") are in every file.
constexpr size_t kShortestName = 4;
// What is read of one file.
constexpr size_t kMaxBytesRead = size_t{64} << 10;

struct Line {
  size_t start = 0;
  size_t end = 0;  // with its line break
  std::vector<uint32_t> names;
};

// A run of lines that moves down a file, and how many of its names are different and wanted.
class Run {
 public:
  Run(string_view text, const NameSet& wanted) : n_wanted_names_(wanted.size()) {
    std::unordered_map<string_view, uint32_t> ids;
    for (size_t at = 0; at < text.size();) {
      const size_t line_end = text.find('\n', at);
      Line line{at, line_end == string_view::npos ? text.size() : line_end + 1, {}};
      for_each_name(text, line.start, line.end, kShortestName, [&](string_view name, size_t) {
        const auto [place, is_new] = ids.emplace(name, static_cast<uint32_t>(ids.size()));
        if (is_new) is_wanted_.push_back(wanted.contains(name));
        line.names.push_back(place->second);
      });
      at = line.end;
      lines_.push_back(std::move(line));
    }
    counts_.resize(ids.size());
  }

  const std::vector<Line>& lines() const { return lines_; }
  void enter(const Line& line) {
    for (const uint32_t id : line.names) {
      if (counts_[id]++ > 0) continue;
      ++n_names_;
      n_shared_ += is_wanted_[id] ? 1 : 0;
    }
  }
  void leave(const Line& line) {
    for (const uint32_t id : line.names) {
      if (--counts_[id] > 0) continue;
      --n_names_;
      n_shared_ -= is_wanted_[id] ? 1 : 0;
    }
  }
  size_t n_shared() const { return n_shared_; }
  double similarity() const {
    const size_t n_either = n_names_ + n_wanted_names_ - n_shared_;
    return n_either == 0 ? 0 : static_cast<double>(n_shared_) / static_cast<double>(n_either);
  }

 private:
  const size_t n_wanted_names_;
  std::vector<Line> lines_;
  std::vector<bool> is_wanted_;   // by id
  std::vector<uint32_t> counts_;  // by id: how often in the run
  size_t n_names_ = 0;            // different ones in the run
  size_t n_shared_ = 0;           // of those, wanted
};

Span without_blank_ends(string_view text, Span span) {
  while (span.start < span.end) {
    const size_t line_end = std::min(text.find('\n', span.start), span.end - 1) + 1;
    if (!is_blank(text.substr(span.start, line_end - span.start))) break;
    span.start = line_end;
  }
  while (span.start < span.end) {
    const size_t above = span.end < 2 ? string_view::npos : text.rfind('\n', span.end - 2);
    const size_t line = above == string_view::npos ? 0 : above + 1;
    if (!is_blank(text.substr(line, span.end - line))) break;
    span.end = line;
  }
  return span;
}

}  // namespace

NameSet names_around(string_view text, size_t offset) {
  NameSet names;
  offset = std::min(offset, text.size());
  for_each_name(text, offset - std::min(offset, kReachBefore), offset + kReachAfter, kShortestName,
                [&](string_view name, size_t) { names.insert(name); });
  return names;
}

std::optional<SimilarLines> most_similar_lines(string_view text, const NameSet& names,
                                               size_t max_lines, size_t max_bytes) {
  text = text.substr(0, kMaxBytesRead);
  Run run(text, names);
  const std::vector<Line>& lines = run.lines();
  SimilarLines best;
  for (size_t first = 0, end = 0; first < lines.size(); ++first) {
    end = std::max(end, first);
    while (end < lines.size() && end - first < max_lines &&
           lines[end].end - lines[first].start <= max_bytes) {
      run.enter(lines[end++]);
    }
    if (end == first) continue;  // one line that is too long
    if (run.similarity() > best.similarity) {
      best = {{lines[first].start, lines[end - 1].end}, run.similarity(), run.n_shared()};
    }
    run.leave(lines[first]);
  }
  if (best.n_shared == 0) return std::nullopt;
  best.span = without_blank_ends(text, best.span);
  return best;
}

}  // namespace incipit::lsp
