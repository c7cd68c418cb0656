#include "lsp/settings.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace incipit::lsp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kPushed = SettingsLayer::kPushed;

TEST(Settings, TakesEveryShapeThatClientsSend) {
  for (const char* shape :
       {R"({"incipit":{"completion":{"maxTokens":7}}})", R"({"completion":{"maxTokens":7}})",
        R"({"completion.maxTokens":7})", R"({"incipit.completion.maxTokens":7})",
        R"({"incipit":{"completion.maxTokens":7}})",
        R"({"incipit.completion":{"maxTokens":7.0}})"}) {
    SettingsStack settings;
    EXPECT_THAT(settings.set(kPushed, Json::parse(shape)), IsEmpty()) << shape;
    EXPECT_EQ(settings.current().completion_max_tokens, 7) << shape;
  }
}

TEST(Settings, TakesMixturesOfShapes) {
  for (const char* shape : {R"({"incipit":{"threads":3},"completion":{"maxTokens":7}})",
                            R"({"incipit.threads":3,"completion":{"maxTokens":7}})",
                            R"({"incipit.threads":3,"incipit":{"completion.maxTokens":7}})",
                            R"({"incipit":null,"threads":3,"completion.maxTokens":7})",
                            R"({"incipit":{"threads":3,"completion":{"maxTokens":7}},
                                "threads":"of the section counts","pylsp":{"threads":9}})"}) {
    SettingsStack settings;
    settings.set(kPushed, Json::parse(shape));
    EXPECT_EQ(settings.current().threads, 3) << shape;
    EXPECT_EQ(settings.current().completion_max_tokens, 7) << shape;
  }
}

TEST(Settings, ComplainsOfWrongValuesInEveryPartOfAMixture) {
  SettingsStack settings;
  EXPECT_THAT(
      settings.set(kPushed,
                   Json::parse(R"({"completion":{"maxTokens":0},"incipit.threads":99999})")),
      ElementsAre(HasSubstr("incipit.completion.maxTokens: want an integer 1..1024"),
                  HasSubstr("incipit.threads: want an integer 0..1024")));
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"incipit":5,"threads":3})")),
              ElementsAre("incipit: want an object of settings, found 5"));
  EXPECT_EQ(settings.current().threads, 3);
}

TEST(Settings, NamesKeyWantedAndFoundAndKeepsTheDefault) {
  SettingsStack settings;
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"completion":{"maxTokens":"many","enabled":1,
          "excludeLanguages":["a",2],"maxLines":0},"model":[],"explain":5})")),
              ElementsAre("incipit.completion.enabled: want true or false, found 1; stays true",
                          "incipit.completion.excludeLanguages: want an array of strings, found "
                          "[\"a\",2]; stays []",
                          "incipit.completion.maxLines: want an integer 1..200, found 0; stays 12",
                          "incipit.completion.maxTokens: want an integer 1..1024, found \"many\"; "
                          "stays 64",
                          "incipit.explain: want an object of settings, found 5",
                          "incipit.model: want a string, found []; stays \"\""));
  EXPECT_EQ(settings.current().completion_max_tokens, 64);
  EXPECT_TRUE(settings.current().completion_enabled);
}

TEST(Settings, TakesNumbersWithinTheirBounds) {
  SettingsStack settings;
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"completion":{"minConfidence":0.25}})")),
              IsEmpty());
  EXPECT_EQ(settings.current().completion_min_confidence, 0.25);
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"completion":{"minConfidence":0}})")),
              IsEmpty());
  EXPECT_EQ(settings.current().completion_min_confidence, 0);
  for (const char* wrong : {"1.5", "-0.1", "\"much\"", "true"}) {
    const std::string text = std::string(R"({"completion":{"minConfidence":)") + wrong + "}}";
    EXPECT_THAT(settings.set(kPushed, Json::parse(text)),
                ElementsAre(HasSubstr("incipit.completion.minConfidence: want a number 0..1")));
    EXPECT_EQ(settings.current().completion_min_confidence, 0);
  }
}

TEST(Settings, AWrongValueLeavesTheOneBeforeInPlace) {
  SettingsStack settings;
  settings.set(kPushed, Json::parse(R"({"threads":3})"));
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"threads":-1})")),
              ElementsAre(HasSubstr("stays 3")));
  EXPECT_EQ(settings.current().threads, 3);
}

