#include "lsp/cli/command_line.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "lsp/settings.h"

namespace incipit::lsp::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ParsedCommandLine parse(std::vector<const char*> words) {
  words.insert(words.begin(), "incipit");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

template <class T>
T parsed_as(std::vector<const char*> words) {
  const ParsedCommandLine parsed = parse(std::move(words));
  const auto* arguments = std::get_if<Arguments>(&parsed);
  if (arguments == nullptr || !std::holds_alternative<T>(*arguments)) {
    ADD_FAILURE() << "not parsed as the wanted command";
    return {};
  }
  return std::get<T>(*arguments);
}

UsageError usage_error(std::vector<const char*> words) {
  const ParsedCommandLine parsed = parse(std::move(words));
  const auto* wrong = std::get_if<UsageError>(&parsed);
  if (wrong == nullptr) {
    ADD_FAILURE() << "taken without complaint";
    return {};
  }
  return *wrong;
}

std::string help(std::vector<const char*> words) {
  const ParsedCommandLine parsed = parse(std::move(words));
  const auto* text = std::get_if<HelpText>(&parsed);
  return text == nullptr ? "" : text->text;
}

TEST(CommandLine, TakesEveryOptionOfComplete) {
  const auto got = parsed_as<CompleteArguments>({"complete", "a.py", "--at", "3:7", "--json",
                                                 "--model", "dir", "--threads", "2", "--stdin",
                                                 "--language", "python", "--max-tokens", "5"});
  EXPECT_EQ(got.source.file, "a.py");
  EXPECT_TRUE(got.source.from_stdin);
  EXPECT_EQ(got.source.language, "python");
  EXPECT_EQ(got.at, "3:7");
  EXPECT_EQ(got.format, Format::kJson);
  EXPECT_EQ(got.model.model, "dir");
  EXPECT_EQ(got.model.n_threads, 2);
  EXPECT_EQ(got.max_tokens, 5);
  EXPECT_EQ(got.alternatives, 1);
}

TEST(CommandLine, TakesTheDeviceForEveryCommand) {
  const auto lsp = parsed_as<LspArguments>({"lsp", "--device", "cuda:1", "--gpu-memory", "11GiB",
                                            "--context", "16384", "--kv-type", "int8"});
  EXPECT_EQ(lsp.model.device, "cuda:1");
  EXPECT_EQ(lsp.model.gpu_memory, "11GiB");
  EXPECT_EQ(lsp.model.context_tokens, 16384);
  EXPECT_EQ(lsp.model.kv_type, "int8");
  EXPECT_EQ(parsed_as<BenchArguments>({"bench", "--device", "cuda"}).model.device, "cuda");
  EXPECT_EQ(parsed_as<BenchArguments>({"bench", "--kv-type", "int8"}).model.kv_type, "int8");
  EXPECT_EQ(parsed_as<DoctorArguments>({"doctor", "--device", "cpu"}).model.device, "cpu");
  EXPECT_EQ(parsed_as<ExplainArguments>({"explain", "a", "--lines", "1"}).model.device, "auto");
}

TEST(CommandLine, RefusesAContextThatHasRoomForNothing) {
  for (const char* tokens : {"0", "256", "1048576"})
    EXPECT_EQ(parsed_as<LspArguments>({"lsp", "--context", tokens}).model.context_tokens,
              std::stoi(tokens));
  for (const char* tokens : {"10", "255", "-1", "1048577", "4k"})
    EXPECT_THAT(usage_error({"lsp", "--context", tokens}).message,
                HasSubstr("want 0, or an integer 256..1048576, found"));
}

TEST(CommandLine, TakesEveryActionOfModel) {
  using Action = ModelArguments::Action;
  const auto add = parsed_as<ModelArguments>({"model", "add", "dir", "--name", "x", "--json"});
  EXPECT_EQ(add.action, Action::kAdd);
  EXPECT_EQ(add.source, "dir");
  EXPECT_EQ(add.name, "x");
  EXPECT_EQ(add.format, Format::kJson);
  EXPECT_EQ(add.quantize, "auto");
  const auto gptq = parsed_as<ModelArguments>(
      {"model", "add", "dir", "--quantize", "gptq", "--calibration", "a.py", "b.c", "--measure"});
  EXPECT_EQ(gptq.quantize, "gptq");
  EXPECT_EQ(gptq.calibration, (std::vector<std::string>{"a.py", "b.c"}));
  EXPECT_TRUE(gptq.measure);
  EXPECT_EQ(gptq.device, "auto");
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "add", "d", "--device", "cuda:1"}).device,
            "cuda:1");
  EXPECT_THAT(usage_error({"model", "add", "d", "--device", "gpu"}).message, HasSubstr("gpu"));
  EXPECT_THAT(usage_error({"model", "add", "d", "--quantize", "awq"}).message, HasSubstr("awq"));
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "list"}).action, Action::kList);
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "show"}).name, "");
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "show", "x"}).action, Action::kShow);
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "default", "x"}).action, Action::kDefault);
  EXPECT_EQ(parsed_as<ModelArguments>({"model", "remove", "x"}).name, "x");
  EXPECT_THAT(usage_error({"model"}).message, HasSubstr("subcommand"));
  EXPECT_THAT(usage_error({"model", "add"}).message, HasSubstr("DIR|FILE"));
  EXPECT_THAT(usage_error({"model", "drop", "x"}).message, HasSubstr("model"));
}

