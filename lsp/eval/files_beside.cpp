#include "lsp/eval/files_beside.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "lsp/eval/hole_choice.h"
#include "lsp/eval/hole_places.h"
#include "lsp/index/source_fitness.h"

namespace incipit::lsp::eval {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBeside = 8;
// So many files of a folder are looked at: large trees cost time and change nothing.
constexpr size_t kMaxListed = 2000;

std::vector<fs::path> related_files_in(const fs::path& folder, const Language& language) {
  std::vector<fs::path> paths;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(folder, options, error), end;
       !error && it != end && paths.size() < kMaxListed; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (it->is_symlink(error) || name.starts_with('.') || name == "node_modules") {
      it.disable_recursion_pending();
      continue;
    }
    const Language* other = find_language("", name);
    if (it->is_regular_file(error) && other != nullptr && are_related(*other, language)) {
      paths.push_back(it->path());
    }
  }
  return paths;
}

// Null when it is not fit.
Text text_of(const fs::path& path) {
  std::error_code error;
  if (!unfit_by_name(path.string()).empty() || !unfit_by_size(fs::file_size(path, error)).empty()) {
    return nullptr;
  }
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return unfit_by_text(text.str()).empty() ? std::make_shared<const std::string>(text.str())
                                           : nullptr;
}

}  // namespace

std::vector<DocumentSnapshot> files_beside(const EvalFile& file, uint64_t seed) {
  const fs::path path = file.uri.substr(std::string_view("file://").size());
  const std::string root = path.string().substr(0, path.string().size() - file.name.size());
  std::vector<DocumentSnapshot> beside;
  std::set<fs::path> seen{path};
  std::set<uint64_t> texts{text_hash(*file.text)};  // a copy would tell what is in the hole
  fs::path folder = path.parent_path();
  for (;; folder = folder.parent_path()) {
    std::vector<fs::path> paths = related_files_in(folder, *file.language);
    const auto order = [&](const fs::path& one) {
      return std::make_tuple(mix(seed, text_hash(one.string().substr(root.size()))), one);
    };
    std::sort(paths.begin(), paths.end(),
              [&](const auto& a, const auto& b) { return order(a) < order(b); });
    for (const fs::path& one : paths) {
      if (beside.size() == kMaxBeside) return beside;
      if (!seen.insert(one).second) continue;
      const Text text = text_of(one);
      if (text == nullptr || !texts.insert(text_hash(*text)).second) continue;
      beside.push_back({"file://" + one.string(),
                        one.string().substr(root.size()),
                        std::string(find_language("", one.string())->name),
                        0,
                        text,
                        {}});
    }
    if (folder.string().size() + 1 <= root.size() || folder == folder.root_path()) return beside;
  }
}

}  // namespace incipit::lsp::eval
