#include "lsp/completion/prompt_window.h"

#include <algorithm>

namespace incipit::lsp {
namespace {

// The lines right after the cursor decide what a model writes: they must be as they are.
constexpr size_t kExactHead = 160;
// Further down, a tenth of the picture may be out of date.
constexpr size_t kChangedShare = 10;
// Blanks and closers that came between the cursor and the picture (an editor's "}" on its own
// line).
constexpr size_t kMaxGap = 32;

bool only_blanks_and_closers(std::string_view text) {
  return is_blank(text) || is_closers_only(text);
}

}  // namespace

void PromptWindow::follow(const Text& text) {
  if (text_ == text) return;
  if (text_ != nullptr) {
    const TextDifference edit = difference(*text_, *text);
    const auto moved = [&](size_t offset) { return offset - edit.old_end + edit.new_end; };
    anchors_.remove_if([&](const PromptAnchor& anchor) {
      return edit.start < anchor.start && edit.old_end > anchor.start;
    });
    for (PromptAnchor& anchor : anchors_) {
      if (edit.empty()) continue;
      if (edit.old_end <= anchor.start && edit.start < anchor.start) {
        anchor.start = moved(anchor.start);
      }
      if (edit.start < anchor.answer_start) {
        anchor.answer_start =
            edit.old_end <= anchor.answer_start ? moved(anchor.answer_start) : edit.start;
      }
      const size_t suffix_end = anchor.suffix_start + anchor.suffix.size();
      if (edit.old_end <= anchor.suffix_start) {
        anchor.suffix_start = moved(anchor.suffix_start);
      } else if (edit.start < suffix_end) {
        anchor.suffix_changes += std::max(edit.old_end, edit.new_end) - edit.start;
        if (edit.start < anchor.suffix_start) {
          // Cut into from before: whatever is left begins where the edit ends.
          anchor.suffix_start = edit.new_end;
        }
      }
    }
  }
  text_ = text;
}

bool PromptWindow::suffix_serves(const PromptAnchor& anchor, size_t suffix_start) const {
  const std::string_view text = *text_;
  const std::string_view now = text.substr(suffix_start);
  const std::string_view picture = anchor.suffix;
  if (now.starts_with(picture)) {
    // The document may have grown behind a picture that once reached its end.
    return !anchor.suffix_to_end || now.size() - picture.size() <= kMaxGap + picture.size() / 10;
  }
  const size_t head = std::min(kExactHead, picture.size());
  if (anchor.suffix_changes > std::max<size_t>(16, picture.size() / kChangedShare)) return false;
  if (anchor.suffix_start > text.size()) return false;
  // A little came in between (or went): closers and blanks, which stop checks and postprocess
  // reconcile with the real text.
  const auto [low, high] = std::minmax(anchor.suffix_start, suffix_start);
  const std::string_view gap = text.substr(low, high - low);
  return gap.size() <= kMaxGap && only_blanks_and_closers(gap) &&
         text.substr(anchor.suffix_start).starts_with(picture.substr(0, head));
}

PromptAnchor* PromptWindow::find(size_t cursor, size_t suffix_start) {
  for (auto it = anchors_.begin(); it != anchors_.end(); ++it) {
    if (it->start <= cursor && suffix_serves(*it, suffix_start)) {
      anchors_.splice(anchors_.begin(), anchors_, it);
      return &anchors_.front();
    }
  }
  return nullptr;
}

PromptAnchor& PromptWindow::add(PromptAnchor anchor) {
  anchors_.push_front(std::move(anchor));
  if (anchors_.size() > kMaxAnchors) anchors_.pop_back();
  return anchors_.front();
}

void PromptWindow::drop(const PromptAnchor* anchor) {
  anchors_.remove_if([&](const PromptAnchor& other) { return &other == anchor; });
}

}  // namespace incipit::lsp
