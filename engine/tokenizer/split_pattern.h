// Rewrites the split regex of a tokenizer.json so that PCRE2 gives the very pieces that Hugging
// Face's library gives: \p{L}, \p{N} and \s become explicit ranges of code points
// (unicode_classes.h), because the two libraries know different Unicode versions and PCRE2 counts
// U+180E as white space. Everything else is passed on as it is. Pure; called by Pretokenizer.
#pragma once

#include <string>
#include <string_view>

namespace incipit::engine {

std::string with_explicit_classes(std::string_view pattern);

}  // namespace incipit::engine
