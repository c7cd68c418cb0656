// TriggerPolicy: whether a place is worth asking the model about at all. Pure; the text of a
// refusal is shown to users as the reason for an empty answer.
#pragma once

#include <string>
#include <string_view>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

struct TriggerPolicy {
  size_t min_text_chars = 2;  // in the whole document, blanks not counted

  // Empty: go on. Asked for by hand (`invoked`), only what is never allowed is refused.
  std::string refusal(const CursorSite& site, std::string_view path, bool invoked) const;
};

}  // namespace incipit::lsp
