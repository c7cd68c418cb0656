// SHA-256 of files, and the lists of them that sha256sum writes. Called by diagnose().
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

// 64 lower-case hexadecimal digits.
Result<std::string> sha256_of_file(const std::filesystem::path& path);

// "<64 hex digits>  name" a line; name to digest. Errors name `where`, line, wanted and found.
Result<std::map<std::string, std::string>> parse_checksum_list(std::string_view text,
                                                               const std::string& where);

}  // namespace incipit::engine
