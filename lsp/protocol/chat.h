// incipit.chat: what its argument and its result look like. Field names are the wire's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/json_fields.h"

namespace incipit::lsp {

struct ChatContextParams {
  std::string path;
  std::string text;
  std::optional<std::string> languageId;
};
template <class V>
void visit_fields(V& v, ChatContextParams& c) {
  v("path", c.path);
  v("text", c.text);
  v("languageId", c.languageId);
}

struct ChatMessageParams {
  std::string role;
  std::string content;
  std::optional<std::vector<ChatContextParams>> context;
};
template <class V>
void visit_fields(V& v, ChatMessageParams& m) {
  v("role", m.role);
  v("content", m.content);
  v("context", m.context);
}

struct ChatParams {
  std::vector<ChatMessageParams> messages;
};
template <class V>
void visit_fields(V& v, ChatParams& p) {
  v("messages", p.messages);
}

struct ChatResult {
  std::string text;
  std::string finish;   // "stop"; "length": cut off
  int32_t leftOut = 0;  // oldest messages that the model was not shown
};
template <class V>
void visit_fields(V& v, ChatResult& r) {
  v("text", r.text);
  v("finish", r.finish);
  v("leftOut", r.leftOut);
}

}  // namespace incipit::lsp
