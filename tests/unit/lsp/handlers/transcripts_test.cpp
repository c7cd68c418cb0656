// Golden transcripts, tests/golden/lsp/*.jsonl: a session line by line. {"c": message} is what the
// client sends ("raw": bytes outside of any frame), {"s": message} what the server must send next,
// where "*" stands for any value; {"exit": code} ends it. The pipeline suggests "SUGGESTION" at the
// cursor, the engine is a fake.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/test_server.h"

namespace incipit::test {
namespace {

bool matches(const Json& wanted, const Json& found) {
  if (wanted == "*") return true;
  if (wanted.is_array() && found.is_array()) {
    return wanted.size() == found.size() &&
           std::equal(wanted.begin(), wanted.end(), found.begin(), matches);
  }
  if (!wanted.is_object() || !found.is_object()) return wanted == found;
  if (wanted.size() != found.size()) return false;
  for (const auto& [key, value] : wanted.items()) {
    if (!found.contains(key) || !matches(value, found[key])) return false;
  }
  return true;
}

class Transcript : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(Transcript, GoesAsItIsWritten) {
  std::ifstream file(GetParam());
  ASSERT_TRUE(file) << GetParam();
  TestServer server;
  FakePipeline::control().answer_with_insert("SUGGESTION");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    SCOPED_TRACE(::testing::Message() << GetParam() << ":" << number);
    if (line.empty() || line[0] == '#') continue;
    const Json step = Json::parse(line);
    if (step.contains("c")) {
      server.client.send(step["c"]);
    } else if (step.contains("raw")) {
      server.client.send_bytes(step["raw"]);
    } else if (step.contains("exit")) {
      EXPECT_EQ(server.wait_for_exit(), step["exit"]);
      return;
    } else {
      const Json found = server.client.next();
      ASSERT_TRUE(matches(step.at("s"), found)) << "found " << found.dump();
    }
  }
}

std::vector<std::filesystem::path> transcripts() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(INCIPIT_SOURCE_DIR) + "/tests/golden/lsp")) {
    if (entry.path().extension() == ".jsonl") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

INSTANTIATE_TEST_SUITE_P(Golden, Transcript, ::testing::ValuesIn(transcripts()),
                         [](const auto& instance) { return instance.param.stem().string(); });

}  // namespace
}  // namespace incipit::test
