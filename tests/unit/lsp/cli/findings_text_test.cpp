#include "lsp/cli/findings_text.h"

#include <gtest/gtest.h>

#include <vector>

namespace incipit::lsp::cli {
namespace {

using engine::Finding;
using engine::Severity;

TEST(FindingsText, AlignsAreasAndSaysThatAllIsWell) {
  const std::vector<Finding> findings = {{Severity::kOk, "cpu", "avx2", ""},
                                         {Severity::kNote, "memory", "2 GiB left", ""}};
  EXPECT_EQ(findings_text(findings),
            "ok       cpu     avx2\n"
            "note     memory  2 GiB left\n"
            "\n"
            "No problem found.\n");
}

TEST(FindingsText, PutsTheAdviceBelowAProblemAndCountsProblems) {
  const std::vector<Finding> findings = {
      {Severity::kProblem, "model", "no such directory", "Give --model a directory."}};
  EXPECT_EQ(findings_text(findings),
            "problem  model  no such directory\n"
            "         -> Give --model a directory.\n"
            "\n"
            "1 problem found.\n");
}

}  // namespace
}  // namespace incipit::lsp::cli
