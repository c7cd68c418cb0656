// Files that look like they hold secrets: never completed, explained or shown to the model as
// context. Pure.
#pragma once

#include <string_view>

namespace incipit::lsp {

// By the file's name and folder: .env, *.pem, id_rsa, .ssh/…, credentials, … Takes a path or a URI.
bool looks_secret(std::string_view path);

}  // namespace incipit::lsp
