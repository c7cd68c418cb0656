#include "lsp/eval/source_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <tuple>

#include "lsp/eval/files_beside.h"
#include "lsp/eval/hole_choice.h"
#include "lsp/eval/hole_places.h"
#include "lsp/index/ignore_rules.h"
#include "lsp/index/source_fitness.h"

namespace incipit::lsp::eval {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxFolderDepth = 64;
constexpr std::chrono::seconds kFirstParseTime{5};

struct Candidate {
  fs::path path;
  std::string name;
};
using Candidates = std::map<std::string_view, std::vector<Candidate>>;  // by language

std::string content_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Walks folders and sorts what it finds by language.
class Finder {
 public:
  Finder(const EvalOptions& options, const CancelToken& cancel)
      : options_(options), cancel_(cancel) {}

  Result<void> add(const std::string& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (fs::is_directory(status)) {
      rules_ = {};
      return walk(path, "", 0);
    }
    if (fs::is_regular_file(status)) {
      take(path, fs::path(path).filename().string());
      return {};
    }
    const bool missing = status.type() == fs::file_type::not_found;
    return Error{missing ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                 fmt::format("{}: want a folder or a file, found {}", path,
                             missing ? "nothing" : "neither")};
  }

  Candidates take_candidates() { return std::move(candidates_); }
  std::map<std::string, int> take_left_out() { return std::move(left_out_); }

 private:
  // `inside` is the way from the top: "" or "a/b/".
  Result<void> walk(const fs::path& folder, const std::string& inside, int depth) {
    std::error_code error;
    std::vector<fs::directory_entry> entries;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      entries.push_back(*it);
    }
    if (error && depth == 0) {
      return Error{ErrorCode::kIo,
                   fmt::format("{}: cannot list: {}", folder.string(), error.message())};
    }
    if (const fs::path rules = folder / ".gitignore"; fs::is_regular_file(rules, error)) {
      rules_.add(inside, content_of(rules));
    }
    std::sort(entries.begin(), entries.end());
    for (const fs::directory_entry& entry : entries) {
      if (cancel_.cancelled()) return Error{ErrorCode::kCancelled, "stopped"};
      const std::string name = entry.path().filename().string();
      const std::string relative = inside + name;
      // A link may lead out of the folder, or round in circles.
      if (entry.is_symlink(error)) continue;
      if (entry.is_directory(error)) {
        const bool skipped = name.starts_with('.') || name == "node_modules" ||
                             depth >= kMaxFolderDepth || rules_.ignores(relative, true);
        if (!skipped) TRY(walk(entry.path(), relative + "/", depth + 1));
      } else if (entry.is_regular_file(error) && !rules_.ignores(relative, false)) {
        take(entry.path(), relative);
      }
    }
    return {};
  }

  void take(const fs::path& path, const std::string& name) {
    const Language* language = find_language("", name);
    const auto& wanted = options_.languages;
    if (language == nullptr) {
      ++left_out_["another kind of file"];
    } else if (!wanted.empty() &&
               std::find(wanted.begin(), wanted.end(), language) == wanted.end()) {
      ++left_out_["another language"];
    } else {
      candidates_[language->name].push_back({path, name});
    }
  }

  const EvalOptions& options_;
  const CancelToken& cancel_;
  IgnoreRules rules_;
  Candidates candidates_;
  std::map<std::string, int> left_out_;
};

// The files of one language, read as far as they are needed.
class LanguageFiles {
 public:
  LanguageFiles(const Language& language, const EvalOptions& options, EvalFiles& out)
      : language_(language), options_(options), out_(out) {}

  Result<void> read(std::vector<Candidate> candidates, const CancelToken& cancel) {
    const auto order = [this](const Candidate& candidate) {
      return std::make_tuple(mix(options_.seed, text_hash(candidate.name)), candidate.name,
                             candidate.path.string());
    };
    std::sort(candidates.begin(), candidates.end(),
              [&](const Candidate& a, const Candidate& b) { return order(a) < order(b); });
    for (const Candidate& candidate : candidates) {
      if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "stopped"};
      const bool full = places_.size() >= static_cast<size_t>(options_.max_files);
      const std::string reason = full ? "beyond --max-files" : take(candidate);
      if (!reason.empty()) ++out_.left_out[reason];
    }
    hand_over();
    return {};
  }

 private:
  // Why the file is left out; empty when it was taken.
  std::string take(const Candidate& candidate) {
    const std::string path = fs::absolute(candidate.path).lexically_normal().string();
    std::error_code error;
    std::string_view reason = unfit_by_name(path);
    if (reason.empty()) reason = unfit_by_size(fs::file_size(candidate.path, error));
    if (!reason.empty()) return std::string(reason);
    auto text = std::make_shared<std::string>(content_of(candidate.path));
    if (text->starts_with("\xEF\xBB\xBF")) text->erase(0, 3);  // as the editor hands it over
    reason = unfit_by_text(*text);
    if (!reason.empty()) return std::string(reason);
    if (!seen_.insert(text_hash(*text)).second) return "a copy of another file";
    const Tree tree =
        DocumentParser(language_).parse(text, DocumentParser::Clock::now() + kFirstParseTime);
    reason = unfit_by_tree(tree);
    if (!reason.empty()) return std::string(reason);
    FilePlaces places{text, {}};
    for (const HoleKind kind : options_.kinds) {
      places.holes[static_cast<size_t>(kind)] =
          draw_holes(*tree, kind, options_.seed, static_cast<size_t>(options_.holes));
    }
    const bool nothing = std::all_of(places.holes.begin(), places.holes.end(),
                                     [](const auto& holes) { return holes.empty(); });
    if (nothing) return "no place for a hole";
    places_.push_back(std::move(places));
    files_.push_back({candidate.name, "file://" + path, &language_, std::move(text), {}});
    return "";
  }

  void hand_over() {
    std::vector<std::vector<Hole>> chosen =
        choose_holes(places_, options_.kinds, static_cast<size_t>(options_.holes));
    for (size_t i = 0; i < files_.size(); ++i) files_[i].holes = std::move(chosen[i]);
    std::sort(files_.begin(), files_.end(), [](const EvalFile& a, const EvalFile& b) {
      return std::tie(a.name, a.uri) < std::tie(b.name, b.uri);
    });
    for (EvalFile& file : files_) {
      if (file.holes.empty()) continue;
      if (options_.neighbours) file.beside = files_beside(file, options_.seed);
      out_.files.push_back(std::move(file));
    }
  }

  const Language& language_;
  const EvalOptions& options_;
  EvalFiles& out_;
  std::vector<FilePlaces> places_;
  std::vector<EvalFile> files_;
  std::set<uint64_t> seen_;  // contents
};

}  // namespace

Result<EvalFiles> find_files(const std::vector<std::string>& paths, const EvalOptions& options,
                             const CancelToken& cancel) {
  Finder finder(options, cancel);
  for (const std::string& path : paths) TRY(finder.add(path));
  EvalFiles result;
  result.left_out = finder.take_left_out();
  for (auto& [name, candidates] : finder.take_candidates()) {
    LanguageFiles files(*find_language(name, ""), options, result);
    TRY(files.read(std::move(candidates), cancel));
  }
  return result;
}

}  // namespace incipit::lsp::eval
