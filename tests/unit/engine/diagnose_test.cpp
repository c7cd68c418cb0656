#include "engine/tools/diagnose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/tools/diagnose_internal.h"
#include "engine/tools/file_digest.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weights.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using test::make_tiny_checkpoint;
using test::read_file;
using test::TempDir;
using test::TinyCheckpoint;
using test::write_file;
using ::testing::HasSubstr;

struct ModelPlace {
  TempDir dir;
  fs::path model = dir / "model";
  DiagnoseOptions options;

  explicit ModelPlace(const TinyCheckpoint& tiny = make_tiny_checkpoint()) {
    tiny.write(model);
    options.engine.model = model.string();
    options.engine.cache_dir = (dir / "cache").string();
  }
  LoadOptions load_options() const {
    return {options.engine.head_format, options.engine.cache_dir};
  }
  std::vector<Finding> problems() const {
    std::vector<Finding> found = diagnose(options);
    found.erase(std::remove_if(found.begin(), found.end(),
                               [](const Finding& f) { return f.severity != Severity::kProblem; }),
                found.end());
    return found;
  }
};

const Finding* first_of(const std::vector<Finding>& findings, const std::string& area) {
  const auto it = std::find_if(findings.begin(), findings.end(),
                               [&](const Finding& finding) { return finding.area == area; });
  return it == findings.end() ? nullptr : &*it;
}

TEST(Diagnose, FindsNoProblemWithASoundModelAndTouchesEveryArea) {
  const ModelPlace place;
  const auto findings = diagnose(place.options);
  for (const char* area :
       {"cpu", "cuda", "memory", "model", "files", "packed weights", "tokenizer"}) {
    const Finding* finding = first_of(findings, area);
    ASSERT_NE(finding, nullptr) << area;
    EXPECT_NE(finding->severity, Severity::kProblem) << area << ": " << finding->found;
    EXPECT_FALSE(finding->found.empty());
  }
  EXPECT_THAT(first_of(findings, "cpu")->found, HasSubstr("using"));
  EXPECT_THAT(first_of(findings, "memory")->found, HasSubstr("for weights"));
  EXPECT_THAT(first_of(findings, "packed weights")->found, HasSubstr("not there yet"));
  EXPECT_THAT(first_of(findings, "tokenizer")->found, HasSubstr("320 tokens"));
  EXPECT_FALSE(fs::exists(place.dir / "cache"));  // looking changes nothing
}

TEST(Diagnose, SaysWhatToInstallWhereCublasIsMissing) {
  CublasProbe probe;
  probe.failure = "libcublas.so.13: cannot open shared object file";
  probe.advice = "install cuBLAS";
  const Finding missing = diagnose_cublas(probe);
  EXPECT_EQ(missing.severity, Severity::kNote);
  EXPECT_THAT(missing.found, HasSubstr("libcublas.so.13: cannot open"));
  EXPECT_EQ(missing.advice, "install cuBLAS");

  probe.is_rarely_needed = true;
  EXPECT_EQ(diagnose_cublas(probe).severity, Severity::kOk);
  EXPECT_THAT(diagnose_cublas(probe).found, HasSubstr("zero points"));

  probe = {};
  probe.library = "/usr/local/cuda/lib64/libcublas.so.13";
  EXPECT_EQ(diagnose_cublas(probe).severity, Severity::kOk);
  EXPECT_THAT(diagnose_cublas(probe).found, HasSubstr("/usr/local/cuda/lib64"));
}

TEST(Diagnose, VerifiesThePackedWeights) {
  const ModelPlace place;
  ASSERT_TRUE(load_weights(place.model, place.load_options()).ok());
  const auto sound = diagnose(place.options);
  EXPECT_EQ(first_of(sound, "packed weights")->severity, Severity::kOk);
  EXPECT_THAT(first_of(sound, "packed weights")->found, HasSubstr("every checksum holds"));

  const fs::path packed = packed_path(place.model, place.load_options()).value();
  std::string bytes = read_file(packed);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write_file(packed, bytes);
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].area, "packed weights");
  EXPECT_THAT(problems[0].found, HasSubstr("want checksum"));
  EXPECT_THAT(problems[0].advice, HasSubstr(packed.string()));
}

TEST(Diagnose, NotesPackedWeightsOfAnEditedModel) {
  const ModelPlace place;
  ASSERT_TRUE(load_weights(place.model, place.load_options()).ok());
  test::TinyOptions other;
  other.seed = 5;
  make_tiny_checkpoint(other).write(place.model);
  const auto findings = diagnose(place.options);
  EXPECT_EQ(first_of(findings, "packed weights")->severity, Severity::kNote);
  EXPECT_THAT(first_of(findings, "packed weights")->found, HasSubstr("fingerprint"));
}

TEST(Diagnose, SaysWhenTheCacheCannotBeWritten) {
  ModelPlace place;
  write_file(place.dir / "cache", "a file");
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].area, "packed weights");
  EXPECT_THAT(problems[0].found, HasSubstr("cache: cannot make a file there: Not a directory"));
  EXPECT_FALSE(problems[0].advice.empty());
}

TEST(Diagnose, SaysWhenTheCacheDirectoryCannotBeMade) {
  ModelPlace place;
  place.options.engine.cache_dir = "/proc/incipit";
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0].found, HasSubstr("/proc/incipit: cannot make the directory: "));
}

