// Positions, ranges and the ways a message names a document. Field names are the wire's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lsp/protocol/json_fields.h"

namespace incipit::lsp {

// `character` counts code units of the negotiated encoding.
struct Position {
  uint32_t line = 0;
  uint32_t character = 0;
  friend bool operator==(const Position&, const Position&) = default;
};
template <class V>
void visit_fields(V& v, Position& p) {
  v("line", p.line);
  v("character", p.character);
}

struct Range {
  Position start;
  Position end;
  friend bool operator==(const Range&, const Range&) = default;
};
template <class V>
void visit_fields(V& v, Range& r) {
  v("start", r.start);
  v("end", r.end);
}

struct TextDocumentIdentifier {
  std::string uri;
};
template <class V>
void visit_fields(V& v, TextDocumentIdentifier& d) {
  v("uri", d.uri);
}

struct VersionedTextDocumentIdentifier {
  std::string uri;
  std::optional<int64_t> version;  // null in clients older than 3.16
};
template <class V>
void visit_fields(V& v, VersionedTextDocumentIdentifier& d) {
  v("uri", d.uri);
  v("version", d.version);
}

struct TextEdit {
  Range range;
  std::string newText;
};
template <class V>
void visit_fields(V& v, TextEdit& e) {
  v("range", e.range);
  v("newText", e.newText);
}

struct Command {
  std::string title;
  std::string command;
  std::vector<Json> arguments;
};
template <class V>
void visit_fields(V& v, Command& c) {
  v("title", c.title);
  v("command", c.command);
  v("arguments", c.arguments);
}

}  // namespace incipit::lsp
