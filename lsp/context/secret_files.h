// Files that look like they hold secrets: never completed, explained or shown to the model as
// context. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace incipit::lsp {

// By the file's name and folder: .env, *.pem, id_rsa, .ssh/…, credentials, … Takes a path or a URI.
bool looks_secret(std::string_view path);

// By the text: whether a block "-----BEGIN … PRIVATE KEY-----" with something in it stands between
// `start` and `end` or near enough that a prompt for this place could take of it. The mere marker,
// as in code that reads keys, is none.
bool holds_private_key(std::string_view text, size_t start, size_t end);
inline constexpr const char* kPrivateKeyNear =
    "there is a private key nearby; such text is never shown to the model";

}  // namespace incipit::lsp
