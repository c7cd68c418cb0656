#include "lsp/syntax/language.h"

#include <gmock/gmock.h>

#include <string>

namespace incipit::lsp {
namespace {

std::string_view name_of(std::string_view id, std::string_view path) {
  const Language* language = find_language(id, path);
  return language == nullptr ? "none" : language->name;
}

TEST(Language, EveryGrammarAndQueryLoads) {
  EXPECT_EQ(all_languages().size(), 16U);
  for (const Language& language : all_languages()) {
    EXPECT_EQ(check_language(language), "") << language.name;
    EXPECT_NE(language.query(), nullptr) << language.name;
  }
}

TEST(Language, IsFoundByTheIdsThatClientsSend) {
  EXPECT_EQ(name_of("c++", ""), "cpp");
  EXPECT_EQ(name_of("cpp", "a.c"), "cpp");
  EXPECT_EQ(name_of("C", ""), "c");
  EXPECT_EQ(name_of("cuda-cpp", ""), "cuda");
  EXPECT_EQ(name_of("javascriptreact", ""), "javascript");
  EXPECT_EQ(name_of("typescriptreact", ""), "tsx");
  EXPECT_EQ(name_of("typescript", ""), "typescript");
  EXPECT_EQ(name_of("shellscript", ""), "bash");
  EXPECT_EQ(name_of("sh", ""), "bash");
  EXPECT_EQ(name_of("golang", ""), "go");
  EXPECT_EQ(name_of("Python", ""), "python");
  EXPECT_EQ(name_of("csharp", ""), "csharp");
  EXPECT_EQ(name_of("ruby", ""), "ruby");
  EXPECT_EQ(name_of("php", ""), "php");
  EXPECT_EQ(name_of("kotlin", ""), "kotlin");
}

TEST(Language, FallsBackToTheFileName) {
  EXPECT_EQ(name_of("", "src/kernel.cuh"), "cuda");
  EXPECT_EQ(name_of("plaintext", "/home/a/tool.PY"), "python");
  EXPECT_EQ(name_of("", "C:\\src\\view.tsx"), "tsx");
  EXPECT_EQ(name_of("", "/home/a/.bashrc"), "bash");
  EXPECT_EQ(name_of("", "include/x.h"), "cpp");
  EXPECT_EQ(name_of("", "Program.cs"), "csharp");
  EXPECT_EQ(name_of("", "build.gradle.kts"), "kotlin");
  EXPECT_EQ(name_of("", "lib/tasks/db.rake"), "ruby");
  EXPECT_EQ(name_of("", "index.php"), "php");
}

TEST(Language, IsNoneForWhatHasNoGrammar) {
  EXPECT_EQ(name_of("haskell", "Main.hs"), "none");
  EXPECT_EQ(name_of("", ""), "none");
  EXPECT_EQ(name_of("", "Makefile"), "none");
  EXPECT_EQ(name_of("", "src.py/notes"), "none");
}

}  // namespace
}  // namespace incipit::lsp
