#include "lsp/document/document_store.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace incipit::lsp {
namespace {

// One didChange with these changes.
const Document* change(DocumentStore& store, const char* uri, std::optional<int64_t> version,
                       std::vector<ContentChange> changes) {
  DidChangeParams params;
  params.textDocument.uri = uri;
  params.textDocument.version = version;
  params.contentChanges = std::move(changes);
  return store.change(params, PositionEncoding::kUtf16);
}

TEST(DocumentStore, SurvivesClientsThatLoseCount) {
  DocumentStore store;
  EXPECT_EQ(change(store, "file:///a", 2, {{std::nullopt, "x"}}), nullptr);
  EXPECT_FALSE(store.close("file:///a"));
  store.open({"file:///a", "python", 5, "one"});
  store.open({"file:///a", std::nullopt, std::nullopt, "two"});
  EXPECT_EQ(store.size(), 1u);
  EXPECT_EQ(store.find("file:///a")->text(), "two");
  change(store, "file:///a", -3, {{std::nullopt, "three"}});
  EXPECT_EQ(store.find("file:///a")->text(), "three");
  EXPECT_EQ(store.find("file:///a")->version(), -3);
  change(store, "file:///a", std::nullopt, {});
  EXPECT_EQ(store.find("file:///a")->version(), -2);
  EXPECT_TRUE(store.close("file:///a"));
  EXPECT_EQ(store.find("file:///a"), nullptr);
}

TEST(DocumentStore, AppliesChangesEachToTheResultOfTheOneBefore) {
  DocumentStore store;
  store.open({"file:///a", "python", 1, "ab\n"});
  change(store, "file:///a", 2,
         {{Range{{0, 2}, {0, 2}}, "\ncd"},
          {Range{{1, 2}, {1, 2}}, "e"},
          {std::nullopt, "fresh"},
          {Range{{0, 0}, {0, 5}}, "F"}});
  EXPECT_EQ(store.find("file:///a")->text(), "F");
}

TEST(DocumentStore, FindsADocumentByAnySpelling) {
  DocumentStore store;
  store.open({"file:///c%3A/a.py", "python", 1, "x"});
  EXPECT_NE(store.find("file:///C:/a.py"), nullptr);
  EXPECT_EQ(store.find("file:///C:/a.py")->uri(), "file:///c%3A/a.py");
}

TEST(DocumentStore, ShowsPathsBelowTheInnermostFolder) {
  DocumentStore store;
  const auto shown = [&](const char* uri) { return store.shown_path(Uri::parse(uri)); };
  EXPECT_EQ(shown("file:///home/me/work/src/a.py"), "a.py");
  store.set_folders({{"file:///home/me/work", "w"}, {"file:///home/me/work/lib/", "l"}});
  EXPECT_EQ(shown("file:///home/me/work/src/a.py"), "src/a.py");
  EXPECT_EQ(shown("file:///home/me/work/lib/b.py"), "b.py");
  EXPECT_EQ(shown("file:///home/me/workshop/a.py"), "a.py");
  EXPECT_EQ(shown("untitled:Untitled-1"), "Untitled-1");
  store.change_folders({{{"file:///home/me", "m"}}, {{"file:///home/me/work", "w"}}});
  EXPECT_EQ(shown("file:///home/me/work/src/a.py"), "work/src/a.py");
}

TEST(DocumentStore, OrdersOtherDocumentsByTheirLastUse) {
  DocumentStore store;
  for (const char* uri : {"file:///a", "file:///b", "file:///c"}) {
    store.open({uri, "python", 1, "x"});
  }
  change(store, "file:///a", 2, {{std::nullopt, "y"}});
  const auto others = store.others(*store.find("file:///c"));
  ASSERT_EQ(others.size(), 2u);
  EXPECT_EQ(others[0].document->uri(), "file:///a");
  EXPECT_EQ(others[1].document->uri(), "file:///b");
  EXPECT_GT(others[0].used, others[1].used);
  EXPECT_EQ(store.most_recent()->uri(), "file:///a");
}

TEST(DocumentStore, RemembersTheFewThatWereClosedLast) {
  DocumentStore store;
  store.open({"file:///here", "python", 1, "x"});
  for (const char* uri : {"file:///a", "file:///b", "file:///c", "file:///d", "file:///e"}) {
    store.open({uri, "python", 1, "x"});
    store.close(uri);
  }
  store.open({"file:///large", "python", 1, std::string(DocumentStore::kMaxClosedBytes + 1, 'x')});
  store.close("file:///large");
  const auto uris = [&] {
    std::vector<std::string> result;
    for (const auto& [document, used] : store.others(*store.find("file:///here"))) {
      result.push_back(document->uri());
    }
    return result;
  };
  using Uris = std::vector<std::string>;
  EXPECT_EQ(uris(), (Uris{"file:///e", "file:///d", "file:///c", "file:///b"}));
  EXPECT_EQ(store.find("file:///e"), nullptr);
  EXPECT_EQ(store.size(), 1u);
  store.forget_closed("file:///d");
  store.open({"file:///b", "python", 1, "y"});
  EXPECT_EQ(uris(), (Uris{"file:///b", "file:///e", "file:///c"}));
}

TEST(DocumentStore, SnapshotsKnowWhereTheyWereEditedAndWhen) {
  DocumentStore store;
  const std::string text(2000, 'x');
  store.open({"file:///a", "python", 1, text});
  store.open({"file:///b", "python", 1, text});
  const auto edits = [&](const char* uri) { return store.snapshot(*store.find(uri)).edits; };
  EXPECT_TRUE(edits("file:///a").empty());
  change(store, "file:///a", 2, {{Range{{0, 10}, {0, 12}}, "abc"}});
  ASSERT_EQ(edits("file:///a").size(), 1u);
  EXPECT_EQ(edits("file:///a")[0].start, 10u);
  EXPECT_EQ(edits("file:///a")[0].end, 13u);
  // A client that sends the whole text edits no more than what differs.
  change(store, "file:///b", 2, {{std::nullopt, text.substr(0, 1500) + "new" + text.substr(1500)}});
  ASSERT_EQ(edits("file:///b").size(), 1u);
  EXPECT_EQ(edits("file:///b")[0].end - edits("file:///b")[0].start, 3u);
  EXPECT_GT(edits("file:///b")[0].when, edits("file:///a")[0].when);
  change(store, "file:///b", 3, {{std::nullopt, std::string(store.find("file:///b")->text())}});
  EXPECT_EQ(edits("file:///b").size(), 1u);
  store.close("file:///a");
  store.open({"file:///a", "python", 1, text});
  EXPECT_TRUE(edits("file:///a").empty());
}

}  // namespace
}  // namespace incipit::lsp
