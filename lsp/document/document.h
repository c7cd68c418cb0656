// Document: the text of one open document, kept as the client's edits say. Io thread only; what
// other threads get is an immutable DocumentSnapshot, copied once per version that is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lsp/document/edited_spans.h"
#include "lsp/document/line_index.h"
#include "lsp/document/position_mapper.h"
#include "lsp/document/snapshot.h"
#include "lsp/document/uri.h"

namespace incipit::lsp {

class Document {
 public:
  Document(std::string uri, std::string language_id, int64_t version, std::string text);

  const std::string& uri() const { return uri_; }  // as the client wrote it
  const Uri& parsed_uri() const { return parsed_; }
  const std::string& language_id() const { return language_id_; }
  int64_t version() const { return version_; }
  std::string_view text() const { return text_; }
  PositionMapper mapper(PositionEncoding encoding) const { return {text_, lines_, encoding}; }

  // Where the text last changed: the end of what was put in, or between the two of a pair of
  // brackets or quotes. The end of the text before any change.
  size_t edit_offset() const { return edit_offset_; }

  const EditedSpans& edits() const { return edits_; }

  void set_version(int64_t version);
  // A range whose end lies before its start is taken the other way round. `when`: see EditedSpan.
  void replace(const Range& range, std::string_view text, PositionEncoding encoding,
               uint64_t when = 0);
  void replace_all(std::string text, uint64_t when = 0);

  // `path` is what the model is shown.
  DocumentSnapshot snapshot(const std::string& path) const;

 private:
  std::string uri_;
  Uri parsed_;
  std::string language_id_;
  int64_t version_ = 0;
  std::string text_;
  LineIndex lines_;
  size_t edit_offset_ = 0;
  EditedSpans edits_;
  mutable std::shared_ptr<const std::string> shared_text_;  // of this version, once asked for
};

}  // namespace incipit::lsp
