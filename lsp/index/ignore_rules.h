// IgnoreRules: the patterns of the .gitignore files met on the way down a folder, as gitignore(5)
// has them: the last one that matches decides. Of "**" only "**/" in front and "/**" at the end are
// known. Built while walking, by one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace incipit::lsp {

class IgnoreRules {
 public:
  // The text of a .gitignore. `directory` is where it lies, relative to the top, "" or "a/b/".
  void add(std::string_view directory, std::string_view text);

  // `path` is relative to the top: "a/b.py". Whether its folders are ignored is the caller's
  // question.
  bool ignores(const std::string& path, bool is_directory) const;

 private:
  struct Rule {
    std::string directory;
    std::string pattern;
    bool with_path = false;  // matches from `directory` on, not the name alone
    bool directories_only = false;
    bool takes_back = false;  // "!"
  };
  std::vector<Rule> rules_;
};

}  // namespace incipit::lsp