TEST(Diagnose, NotesThatThereIsNoCacheDirectory) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string kept_cache = cache == nullptr ? "" : cache;
  const std::string kept_home = home == nullptr ? "" : home;
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  ModelPlace place;
  place.options.engine.cache_dir.clear();
  const auto findings = diagnose(place.options);
  EXPECT_EQ(first_of(findings, "packed weights")->severity, Severity::kNote);
  if (cache != nullptr) ::setenv("XDG_CACHE_HOME", kept_cache.c_str(), 1);
  if (home != nullptr) ::setenv("HOME", kept_home.c_str(), 1);
}

TEST(Diagnose, ComparesFilesWithTheirListedChecksums) {
  const ModelPlace place;
  std::string list;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    list += sha256_of_file(place.model / name).value() + "  " + name + "\n";
  }
  write_file(place.model / "checksums.sha256", list);
  EXPECT_TRUE(place.problems().empty());

  std::string tokenizer = read_file(place.model / "tokenizer.json") + " ";
  write_file(place.model / "tokenizer.json", tokenizer);
  write_file(place.model / "checksums.sha256", list + std::string(64, 'a') + "  lost.bin\n");
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0].found, HasSubstr("lost.bin"));
  EXPECT_THAT(problems[1].found, HasSubstr("tokenizer.json: SHA-256: want"));
  EXPECT_THAT(problems[1].advice, HasSubstr("again"));
}

TEST(Diagnose, NamesWhatIsWrongWithTheModel) {
  struct Wrong {
    std::function<void(ModelPlace&)> breaks;
    const char* area;
    const char* says;
  };
  const std::vector<Wrong> table = {
      {[](ModelPlace& p) { p.options.engine.model = "no-such-model"; }, "model", "no-such-model"},
      {[](ModelPlace& p) { write_file(p.model / "config.json", "{"); }, "model", "config.json"},
      {[](ModelPlace& p) { fs::resize_file(p.model / "model.safetensors", 5000); }, "model",
       "model.safetensors"},
      {[](ModelPlace& p) { fs::remove(p.model / "model.safetensors"); }, "model",
       "no safetensors file"},
      {[](ModelPlace& p) { write_file(p.model / "tokenizer.json", "[]"); }, "tokenizer",
       "tokenizer.json"},
      {[](ModelPlace& p) { fs::remove(p.model / "tokenizer.json"); }, "files", "tokenizer.json"},
      {[](ModelPlace& p) { write_file(p.model / "checksums.sha256", "x"); }, "files", "line 1"},
  };
  for (const Wrong& wrong : table) {
    SCOPED_TRACE(wrong.says);
    ModelPlace place;
    wrong.breaks(place);
    const auto problems = place.problems();
    const Finding* problem = first_of(problems, wrong.area);
    ASSERT_NE(problem, nullptr);
    EXPECT_THAT(problem->found, HasSubstr(wrong.says));
    EXPECT_FALSE(problem->advice.empty());
  }
}

TEST(Diagnose, SaysWhenTheModelNeedsMoreMemoryThanThereIs) {
  ModelPlace place;
  place.options.engine.kv_bytes = int64_t{1} << 60;
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].area, "memory");
}

TEST(Diagnose, SaysWhenTheTokenizerBelongsToAnotherModel) {
  TinyCheckpoint tiny = make_tiny_checkpoint();
  test::TinyOptions larger;
  larger.vocab = 400;
  tiny.tokenizer = make_tiny_checkpoint(larger).tokenizer;
  const ModelPlace place(tiny);
  const auto problems = place.problems();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_THAT(problems[0].found, HasSubstr("want at most the model's 320 tokens, found 400"));
}

// Whoever changes a file of the shipped model changes its line in checksums.sha256.
TEST(Diagnose, FindsTheShippedModelAsListed) {
  const TempDir dir;
  DiagnoseOptions options;
  options.engine.model = INCIPIT_SOURCE_DIR "/engine/models/pocket";
  options.engine.cache_dir = dir.path().string();
  size_t n_listed = 0;
  for (const Finding& finding : diagnose(options)) {
    EXPECT_NE(finding.severity, Severity::kProblem) << finding.found;
    if (finding.area == "files" && finding.found.find("as listed") != std::string::npos) ++n_listed;
  }
  EXPECT_EQ(n_listed, 8U);
}

TEST(FileDigest, KnowsTheStandardVectors) {
  const TempDir dir;
  write_file(dir / "abc", "abc");
  write_file(dir / "empty", "");
  EXPECT_EQ(sha256_of_file(dir / "abc").value(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of_file(dir / "empty").value(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_FALSE(sha256_of_file(dir / "absent").ok());
  EXPECT_FALSE(sha256_of_file(dir.path()).ok());
}

TEST(FileDigest, ReadsWhatSha256sumWrites) {
  const std::string digest(64, 'A');
  const auto list = parse_checksum_list(digest + "  a b.bin\r\n\n" + digest + " *c\n", "list");
  ASSERT_TRUE(list.ok()) << list.error().message;
  EXPECT_EQ(list->at("a b.bin"), std::string(64, 'a'));
  EXPECT_EQ(list->at("c"), std::string(64, 'a'));
  for (const std::string& line : {std::string("short  a"), digest + "  ", digest + " a",
                                  digest + "  ../a", std::string(64, 'g') + "  a"}) {
    const auto wrong = parse_checksum_list(line, "list");
    ASSERT_FALSE(wrong.ok()) << line;
    EXPECT_THAT(wrong.error().message, HasSubstr("list: line 1: want"));
  }
}

}  // namespace
}  // namespace incipit::engine
