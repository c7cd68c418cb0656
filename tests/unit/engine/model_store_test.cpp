#include "engine/tools/model_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/tools/file_digest.h"
#include "engine/tools/licence_notice.h"
#include "engine/tools/model_report.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/weights.h"
#include "tests/support/environment.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/weight_bytes.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using Outcome = AddedModel::Outcome;
using ::testing::AllOf;
using ::testing::HasSubstr;

// A user's home with nothing in it, and a checkpoint somewhere else.
struct ModelStore : ::testing::Test {
  test::TempDir dir;
  test::Environment home{"HOME", (dir / "home").string()};
  test::Environment data{"XDG_DATA_HOME", (dir / "data").string()};
  test::Environment cache{"XDG_CACHE_HOME", (dir / "cache").string()};
  test::Environment listed{"INCIPIT_MODEL_PATH", ""};
  fs::path source = dir / "Tiny Llama";
  fs::path models = dir / "data/incipit/models";

  void SetUp() override { test::write_tiny_checkpoint(source); }

  std::vector<std::string> entries() const {
    std::vector<std::string> names;
    if (!fs::exists(models)) return names;
    for (const auto& entry : fs::directory_iterator(models)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  static std::string bytes_of_weights(const fs::path& directory) {
    const auto weights = load_weights(directory, {});
    return weights.ok() ? test::bytes_of(*weights) : weights.error().message;
  }
};

TEST_F(ModelStore, AnAddedModelLoadsTheSameWeightsWithoutItsSource) {
  const std::string expected = bytes_of_weights(source);
  const auto added = add_model({source, "tiny"});
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(added->outcome, Outcome::kAdded);
  EXPECT_EQ(added->directory, models / "tiny");
  EXPECT_EQ(added->conversion, "exact");
  fs::remove_all(source);
  fs::remove_all(dir / "cache");
  EXPECT_EQ(bytes_of_weights(find_model("tiny").value()), expected);
  EXPECT_FALSE(fs::exists(dir / "cache"));  // nothing is packed again
  EXPECT_TRUE(fs::exists(models / "tiny" / "tokenizer.json"));
}

TEST_F(ModelStore, NamesAModelAfterItsDirectoryOrTheHubsRepository) {
  EXPECT_EQ(add_model({source, ""}).value().name, "Tiny-Llama");
  const fs::path hub = dir / "hub/models--owner--Llama-3-GPTQ/snapshots/0123abcd";
  test::write_tiny_checkpoint(hub);
  EXPECT_EQ(add_model({hub / "config.json", ""}).value().name, "Llama-3-GPTQ");
}

TEST_F(ModelStore, ReadsACheckpointThroughLinksAsTheHubsCacheHasThem) {
  const fs::path snapshot = dir / "snapshot";
  fs::create_directories(snapshot);
  for (const auto& entry : fs::directory_iterator(source)) {
    fs::create_symlink(entry.path(), snapshot / entry.path().filename());
  }
  const auto added = add_model({snapshot, "linked"});
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(models / "linked" / "tokenizer.json")));
}

// The files that the links of the hub's cache name have no extension.
TEST_F(ModelStore, TakesAFileOfADirectoryByTheNameThatWasGiven) {
  const fs::path snapshot = dir / "snapshot";
  fs::create_directories(snapshot);
  int32_t n_blobs = 0;
  for (const auto& entry : fs::directory_iterator(source)) {
    const fs::path blob = dir / "blobs" / std::to_string(n_blobs++);
    fs::create_directories(blob.parent_path());
    fs::copy_file(entry.path(), blob);
    fs::create_symlink(blob, snapshot / entry.path().filename());
  }
  const auto added = add_model({snapshot / "model.safetensors", "linked"});
  ASSERT_TRUE(added.ok()) << added.error().message;
  EXPECT_EQ(read_manifest(added->directory).value()->source, snapshot.string());
}

TEST_F(ModelStore, AddingTheSameAgainDoesNothing) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const auto written = fs::last_write_time(models / "tiny" / kAddedWeightsName);
  int n_calls = 0;
  const auto again =
      add_model({source, "tiny"}, [&](int64_t, int64_t, const std::string&) { ++n_calls; });
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->outcome, Outcome::kAlreadyThere);
  EXPECT_EQ(n_calls, 0);
  EXPECT_EQ(fs::last_write_time(models / "tiny" / kAddedWeightsName), written);
}

TEST_F(ModelStore, ReplacesAModelWhoseSourceChangedOrWhoseWeightsAreDamaged) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  test::TinyOptions other;
  other.seed = 2;
  test::write_tiny_checkpoint(source, other);
  EXPECT_EQ(add_model({source, "tiny"}).value().outcome, Outcome::kReplaced);
  EXPECT_EQ(bytes_of_weights(models / "tiny"), bytes_of_weights(source));

  fs::resize_file(models / "tiny" / kAddedWeightsName, 100);
  EXPECT_EQ(add_model({source, "tiny"}).value().outcome, Outcome::kReplaced);
  EXPECT_EQ(bytes_of_weights(models / "tiny"), bytes_of_weights(source));
  EXPECT_EQ(entries(), std::vector<std::string>{"tiny"});
}

