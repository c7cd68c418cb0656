#include "engine/tools/file_digest.h"

#include <fmt/core.h>
#include <sha2.h>  // libmd

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <vector>

#include "engine/config/json_fields.h"

namespace incipit::engine {
namespace {

constexpr size_t kHexDigits = 64;

bool is_digest(std::string_view text) {
  return text.size() == kHexDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return std::isxdigit(static_cast<unsigned char>(c)) != 0;
         });
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

Result<std::string> sha256_of_file(const std::filesystem::path& path, const CancelToken& cancel) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorCode::kIo, fmt::format("{}: cannot be opened", path.string())};
  SHA2_CTX context;
  SHA256Init(&context);
  std::vector<char> buffer(size_t{1} << 20);
  while (in) {
    if (cancel.cancelled())
      return Error{ErrorCode::kCancelled, fmt::format("{}: reading was cancelled", path.string())};
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    SHA256Update(&context, reinterpret_cast<const uint8_t*>(buffer.data()),
                 static_cast<size_t>(in.gcount()));
  }
  if (!in.eof()) return Error{ErrorCode::kIo, fmt::format("{}: cannot be read", path.string())};
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256Final(digest.data(), &context);
  std::string hex;
  for (const uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

Result<void> check_sha256(const std::filesystem::path& path, const std::string& wanted,
                          const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const std::string found, sha256_of_file(path, cancel));
  if (found == wanted) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("{}: SHA-256: want {}, found {}", path.string(), wanted, found)};
}

Result<ChecksumList> read_checksum_list(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kChecksumList;
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  return parse_checksum_list(text, path.string());
}

Result<ChecksumList> parse_checksum_list(std::string_view text, const std::string& where) {
  ChecksumList list;
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    // Between digest and name: a space, then a space or (binary mode) a star.
    const bool fits = line.size() > kHexDigits + 2 && is_digest(line.substr(0, kHexDigits)) &&
                      line[kHexDigits] == ' ' &&
                      (line[kHexDigits + 1] == ' ' || line[kHexDigits + 1] == '*');
    const std::string_view name = fits ? line.substr(kHexDigits + 2) : "";
    if (!fits || name.find('/') != std::string_view::npos) {
      return Error{
          ErrorCode::kCorrupt,
          fmt::format("{}: line {}: want 64 hexadecimal digits, two spaces and a file name "
                      "without a directory, found \"{}\"",
                      where, line_number, line.substr(0, 80))};
    }
    list[std::string(name)] = lower(line.substr(0, kHexDigits));
  }
  return list;
}

}  // namespace incipit::engine