TEST(CommandLine, TakesEveryOptionOfEval) {
  const auto got = parsed_as<EvalArguments>({"eval",
                                             "src",
                                             "a.py",
                                             "--holes",
                                             "9",
                                             "--seed",
                                             "18446744073709551615",
                                             "--kinds",
                                             "line,token",
                                             "--languages",
                                             "python,c++",
                                             "--max-files",
                                             "3",
                                             "--no-healing",
                                             "--out",
                                             "r.json",
                                             "--model",
                                             "mine",
                                             "--device",
                                             "cpu",
                                             "--json"});
  EXPECT_THAT(got.paths, ElementsAre("src", "a.py"));
  EXPECT_EQ(got.holes, 9);
  EXPECT_EQ(got.seed, std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(got.kinds, ElementsAre("line", "token"));
  EXPECT_THAT(got.languages, ElementsAre("python", "c++"));
  EXPECT_EQ(got.max_files, 3);
  EXPECT_FALSE(got.heals_tokens);
  EXPECT_TRUE(parsed_as<EvalArguments>({"eval", "src"}).heals_tokens);
  EXPECT_EQ(got.out, "r.json");
  EXPECT_EQ(got.model.model, "mine");
  EXPECT_EQ(got.format, Format::kJson);
}

TEST(CommandLine, AListOfEvalEndsWithItsWord) {
  const auto got =
      parsed_as<EvalArguments>({"eval", "--kinds", "line", "--languages", "c,cpp", "src", "lib"});
  EXPECT_THAT(got.kinds, ElementsAre("line"));
  EXPECT_THAT(got.languages, ElementsAre("c", "cpp"));
  EXPECT_THAT(got.paths, ElementsAre("src", "lib"));
}

TEST(CommandLine, EvalWantsSourcesOrTwoReports) {
  const auto got = parsed_as<EvalArguments>({"eval", "--compare", "a.json", "b.json"});
  EXPECT_THAT(got.compare, ElementsAre("a.json", "b.json"));
  EXPECT_THAT(usage_error({"eval"}).message, HasSubstr("found neither"));
  EXPECT_THAT(usage_error({"eval", "--compare", "a.json"}).message, HasSubstr("--compare"));
  EXPECT_THAT(usage_error({"eval", "src", "--compare", "a.json", "b.json"}).message,
              HasSubstr("excludes"));
  EXPECT_THAT(usage_error({"eval", "src", "--kinds", "word"}).message, HasSubstr("word"));
  EXPECT_THAT(usage_error({"eval", "src", "--holes", "0"}).message, HasSubstr("--holes"));
}

TEST(CommandLine, RefusesADeviceOrASizeThatIsNone) {
  EXPECT_THAT(usage_error({"bench", "--device", "gpu"}).message,
              HasSubstr("want auto, cpu, cuda or cuda:N, found \"gpu\""));
  EXPECT_THAT(usage_error({"bench", "--gpu-memory", "lots"}).message,
              HasSubstr("want a size such as 11GiB"));
  EXPECT_THAT(usage_error({"complete", "a.py", "--at", "1:1", "--kv-type", "fp8"}).message,
              HasSubstr("want f16 or int8, found \"fp8\""));
}

TEST(CommandLine, TakesWhatLanguageClientsAddToTheServersCommand) {
  parsed_as<LspArguments>({"lsp", "--stdio", "--clientProcessId=4711"});
}

TEST(CommandLine, NamesAnUnknownCommandAndTheKnownOnes) {
  const UsageError wrong = usage_error({"compleet", "a.py"});
  EXPECT_THAT(wrong.message, HasSubstr("compleet"));
  EXPECT_THAT(wrong.message, HasSubstr("complete, explain, bench"));
}

TEST(CommandLine, ShowsHelpWhenNoCommandIsGiven) {
  EXPECT_THAT(usage_error({}).message, HasSubstr("Commands:"));
}

TEST(CommandLine, NamesTheMissingPosition) {
  EXPECT_THAT(usage_error({"complete", "a.py"}).message, HasSubstr("--at is required"));
}

TEST(CommandLine, RefusesNumbersOutOfRange) {
  EXPECT_THAT(usage_error({"bench", "--threads", "-1"}).message, HasSubstr("--threads"));
  EXPECT_THAT(usage_error({"bench", "--threads", "many"}).message, HasSubstr("many"));
  EXPECT_THAT(usage_error({"complete", "a", "--at", "1:1", "--max-tokens", "0"}).message,
              HasSubstr("--max-tokens"));
}

TEST(CommandLine, RefusesAnUnknownLogLevel) {
  EXPECT_THAT(usage_error({"lsp", "--log-level", "loud"}).message, HasSubstr("debug"));
}

TEST(CommandLine, ReportsMistakesAsJsonWhenJsonWasAskedFor) {
  EXPECT_EQ(usage_error({"complete", "a.py", "--json"}).format, Format::kJson);
  EXPECT_EQ(usage_error({"complete", "a.py"}).format, Format::kText);
}

TEST(CommandLine, TellsMistakesOfTheServerApartWhoseStdoutCarriesLspOnly) {
  const UsageError wrong = usage_error({"lsp", "--json", "--bad"});
  EXPECT_EQ(wrong.format, Format::kJson);
  EXPECT_EQ(wrong.command, UsageError::Of::kLsp);
  EXPECT_EQ(usage_error({"complete", "--bad"}).command, UsageError::Of::kOthers);
}

TEST(CommandLine, NamesAnUnknownOptionInPlaceOfACommand) {
  EXPECT_THAT(usage_error({"-V"}).message, HasSubstr("unknown option '-V'"));
  EXPECT_THAT(usage_error({"--json", "doctor"}).message, HasSubstr("unknown option '--json'"));
}

TEST(CommandLine, RefusesALanguageThatHasNoGrammar) {
  const std::string wrong =
      usage_error({"complete", "f.py", "--at", "1:1", "--language", "klingon"}).message;
  EXPECT_THAT(wrong, HasSubstr("--language: want bash, c, "));
  EXPECT_THAT(wrong, HasSubstr("found \"klingon\""));
  EXPECT_EQ(parsed_as<CompleteArguments>({"complete", "f", "--at", "1:1", "--language", "c++"})
                .source.language,
            "c++");
}

TEST(CommandLine, HelpShowsFlagsWithoutValues) {
  EXPECT_THAT(help({"eval", "--help"}), HasSubstr("  --no-healing  "));
}

TEST(CommandLine, HelpIsACommandToo) {
  EXPECT_EQ(help({"help"}), help({"--help"}));
  EXPECT_EQ(help({"help", "bench"}), help({"bench", "--help"}));
  EXPECT_THAT(usage_error({"help", "compleet"}).message, HasSubstr("compleet"));
}

// The range of an option is said in its help, and is that of the setting of the same name.
TEST(CommandLine, TakesWhatTheSettingTakes) {
  const auto limits = [](std::string_view key) {
    for (const SettingRow& row : setting_rows()) {
      if (row.key == key) return std::get<IntegerSetting>(row.field);
    }
    return IntegerSetting{};
  };
  const struct {
    std::vector<const char*> words;
    const char* option;
    IntegerSetting setting;
  } options[] = {{{"complete", "a", "--at", "1:1"}, "--max-tokens", limits("completion.maxTokens")},
                 {{"explain", "a", "--lines", "1"}, "--max-tokens", limits("explain.maxTokens")},
                 {{"doctor"}, "--threads", limits("threads")}};
  for (const auto& [words, option, setting] : options) {
    const auto with = [&words = words, &option = option](int32_t value) {
      const std::string text = std::to_string(value);
      std::vector<const char*> all = words;
      all.insert(all.end(), {option, text.c_str()});
      return std::holds_alternative<Arguments>(parse(all));
    };
    EXPECT_TRUE(with(setting.min) && with(setting.max)) << words[0];
    EXPECT_FALSE(with(setting.min - 1) || with(setting.max + 1)) << words[0];
    EXPECT_THAT(help({words[0], "--help"}),
                HasSubstr(fmt::format("{}..{}", setting.min, setting.max)));
  }
}

TEST(CommandLine, HelpOfEveryCommandHasAnExampleAndTheExitCodes) {
  for (const char* command : {"lsp", "complete", "explain", "bench", "eval", "doctor"}) {
    const std::string text = help({command, "--help"});
    EXPECT_THAT(text, HasSubstr(std::string("  incipit ") + command)) << command;
    EXPECT_THAT(text, HasSubstr("Exit codes:")) << command;
    EXPECT_THAT(text, HasSubstr("--json")) << command;
  }
}

TEST(CommandLine, HelpFitsInAHundredColumns) {
  for (const char* command : {"lsp", "complete", "explain", "bench", "eval", "doctor"}) {
    std::istringstream lines(help({command, "--help"}));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(CommandLine, VersionIsNameAndNumber) {
  EXPECT_EQ(help({"--version"}), std::string("incipit ") + version() + "\n");
}

}  // namespace
}  // namespace incipit::lsp::cli