// Adding again is what a start and `incipit doctor` say to do then.
TEST_F(ModelStore, ReplacesAModelWithOneWrongBitInItsWeights) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const fs::path weights = models / "tiny" / kAddedWeightsName;
  const std::string sound = test::read_file(weights);
  std::string damaged = sound;
  damaged.back() ^= 1;
  test::write_file(weights, damaged);
  EXPECT_EQ(add_model({source, "tiny"}).value().outcome, Outcome::kReplaced);
  EXPECT_TRUE(test::read_file(weights) == sound);
}

TEST_F(ModelStore, LeavesTheSourceAsItWas) {
  const std::string before = test::read_file(source / "model.safetensors");
  const auto time = fs::last_write_time(source / "model.safetensors");
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  EXPECT_EQ(test::read_file(source / "model.safetensors"), before);
  EXPECT_EQ(fs::last_write_time(source / "model.safetensors"), time);
  EXPECT_EQ(std::distance(fs::directory_iterator(source), fs::directory_iterator{}), 3);
}

TEST_F(ModelStore, RefusesANameThatAnotherSourceHas) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const fs::path other = dir / "other";
  test::write_tiny_checkpoint(other);
  const auto taken = add_model({other, "tiny"});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(taken.error().message,
              AllOf(HasSubstr(source.string()), HasSubstr(other.string()), HasSubstr("--name")));

  fs::create_directories(models / "by hand");
  fs::create_directories(models / "mine");
  const auto not_ours = add_model({source, "mine"});
  ASSERT_FALSE(not_ours.ok());
  EXPECT_THAT(not_ours.error().message, HasSubstr("did not make"));
}

