// Document URIs: what they mean as a path, and when two spellings are the same document. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace incipit::lsp {

struct Uri {
  std::string scheme;     // lower case; empty when the text is no URI at all
  std::string authority;  // decoded, lower case
  std::string path;       // decoded
  std::string rest;       // "?query#fragment", decoded

  static Uri parse(std::string_view text);

  bool is_file() const { return scheme == "file"; }

  // Equal for two spellings of one document: percent-encoding, case of scheme, host and drive
  // letter, "." and ".." and doubled slashes in file paths do not matter.
  std::string key() const;

  // The file's path ("/home/me/a.py", "c:/work/a.py", "//host/share/a.py"); nothing for other
  // schemes ("untitled:Untitled-1", "vscode-notebook-cell:…").
  std::optional<std::string> file_path() const;

  // What stands behind the last slash; "Untitled-1" for "untitled:Untitled-1".
  std::string file_name() const;
};

}  // namespace incipit::lsp
