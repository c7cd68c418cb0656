#include "lsp/index/workspace_walk.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include "lsp/index/ignore_rules.h"
#include "lsp/index/source_fitness.h"

namespace incipit::lsp {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 64;
// A folder with more entries holds data, not sources; the rest of it is passed over.
constexpr size_t kMaxEntries = 20'000;
constexpr size_t kMaxRulesBytes = size_t{256} << 10;

std::string rules_text(const fs::path& path) {
  std::string text(kMaxRulesBytes, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(stream.gcount()));
  return text;
}

bool is_skipped_folder(const std::string& name) {
  return name.starts_with('.') || name == "node_modules";
}

void add_rules(const fs::path& folder, const std::string& inside, IgnoreRules& rules) {
  std::error_code error;
  const fs::path file = folder / ".gitignore";
  if (fs::is_regular_file(file, error)) rules.add(inside, rules_text(file));
}

class Walk {
 public:
  explicit Walk(const std::function<bool(const WalkedFile&)>& visit) : visit_(visit) {}

  // `inside` is the way from the top: "" or "a/b/". False: enough.
  bool folder(const fs::path& path, const std::string& inside, int depth) {
    std::error_code error;
    add_rules(path, inside, rules_);
    std::vector<fs::directory_entry> entries;
    for (fs::directory_iterator it(path, error), end;
         !error && it != end && entries.size() < kMaxEntries; it.increment(error)) {
      entries.push_back(*it);
    }
    std::sort(entries.begin(), entries.end());
    std::vector<fs::path> folders;
    for (const fs::directory_entry& entry : entries) {
      // A link may lead out of the folder, or round in circles.
      if (entry.is_symlink(error)) continue;
      const std::string name = entry.path().filename().string();
      if (entry.is_directory(error)) {
        const bool skipped = is_skipped_folder(name) || rules_.ignores(inside + name, true);
        if (!skipped && depth < kMaxDepth) folders.push_back(entry.path());
      } else if (entry.is_regular_file(error) && !file(entry, inside + name)) {
        return false;
      }
    }
    return std::all_of(folders.begin(), folders.end(), [&](const fs::path& next) {
      return folder(next, inside + next.filename().string() + "/", depth + 1);
    });
  }

 private:
  bool file(const fs::directory_entry& entry, const std::string& relative) {
    WalkedFile found{entry.path().string(), source_language(entry.path().string()), {}};
    std::error_code error;
    if (found.language == nullptr || rules_.ignores(relative, false)) return true;
    if (!unfit_by_size(entry.file_size(error)).empty()) return true;
    found.changed = entry.last_write_time(error);
    return visit_(found);
  }

  const std::function<bool(const WalkedFile&)>& visit_;
  IgnoreRules rules_;
};

}  // namespace

void walk_sources(const std::string& folder, const std::function<bool(const WalkedFile&)>& visit) {
  Walk(visit).folder(folder, "", 0);
}

const Language* source_language(const std::string& path) {
  return unfit_by_name(path).empty() ? find_language("", path) : nullptr;
}

bool walk_would_find(const std::string& folder, const std::string& path) {
  const fs::path way = fs::path(path).lexically_relative(folder);
  if (way.empty() || *way.begin() == "..") return false;
  IgnoreRules rules;
  fs::path at = folder;
  std::string inside;
  for (auto part = way.begin(); part != way.end(); ++part) {
    const std::string name = part->string();
    add_rules(at, inside, rules);
    at /= *part;
    std::error_code error;
    const bool is_folder = std::next(part) != way.end() || fs::is_directory(at, error);
    if (fs::is_symlink(at, error) || rules.ignores(inside + name, is_folder)) return false;
    if (is_folder && is_skipped_folder(name)) return false;
    inside += name + "/";
  }
  return true;
}

}  // namespace incipit::lsp