// One that only the engine refused would leave the user without a model.
TEST(Settings, ReadsTheTextsThatTheEngineReads) {
  SettingsStack settings;
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"device":"cuda:1","gpuMemory":"0.5",
          "kvType":"int8","kvDisk":"2GiB","promptLayout":"base","contextTokens":256})")),
              IsEmpty());
  EXPECT_THAT(
      settings.set(kPushed, Json::parse(R"({"device":"toaster","gpuMemory":"lots","kvType":"f64",
          "kvDisk":"much","promptLayout":"zigzag","contextTokens":3})")),
      ElementsAre("incipit.contextTokens: want 0, or an integer 256..1048576, found 3; stays 256",
                  "incipit.device: want auto, cpu, cuda or cuda:N, found \"toaster\"; stays "
                  "\"cuda:1\"",
                  "incipit.gpuMemory: want a size such as 11GiB, or a fraction such as 0.9, found "
                  "\"lots\"; stays \"0.5\"",
                  "incipit.kvDisk: want a size such as 2GiB, or 0, found \"much\"; stays \"2GiB\"",
                  "incipit.kvType: want f16 or int8, found \"f64\"; stays \"int8\"",
                  "incipit.promptLayout: want auto, fim, fim-suffix-first, fim-prefix-first, "
                  "instruct, base or plain, found \"zigzag\"; stays \"base\""));
  EXPECT_EQ(settings.current().kv_type, "int8");
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"device":"","gpuMemory":"","kvType":"",
          "kvDisk":"","promptLayout":"","contextTokens":0})")),
              IsEmpty());
  EXPECT_EQ(settings.current().device, "");
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"device":7})")),
              ElementsAre("incipit.device: want auto, cpu, cuda or cuda:N, found 7; stays \"\""));
}

TEST(Settings, TheHighestLayerThatHasAKeyCounts) {
  SettingsStack settings;
  settings.set(SettingsLayer::kPulled, Json::parse(R"({"threads":4})"));
  settings.set(SettingsLayer::kFile, Json::parse(R"({"threads":1,"prewarm":false})"));
  settings.set(SettingsLayer::kInitialization, Json::parse(R"({"threads":2})"));
  settings.set(kPushed, Json::parse(R"({"threads":3})"));
  EXPECT_EQ(settings.current().threads, 4);
  EXPECT_FALSE(settings.current().prewarm);
  settings.set(SettingsLayer::kPulled, nullptr);
  EXPECT_EQ(settings.current().threads, 3);
  settings.set(kPushed, Json::object());
  EXPECT_EQ(settings.current().threads, 2);
  settings.set(SettingsLayer::kInitialization, Json::parse(R"({"threads":null})"));
  EXPECT_EQ(settings.current().threads, 1);
}

TEST(Settings, SurvivesWhatIsNoObject) {
  SettingsStack settings;
  EXPECT_THAT(settings.set(kPushed, Json::array({1})),
              ElementsAre("incipit: want an object of settings, found [1]"));
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"incipit":true})")),
              ElementsAre("incipit: want an object of settings, found true"));
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"incipit":null})")), IsEmpty());
}

TEST(Settings, LeavesOtherServersSectionsAlone) {
  SettingsStack settings;
  EXPECT_THAT(settings.set(kPushed, Json::parse(R"({"threads":"x","python":{"model":5},
                                                    "incipit":{"threads":2}})")),
              IsEmpty());
  EXPECT_EQ(settings.current().threads, 2);
}

TEST(Settings, CutsLongValuesInTheText) {
  SettingsStack settings;
  const auto problems = settings.set(kPushed, {{"threads", std::string(500, 'x')}});
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_LT(problems[0].size(), 200u);
}

TEST(SettingsFile, SaysWhatIsWrongWithIt) {
  EXPECT_THAT(read_settings_file("/nonexistent/s.json").error().message,
              HasSubstr("/nonexistent/s.json: cannot be read"));
  const test::TempDir dir;
  const auto path = dir.path() / "s.json";
  std::ofstream(path) << "{\"threads\": }";
  EXPECT_THAT(read_settings_file(path).error().message, HasSubstr("s.json: JSON: "));
  std::ofstream(path) << "{\"threads\": 2}";
  EXPECT_EQ(read_settings_file(path).value()["threads"], 2);
}

TEST(SettingsTable, EveryKeyIsDocumented) {
  std::ifstream file(std::string(INCIPIT_SOURCE_DIR) + "/docs/lsp-extensions.md");
  std::ostringstream page;
  page << file.rdbuf();
  for (const SettingRow& row : setting_rows()) {
    EXPECT_THAT(page.str(), HasSubstr("`incipit." + std::string(row.key) + "`"));
    EXPECT_FALSE(row.description.empty());
  }
}

}  // namespace
}  // namespace incipit::lsp
