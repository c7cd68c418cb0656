#include "lsp/index/index_jobs.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace incipit::lsp {
namespace {

using testing::ElementsAre;

using Kind = IndexJob::Kind;

IndexJob job_of(Kind kind, std::string path = "") {
  return {kind, std::move(path), {}, {}, nullptr};
}

// "file a", "closed b", …
std::vector<std::string> rest_of(IndexJobs& jobs) {
  std::vector<std::string> rest;
  while (!jobs.empty()) {
    const IndexJob job = jobs.pop();
    constexpr const char* kNames[] = {"folders", "walk", "file", "document", "closed"};
    rest.push_back(std::string(kNames[static_cast<int>(job.kind)]) + " " + job.path);
  }
  return rest;
}

TEST(IndexJobs, KeepTheNewestNewsOfAPath) {
  IndexJobs jobs;
  jobs.push(job_of(Kind::kFile, "a"));
  jobs.push(job_of(Kind::kDocument, "a"));
  jobs.push(job_of(Kind::kFile, "b"));
  jobs.push(job_of(Kind::kClosed, "a"));
  jobs.push(job_of(Kind::kFile, "a"));
  EXPECT_THAT(rest_of(jobs), ElementsAre("file a", "file b", "closed a"));
}

TEST(IndexJobs, OfTooManyFilesRemembersAWalkAndNothingElseIsLost) {
  IndexJobs jobs;
  jobs.push(job_of(Kind::kDocument, "open"));
  for (size_t i = 0; i <= IndexJobs::kMaxFiles; ++i) {
    jobs.push(job_of(Kind::kFile, std::to_string(i)));
  }
  jobs.push(job_of(Kind::kFile, "one more"));
  jobs.push(job_of(Kind::kClosed, "other"));
  EXPECT_THAT(rest_of(jobs), ElementsAre("document open", "walk ", "closed other"));
  // After it files count singly again.
  jobs.push(job_of(Kind::kFile, "0"));
  EXPECT_THAT(rest_of(jobs), ElementsAre("file 0"));
}

TEST(IndexJobs, WalkOnceForFoldersAndFiles) {
  IndexJobs jobs;
  jobs.push(job_of(Kind::kWalk));
  jobs.push(job_of(Kind::kWalk));
  jobs.push(job_of(Kind::kFolders));
  jobs.push(job_of(Kind::kFolders));
  jobs.push(job_of(Kind::kWalk));
  jobs.push(job_of(Kind::kFile, "a"));
  EXPECT_THAT(rest_of(jobs), ElementsAre("folders "));
}

}  // namespace
}  // namespace incipit::lsp
