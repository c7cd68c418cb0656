// SHA-256 of files, and the lists of them that sha256sum writes. Called by diagnose() and
// add_model().
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/cancel_token.h"
#include "engine/base/result.h"

namespace incipit::engine {

// Of a model directory.
inline constexpr const char* kChecksumList = "checksums.sha256";

// File name to digest.
using ChecksumList = std::map<std::string, std::string>;

// 64 lower-case hexadecimal digits. Takes seconds a gigabyte.
Result<std::string> sha256_of_file(const std::filesystem::path& path,
                                   const CancelToken& cancel = {});

// kCorrupt when the file has another; the error names file, wanted and found.
Result<void> check_sha256(const std::filesystem::path& path, const std::string& wanted,
                          const CancelToken& cancel = {});

// "<64 hex digits>  name" a line. Errors name `where`, line, wanted and found.
Result<ChecksumList> parse_checksum_list(std::string_view text, const std::string& where);

// That of the directory; kNotFound when it has none.
Result<ChecksumList> read_checksum_list(const std::filesystem::path& directory);

}  // namespace incipit::engine
