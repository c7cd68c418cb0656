// EditedSpans: where one document was edited lately, kept up to date by later edits. Edits near
// each other are one span; only the newest few are remembered. Io thread, with its Document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace incipit::lsp {

// Bytes of the document as it is now; empty where text was only taken away.
struct EditedSpan {
  size_t start = 0;
  size_t end = 0;
  uint64_t when = 0;  // grows with every change of any document

  friend bool operator==(const EditedSpan&, const EditedSpan&) = default;
};

class EditedSpans {
 public:
  static constexpr size_t kMaxSpans = 8;
  // What lies no further apart is one piece of work: about five lines.
  static constexpr size_t kNearBytes = 200;
  // Nobody types that at once: a file that was read again, a formatter. It is no edit of the user.
  static constexpr size_t kMaxEditBytes = size_t{8} << 10;

  // Of the text, [start, start + n_removed) became `n_added` bytes.
  void replaced(size_t start, size_t n_removed, size_t n_added, uint64_t when);

  const std::vector<EditedSpan>& newest_first() const { return spans_; }

 private:
  std::vector<EditedSpan> spans_;
};

}  // namespace incipit::lsp