TEST_F(ModelStore, RefusesNamesThatAreNone) {
  for (const char* name : {".", "..", "../x", "a/b", ".hidden", "a b", "ä"}) {
    const auto added = add_model({source, name});
    ASSERT_FALSE(added.ok()) << name;
    EXPECT_EQ(added.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(added.error().message, HasSubstr("model name: want"));
  }
  EXPECT_TRUE(entries().empty());
}

TEST_F(ModelStore, HidesNotTheModelThatComesWithTheProgram) {
  const fs::path another = dir / "pocket";
  test::write_tiny_checkpoint(another);
  for (const char* name : {"", "pocket"}) {
    const auto added = add_model({another, name});
    ASSERT_FALSE(added.ok());
    EXPECT_THAT(added.error().message, HasSubstr("comes with incipit (--name"));
  }
  EXPECT_TRUE(add_model({another, "mine"}).ok());
}

TEST_F(ModelStore, SaysWhatASourceIsThatItCannotTake) {
  test::write_file(dir / "m.gguf", "GGUF");
  test::write_file(dir / "m.bin", "x");
  fs::create_symlink(dir / "ring", dir / "ring");
  fs::create_directories(dir / "empty");
  test::write_file(source / "broken.txt", "");
  for (const char* file : {"meta/params.json", "lora/adapter_config.json", "many/a.gguf",
                           "many/b.gguf", "pickles/pytorch_model.bin"}) {
    fs::create_directories((dir / file).parent_path());
    test::write_file(dir / file, fs::path(file).extension() == ".gguf" ? "GGUF" : "{}");
  }
  for (const char* file : {"config.json", "tokenizer.json"})
    fs::copy_file(source / file, dir / "pickles" / file);
  fs::create_symlink(".", dir / "empty" / "loop.gguf");
  struct Wrong {
    fs::path source;
    const char* says;
  };
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const std::vector<Wrong> table = {{dir / "nothing", "found nothing"},
                                    {dir / "m.gguf", "version: want 4 bytes"},
                                    {dir / "m.bin", "pickle"},
                                    {dir / "ring", "symbolic links"},
                                    {dir / "empty", "without config.json"},
                                    {dir / "meta", "found Meta's original files"},
                                    {dir / "lora", "found a LoRA adapter without its model"},
                                    {dir / "many", "found 2 GGUF files; name one of them"},
                                    {dir / "pickles", "found pytorch_model.bin, a PyTorch pickle"},
                                    {source / "broken.txt", "another kind"},
                                    {models / "tiny", "added already"}};
  for (const Wrong& wrong : table) {
    const auto added = add_model({wrong.source, "x"});
    ASSERT_FALSE(added.ok()) << wrong.source;
    EXPECT_THAT(added.error().message,
                AllOf(HasSubstr(wrong.source.string()), HasSubstr(wrong.says)));
  }
  EXPECT_EQ(entries(), std::vector<std::string>{"tiny"});
}

TEST_F(ModelStore, TellsABrokenCheckpointBeforeAnyWork) {
  test::TinyCheckpoint tiny = test::make_tiny_checkpoint();
  tiny.erase("model.layers.1.mlp.down_proj.scales");
  tiny.write(source);
  const auto no_scales = add_model({source, "tiny"});
  ASSERT_FALSE(no_scales.ok());
  EXPECT_THAT(no_scales.error().message, HasSubstr("model.layers.1.mlp.down_proj.scales: want"));

  tiny = test::make_tiny_checkpoint();
  tiny.config["num_hidden_layers"] = -1;
  tiny.write(source);
  const auto no_layers = add_model({source, "tiny"});
  ASSERT_FALSE(no_layers.ok());
  EXPECT_EQ(no_layers.error().code, ErrorCode::kCorrupt);  // not a mistake of the command line
  EXPECT_THAT(no_layers.error().message, HasSubstr("num_hidden_layers: want an integer"));

  test::write_tiny_checkpoint(source);
  fs::remove(source / "tokenizer.json");
  EXPECT_THAT(add_model({source, "tiny"}).error().message, HasSubstr("tokenizer.json"));
  EXPECT_TRUE(entries().empty());
}

// `incipit doctor` would call such a source damaged; once packed nobody could tell.
TEST_F(ModelStore, RefusesFilesThatAreNotWhatTheirChecksumsSay) {
  std::string list = std::string(64, 'a') + "  unread.bin\n";
  for (const char* name : {"config.json", "model.safetensors"})
    list += sha256_of_file(source / name).value() + "  " + name + "\n";
  test::write_file(source / "checksums.sha256", list);
  const std::string sound = test::read_file(source / "model.safetensors");
  const std::string wanted = sha256_of_file(source / "model.safetensors").value();
  std::string damaged = sound;
  damaged.back() ^= 1;
  test::write_file(source / "model.safetensors", damaged);
  const auto refused = add_model({source, "tiny"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(
      refused.error().message,
      AllOf(HasSubstr((source / "model.safetensors").string() + ": SHA-256: want " + wanted),
            HasSubstr(sha256_of_file(source / "model.safetensors").value())));
  EXPECT_TRUE(entries().empty());

  test::write_file(source / "model.safetensors", sound);
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(add_model({source, "tiny"}, {}, cancel).error().code, ErrorCode::kCancelled);
  const auto added = add_model({source, "tiny"});
  EXPECT_TRUE(added.ok()) << added.error().message;
  test::write_file(source / "checksums.sha256", "x");
  EXPECT_THAT(add_model({source, "tiny"}).error().message, HasSubstr("checksums.sha256: line 1"));
}

TEST_F(ModelStore, LeavesNothingBehindWhenCancelledAndWorksAfterwards) {
  const CancelToken cancel;
  int n_calls = 0;
  const auto added = add_model(
      {source, "tiny"},
      [&](int64_t done, int64_t total, const std::string& what) {
        EXPECT_LE(done, total);
        EXPECT_FALSE(what.empty());
        if (++n_calls == 4) cancel.cancel();
      },
      cancel);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(entries().empty());
  // What a killed command leaves is cleared by the next one.
  fs::create_directories(models / ".being-added" / "x");
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  EXPECT_EQ(entries(), std::vector<std::string>{"tiny"});
}

TEST_F(ModelStore, OneCommandAtATimeWorksInTheDirectory) {
  fs::create_directories(models);
  const int fd = ::open(models.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  const auto added = add_model({source, "tiny"});
  ASSERT_FALSE(added.ok());
  EXPECT_THAT(added.error().message, HasSubstr("another `incipit model` command"));
  ::close(fd);
  EXPECT_TRUE(add_model({source, "tiny"}).ok());
}

TEST_F(ModelStore, PacksAgainFromTheSourceWhenTheWeightsAreOfAnotherVersion) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const fs::path weights = models / "tiny" / kAddedWeightsName;
  const std::string good = test::read_file(weights);
  std::string old = good;
  old[8] = 9;  // the version
  fs::remove(weights);
  test::write_file(weights, old);
  EXPECT_EQ(bytes_of_weights(models / "tiny"), bytes_of_weights(source));
  EXPECT_EQ(test::read_file(weights), good);

  fs::remove(weights);
  test::write_file(weights, old);
  fs::remove_all(source);
  EXPECT_THAT(bytes_of_weights(models / "tiny"),
              AllOf(HasSubstr("version: want 1, found 9"),
                    HasSubstr("incipit model add " + source.string() + " --name tiny")));
}

TEST_F(ModelStore, TheDefaultIsAModelOfThatName) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  ASSERT_TRUE(set_default_model("tiny").ok());
  EXPECT_EQ(find_model("").value(), models / "tiny");
  EXPECT_EQ(set_default_model("absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(set_default_model(source.string()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(find_model("").value(), models / "tiny");
  ASSERT_TRUE(set_default_model("pocket").ok());
  EXPECT_EQ(default_model(), "pocket");
}

TEST_F(ModelStore, RemovesWhatWasAddedAndNothingElse) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  ASSERT_TRUE(set_default_model("tiny").ok());
  const auto size = static_cast<int64_t>(fs::file_size(models / "tiny" / kAddedWeightsName));
  const auto removed = remove_model("tiny");
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_GT(removed->freed_bytes, size);
  EXPECT_TRUE(removed->was_default);
  EXPECT_EQ(default_model(), "pocket");
  EXPECT_TRUE(entries().empty());
  EXPECT_TRUE(fs::exists(source / "model.safetensors"));

  fs::copy(source, models / "mine");
  fs::create_directory_symlink(source, models / "link");
  for (const char* name : {"mine", "link"}) {
    EXPECT_EQ(remove_model(name).error().code, ErrorCode::kInvalidArgument) << name;
  }
  for (const char* name : {"absent", "..", ""}) {
    EXPECT_EQ(remove_model(name).error().code, ErrorCode::kNotFound) << name;
  }
  EXPECT_THAT(remove_model("pocket").error().message, HasSubstr("which cannot be removed"));
  EXPECT_EQ(entries().size(), 2U);
}

TEST_F(ModelStore, ReportsAModelWithSizesSourceAndMemory) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  const auto report = report_model("tiny");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->problem, "");
  EXPECT_TRUE(report->is_added);
  EXPECT_FALSE(report->is_default);
  EXPECT_EQ(report->source, source.string());
  EXPECT_THAT(report->format, HasSubstr("GPTQ INT4 in groups of 128"));
  EXPECT_EQ(report->conversion, "exact");
  // 2 layers of (128 + 2 * 64 + 128 + 3 * 256) rows of 128 and two norms; final norm; tied table.
  EXPECT_EQ(report->n_parameters, 2 * ((128 + 128 + 128 + 768) * 128 + 256) + 128 + 320 * 128);
  EXPECT_EQ(report->checksum.size(), 16U);
  // Its own context first.
  ASSERT_EQ(report->memory.size(), 3U);
  EXPECT_EQ(report->memory[0].context_tokens, 512);
  EXPECT_FALSE(report->memory[0].beyond_training);
  EXPECT_EQ(report->memory[1].bytes, report->packed_bytes + int64_t{8192} * 2 * 2 * 64 * 2);
  EXPECT_TRUE(report->memory[1].beyond_training);

  const auto pocket = report_model("");
  ASSERT_TRUE(pocket.ok());
  EXPECT_EQ(pocket->name, "pocket");
  EXPECT_TRUE(pocket->is_default);
  EXPECT_FALSE(pocket->is_added);
  EXPECT_EQ(pocket->problem, "");
}

TEST_F(ModelStore, ReportsEveryModelAndWhatIsWrongWithIt) {
  ASSERT_TRUE(add_model({source, "tiny"}).ok());
  fs::resize_file(models / "tiny" / kAddedWeightsName, 100);
  const auto reports = report_models();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].name, "tiny");
  EXPECT_THAT(reports[0].problem, HasSubstr("model.weights: size in bytes: want"));
  EXPECT_EQ(reports[1].name, "pocket");
  EXPECT_EQ(reports[1].problem, "");
}

