// Documentation in the form that a language keeps it: a docstring in Python, a comment in front of
// the definition elsewhere. Pure.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "lsp/completion/code_task.h"
#include "lsp/syntax/language.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

// Where documentation of `definition` would go and how `prose` looks there, in lines of at most 80
// columns. Errors: the language has no such form; there is documentation already.
Result<TextChange> doc_comment(std::string_view text, const Language& language,
                               const Definition& definition, std::string_view prose);

}  // namespace incipit::lsp
