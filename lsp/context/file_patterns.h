// File name patterns of the user's (incipit.excludeFiles): `*` and `?`, any case. Pure.
#pragma once

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <vector>

namespace incipit::lsp {

inline bool matches_any(const std::vector<std::string>& patterns, const std::string& file_name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), file_name.c_str(), FNM_CASEFOLD) == 0;
  });
}

}  // namespace incipit::lsp