TEST(LicenceNotice, IsShownForWhatHasMetasVocabulary) {
  EXPECT_EQ(licence_notice(synthetic_model_config("llama-3-8b").value()),
            "Built with Meta Llama 3");
  EXPECT_EQ(licence_notice(synthetic_model_config("llama-3.2-1b").value()), "Built with Llama");
  EXPECT_EQ(licence_notice(synthetic_model_config("codellama-7b").value()), "");
  EXPECT_EQ(licence_notice(synthetic_model_config("pocket").value()), "");
}

TEST(ModelManifest, ComesBackAsItWasWritten) {
  const ModelManifest manifest = {"/a/\"b\"",          "GPTQ", "exact", 5000000000, 7,
                                  0xffffffffffffffffU, 1,      0};
  EXPECT_EQ(parse_manifest(manifest_json(manifest), "m").value(), manifest);
  std::string newer = manifest_json(manifest);
  newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
  EXPECT_THAT(parse_manifest(newer, "m").error().message, HasSubstr("m: version: want 1, found 2"));
  for (const char* wrong : {"", "[]", "{}", R"({"version": 1, "source_bytes": -1})"}) {
    EXPECT_FALSE(parse_manifest(wrong, "m").ok()) << wrong;
  }
}

}  // namespace
}  // namespace incipit::engine
