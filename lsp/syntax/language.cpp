#include "lsp/syntax/language.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <string>

#include "lsp/syntax/query_sources.h"

extern "C" {
const TSLanguage* tree_sitter_bash();
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_c_sharp();
const TSLanguage* tree_sitter_cpp();
const TSLanguage* tree_sitter_cuda();
const TSLanguage* tree_sitter_go();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_kotlin();
const TSLanguage* tree_sitter_lua();
const TSLanguage* tree_sitter_php();
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_ruby();
const TSLanguage* tree_sitter_rust();
const TSLanguage* tree_sitter_tsx();
const TSLanguage* tree_sitter_typescript();
}

namespace incipit::lsp {
namespace {

using std::string_view;

constexpr string_view kNone[] = {string_view{}};
constexpr string_view kPythonLists[] = {"block", "module"};
constexpr string_view kGoLists[] = {"statement_list", "source_file"};
constexpr string_view kLuaLists[] = {"block", "chunk"};
constexpr string_view kKotlinLists[] = {"block", "source_file"};
constexpr string_view kRubyLists[] = {"body_statement", "block_body", "then", "do", "program"};

const Language kLanguages[] = {
    {"bash", "Shell", "bash", tree_sitter_bash, BlockStyle::kKeywords, "#", "", kNone},
    {"c", "C", "c", tree_sitter_c, BlockStyle::kBraces, "//", ";", kNone},
    {"cpp", "C++", "cpp", tree_sitter_cpp, BlockStyle::kBraces, "//", ";", kNone},
    {"csharp", "C#", "csharp", tree_sitter_c_sharp, BlockStyle::kBraces, "//", ";", kNone},
    {"cuda", "CUDA", "cuda", tree_sitter_cuda, BlockStyle::kBraces, "//", ";", kNone},
    {"go", "Go", "go", tree_sitter_go, BlockStyle::kBraces, "//", " {}", kGoLists},
    {"java", "Java", "java", tree_sitter_java, BlockStyle::kBraces, "//", ";", kNone},
    {"javascript", "JavaScript", "javascript", tree_sitter_javascript, BlockStyle::kBraces, "//",
     " {}", kNone},
    {"kotlin", "Kotlin", "kotlin", tree_sitter_kotlin, BlockStyle::kBraces, "//", " {}",
     kKotlinLists},
    {"lua", "Lua", "lua", tree_sitter_lua, BlockStyle::kKeywords, "--", " end", kLuaLists},
    {"php", "PHP", "php", tree_sitter_php, BlockStyle::kBraces, "//", ";", kNone},
    {"python", "Python", "python", tree_sitter_python, BlockStyle::kIndent, "#", " ...",
     kPythonLists},
    {"ruby", "Ruby", "ruby", tree_sitter_ruby, BlockStyle::kKeywords, "#", "; end", kRubyLists},
    {"rust", "Rust", "rust", tree_sitter_rust, BlockStyle::kBraces, "//", ";", kNone},
    {"tsx", "TSX", "tsx", tree_sitter_tsx, BlockStyle::kBraces, "//", ";", kNone},
    {"typescript", "TypeScript", "typescript", tree_sitter_typescript, BlockStyle::kBraces, "//",
     ";", kNone},
};
constexpr size_t kLanguageCount = std::size(kLanguages);

struct Alias {
  string_view key;
  string_view name;
};

// languageIds that clients send: the LSP specification's list, VS Code's, Neovim's and Emacs's file
// types.
constexpr Alias kIds[] = {
    {"bash", "bash"},
    {"sh", "bash"},
    {"zsh", "bash"},
    {"ksh", "bash"},
    {"shell", "bash"},
    {"shellscript", "bash"},
    {"c", "c"},
    {"objective-c", "c"},
    {"cpp", "cpp"},
    {"c++", "cpp"},
    {"cxx", "cpp"},
    {"objective-cpp", "cpp"},
    {"csharp", "csharp"},
    {"c#", "csharp"},
    {"cs", "csharp"},
    {"c_sharp", "csharp"},
    {"cuda", "cuda"},
    {"cuda-cpp", "cuda"},
    {"cu", "cuda"},
    {"go", "go"},
    {"golang", "go"},
    {"java", "java"},
    {"javascript", "javascript"},
    {"js", "javascript"},
    {"jsx", "javascript"},
    {"javascriptreact", "javascript"},
    {"javascript.jsx", "javascript"},
    {"kotlin", "kotlin"},
    {"kt", "kotlin"},
    {"lua", "lua"},
    {"luau", "lua"},
    {"php", "php"},
    {"python", "python"},
    {"py", "python"},
    {"python3", "python"},
    {"ruby", "ruby"},
    {"rb", "ruby"},
    {"rust", "rust"},
    {"rs", "rust"},
    {"tsx", "tsx"},
    {"typescriptreact", "tsx"},
    {"typescript.tsx", "tsx"},
    {"typescript", "typescript"},
    {"ts", "typescript"},
};

// A header may be C or C++: the C++ grammar reads both.
constexpr Alias kExtensions[] = {
    {"sh", "bash"},
    {"bash", "bash"},
    {"zsh", "bash"},
    {"ksh", "bash"},
    {"bashrc", "bash"},
    {"zshrc", "bash"},
    {"profile", "bash"},
    {"bash_profile", "bash"},
    {"c", "c"},
    {"h", "cpp"},
    {"cc", "cpp"},
    {"cpp", "cpp"},
    {"cxx", "cpp"},
    {"c++", "cpp"},
    {"hh", "cpp"},
    {"hpp", "cpp"},
    {"hxx", "cpp"},
    {"h++", "cpp"},
    {"ipp", "cpp"},
    {"tpp", "cpp"},
    {"inl", "cpp"},
    {"cs", "csharp"},
    {"csx", "csharp"},
    {"cu", "cuda"},
    {"cuh", "cuda"},
    {"go", "go"},
    {"java", "java"},
    {"js", "javascript"},
    {"jsx", "javascript"},
    {"mjs", "javascript"},
    {"cjs", "javascript"},
    {"kt", "kotlin"},
    {"kts", "kotlin"},
    {"lua", "lua"},
    {"php", "php"},
    {"phtml", "php"},
    {"py", "python"},
    {"pyi", "python"},
    {"pyw", "python"},
    {"rb", "ruby"},
    {"rake", "ruby"},
    {"gemspec", "ruby"},
    {"rs", "rust"},
    {"tsx", "tsx"},
    {"ts", "typescript"},
    {"mts", "typescript"},
    {"cts", "typescript"},
};

std::string lower(string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

const Language* by_name(string_view name) {
  const auto* found = std::find_if(std::begin(kLanguages), std::end(kLanguages),
                                   [&](const Language& l) { return l.name == name; });
  return found == std::end(kLanguages) ? nullptr : found;
}

template <size_t N>
const Language* look_up(const Alias (&table)[N], string_view key) {
  for (const Alias& alias : table) {
    if (alias.key == key) return by_name(alias.name);
  }
  return nullptr;
}

struct CompiledQuery {
  std::once_flag once;
  const TSQuery* query = nullptr;
  std::string problem;
};

CompiledQuery& compiled(const Language& language) {
  // Lives as long as the program: queries are shared by all threads and never change.
  static std::array<CompiledQuery, kLanguageCount> queries;
  CompiledQuery& entry = queries[static_cast<size_t>(&language - kLanguages)];
  std::call_once(entry.once, [&] {
    const string_view source = query_source(language.name);
    uint32_t offset = 0;
    TSQueryError error = TSQueryErrorNone;
    entry.query = ts_query_new(language.grammar(), source.data(),
                               static_cast<uint32_t>(source.size()), &offset, &error);
    if (entry.query == nullptr) {
      entry.problem = "queries/" + std::string(language.name) +
                      ".scm does not fit the grammar: error " + std::to_string(error) +
                      " at byte " + std::to_string(offset);
    }
  });
  return entry;
}

}  // namespace

const TSQuery* Language::query() const {
  return compiled(*this).query;
}

std::span<const Language> all_languages() {
  return kLanguages;
}

bool are_related(const Language& a, const Language& b) {
  constexpr std::string_view kFamilies[][3] = {
      {"c", "cpp", "cuda"}, {"javascript", "typescript", "tsx"}, {"java", "kotlin", "kotlin"}};
  if (&a == &b) return true;
  return std::any_of(std::begin(kFamilies), std::end(kFamilies), [&](const auto& family) {
    const auto has = [&](const Language& one) {
      return std::find(std::begin(family), std::end(family), one.name) != std::end(family);
    };
    return has(a) && has(b);
  });
}

std::string_view check_language(const Language& language) {
  const uint32_t version = ts_language_abi_version(language.grammar());
  if (version < TREE_SITTER_MIN_COMPATIBLE_LANGUAGE_VERSION ||
      version > TREE_SITTER_LANGUAGE_VERSION) {
    return "the grammar was made for another version of tree-sitter";
  }
  return compiled(language).problem;
}

const Language* find_language(string_view language_id, string_view path) {
  if (const Language* language = look_up(kIds, lower(language_id))) return language;
  const size_t slash = path.find_last_of("/\\");
  const std::string file = lower(slash == string_view::npos ? path : path.substr(slash + 1));
  const size_t dot = file.rfind('.');
  if (dot == std::string::npos) return nullptr;
  return look_up(kExtensions, string_view(file).substr(dot + 1));
}

}  // namespace incipit::lsp
