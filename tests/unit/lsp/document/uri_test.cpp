#include "lsp/document/uri.h"

#include <gtest/gtest.h>

#include <string>

namespace incipit::lsp {
namespace {

std::string path_of(const char* uri) {
  return Uri::parse(uri).file_path().value_or("none");
}

TEST(Uri, DecodesFilePaths) {
  EXPECT_EQ(path_of("file:///home/me/a%20b%C3%A9.py"), "/home/me/a bé.py");
  EXPECT_EQ(path_of("FILE:///a%2Fb"), "/a/b");
  EXPECT_EQ(path_of("file://localhost/a"), "/a");
  EXPECT_EQ(path_of("file:/a/b"), "/a/b");
  EXPECT_EQ(path_of("file:///a/./b/../c//d"), "/a/c/d");
  EXPECT_EQ(path_of("file:///a%zz%4"), "/a%zz%4");
  EXPECT_EQ(path_of("file:///a%FF"), "/a\uFFFD");
}

TEST(Uri, KnowsWindowsDrivesAndShares) {
  EXPECT_EQ(path_of("file:///c%3A/Work/a.cpp"), "c:/Work/a.cpp");
  EXPECT_EQ(path_of("file:///C:/Work/a.cpp"), "c:/Work/a.cpp");
  EXPECT_EQ(path_of("file:///C:\\Work\\a.cpp"), "c:/Work/a.cpp");
  EXPECT_EQ(path_of("file://Server/share/a.cpp"), "//server/share/a.cpp");
}

TEST(Uri, GivesOtherSchemesNoPathButAName) {
  EXPECT_EQ(path_of("untitled:Untitled-1"), "none");
  EXPECT_EQ(Uri::parse("untitled:Untitled-1").file_name(), "Untitled-1");
  EXPECT_EQ(Uri::parse("vscode-notebook-cell:/a/b.ipynb#W0s").file_name(), "b.ipynb");
  EXPECT_EQ(Uri::parse("").file_name(), "");
  EXPECT_EQ(Uri::parse("c:\\odd").scheme, "");
}

TEST(Uri, GivesSpellingsOfOneDocumentOneKey) {
  const auto same = [](const char* a, const char* b) {
    return Uri::parse(a).key() == Uri::parse(b).key();
  };
  EXPECT_TRUE(same("file:///c%3A/a%20b", "FILE:///C:/a b"));
  EXPECT_TRUE(same("file:///a/../b", "file:///b"));
  EXPECT_TRUE(same("file://localhost/b", "file:///b"));
  EXPECT_FALSE(same("file:///A", "file:///a"));
  EXPECT_FALSE(same("untitled:a", "file:a"));
  EXPECT_FALSE(same("cell:/a#1", "cell:/a#2"));
}

}  // namespace
}  // namespace incipit::lsp
