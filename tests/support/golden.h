// Golden data files: cases with named sections, and answers that UPDATE_GOLDENS=1 rewrites.
//
//   ==== name of the case
//   ---- input
//   text, "$0" is the cursor
//   ---- expected
//   text
//
// A section's text is what stands between its head and the next one, without the last newline.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace incipit::test {

struct GoldenCase {
  std::string name;
  std::vector<std::pair<std::string, std::string>> sections;  // in file order

  bool has(std::string_view section) const;
  std::string get(std::string_view section, std::string_view otherwise = "") const;
  void set(std::string_view section, std::string text);  // adds it at the end when it is new
};

// Throws std::runtime_error when the file cannot be read or has text outside of a section.
std::vector<GoldenCase> read_golden(const std::filesystem::path& file);
void write_golden(const std::filesystem::path& file, const std::vector<GoldenCase>& cases);

bool updating_goldens();  // UPDATE_GOLDENS=1

// Runs `answer` over the cases of a file and compares with section "expected"; or rewrites the
// file. Returns one message a differing case.
std::vector<std::string> check_golden(const std::filesystem::path& file,
                                      std::string (*answer)(const GoldenCase&));

}  // namespace incipit::test
