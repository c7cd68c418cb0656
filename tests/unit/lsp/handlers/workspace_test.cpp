// The index of the workspace's symbols follows folders, documents, files and settings.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

class IndexOfWorkspace : public ::testing::Test {
 protected:
  std::string uri(const std::string& name = "") const {
    return "file://" + folder.path().string() + (name.empty() ? "" : "/" + name);
  }
  void initialize(const Json& capabilities = Json::object()) {
    client.initialize(
        {{"workspaceFolders", {{{"uri", uri()}, {"name", "w"}}}}, {"capabilities", capabilities}});
    server.wait_until_ready();
  }
  void settings(const Json& incipit) {
    client.notify("workspace/didChangeConfiguration", {{"settings", {{"incipit", incipit}}}});
  }
  // The status' part about the index, once it has so many symbols and nothing waits.
  Json index_with(int n_symbols) {
    Json index;
    for (int i = 0; i < 2000; ++i) {
      index = client.call("incipit/status", nullptr)["result"].value("index", Json());
      if (index.is_object() && index["complete"] == true && index["symbols"] == n_symbols) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return index;
  }

  TempDir folder;
  TestServer server;
  LspClient& client = server.client;
};

TEST_F(IndexOfWorkspace, KnowsTheFoldersFilesAndHearsOfChanges) {
  write_file(folder / "a.py", "def f():\n    pass\n");
  initialize();
  EXPECT_EQ(index_with(1), Json::parse(R"({"files": 1, "symbols": 1, "complete": true,
                                           "limited": false})"));
  write_file(folder / "b.py", "def g():\n    pass\n\n\ndef h():\n    pass\n");
  client.notify("workspace/didChangeWatchedFiles",
                {{"changes", {{{"uri", uri("b.py")}, {"type", 1}}}}});
  EXPECT_EQ(index_with(3)["files"], 2);
  std::filesystem::remove(folder / "b.py");
  client.notify("workspace/didChangeWatchedFiles",
                {{"changes", {{{"uri", uri("b.py")}, {"type", 3}}}}});
  EXPECT_EQ(index_with(1)["files"], 1);
  client.notify(
      "workspace/didChangeWorkspaceFolders",
      {{"event", {{"added", Json::array()}, {"removed", {{{"uri", uri()}, {"name", "w"}}}}}}});
  EXPECT_EQ(index_with(0)["files"], 0);
}

TEST_F(IndexOfWorkspace, TakesOpenDocumentsInPlaceOfTheirFiles) {
  write_file(folder / "a.py", "def f():\n    pass\n");
  initialize();
  index_with(1);
  server.open(uri("a.py"), "def f():\n    pass\n\n\ndef g():\n    pass\n");
  EXPECT_EQ(index_with(2)["symbols"], 2);
  // What is typed counts when the user goes elsewhere.
  client.notify("textDocument/didChange", {{"textDocument", {{"uri", uri("a.py")}, {"version", 2}}},
                                           {"contentChanges", {{{"text", "pass\n"}}}}});
  server.open("file:///elsewhere.py", "y = 1\n");
  EXPECT_EQ(index_with(0)["symbols"], 0);
  client.notify("textDocument/didClose", {{"textDocument", {{"uri", uri("a.py")}}}});
  EXPECT_EQ(index_with(1)["symbols"], 1);
}

TEST_F(IndexOfWorkspace, GoesByTheSettings) {
  write_file(folder / "a.py", "def f():\n    pass\n");
  write_file(folder / "b.py", "def g():\n    pass\n");
  initialize();
  index_with(2);
  settings({{"excludeFiles", {"b*"}}});
  EXPECT_EQ(index_with(1)["files"], 1);
  settings({{"context", {{"workspace", false}}}});
  EXPECT_FALSE(client.call("incipit/status", nullptr)["result"].contains("index"));
}

TEST_F(IndexOfWorkspace, TakesDocumentsThatWereOpenBeforeTheirFolderCame) {
  write_file(folder / "a.py", "def f():\n    pass\n");
  client.initialize(Json::object());
  server.wait_until_ready();
  server.open(uri("a.py"), "def f():\n    pass\n\n\ndef g():\n    pass\n");
  client.notify(
      "workspace/didChangeWorkspaceFolders",
      {{"event", {{"added", {{{"uri", uri()}, {"name", "w"}}}}, {"removed", Json::array()}}}});
  EXPECT_EQ(index_with(2)["files"], 1);
}

TEST_F(IndexOfWorkspace, TakesAnOpenDocumentAgainWhenTheSettingsAllowIt) {
  write_file(folder / "a.py", "def f():\n    pass\n");
  initialize();
  index_with(1);
  settings({{"excludeFiles", {"a*"}}});
  EXPECT_EQ(index_with(0)["files"], 0);
  server.open(uri("a.py"), "def f():\n    pass\n");
  settings(Json::object());
  EXPECT_EQ(index_with(1)["files"], 1);
  settings({{"excludeFiles", {"a*"}}});
  EXPECT_EQ(index_with(0)["files"], 0);
  settings({{"context", {{"workspace", false}}}});
  settings({{"context", {{"workspace", true}}}});
  EXPECT_EQ(index_with(1)["files"], 1);
}

TEST_F(IndexOfWorkspace, AsksToBeToldOfFilesWhereTheClientCan) {
  initialize({{"workspace", {{"didChangeWatchedFiles", {{"dynamicRegistration", true}}}}}});
  const Json asked = client.request_of_server("client/registerCapability");
  EXPECT_EQ(asked["params"]["registrations"][0]["method"], "workspace/didChangeWatchedFiles");
  EXPECT_EQ(asked["params"]["registrations"][0]["registerOptions"]["watchers"][0]["globPattern"],
            "**/*");
}

}  // namespace
}  // namespace incipit::test
