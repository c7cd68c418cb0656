#include "lsp/index/ignore_rules.h"

#include <fnmatch.h>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {

void IgnoreRules::add(std::string_view directory, std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    std::string_view pattern = trim_right(line);
    if (pattern.empty() || pattern.front() == '#') continue;
    Rule rule;
    rule.directory = directory;
    rule.takes_back = pattern.front() == '!';
    if (rule.takes_back) pattern.remove_prefix(1);
    if (pattern.ends_with("/**")) pattern.remove_suffix(2);
    rule.directories_only = pattern.ends_with('/');
    if (rule.directories_only) pattern.remove_suffix(1);
    const bool anywhere = pattern.starts_with("**/");
    if (anywhere) pattern.remove_prefix(3);
    rule.with_path = !anywhere && pattern.find('/') != pattern.npos;
    if (pattern.starts_with('/')) pattern.remove_prefix(1);
    rule.pattern = pattern;
    if (!rule.pattern.empty()) rules_.push_back(std::move(rule));
  }
}

bool IgnoreRules::ignores(const std::string& path, bool is_directory) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->directories_only && !is_directory) continue;
    if (!path.starts_with(rule->directory)) continue;
    const std::string tail =
        path.substr(rule->with_path ? rule->directory.size() : path.rfind('/') + 1);
    if (fnmatch(rule->pattern.c_str(), tail.c_str(), FNM_PATHNAME) == 0) return !rule->takes_back;
  }
  return false;
}

}  // namespace incipit::lsp
