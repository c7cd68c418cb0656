#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace incipit::test {
namespace {

constexpr std::string_view kCase = "==== ";
constexpr std::string_view kSection = "---- ";

}  // namespace

bool GoldenCase::has(std::string_view section) const {
  for (const auto& [name_, text] : sections) {
    if (name_ == section) return true;
  }
  return false;
}

std::string GoldenCase::get(std::string_view section, std::string_view otherwise) const {
  for (const auto& [name_, text] : sections) {
    if (name_ == section) return text;
  }
  return std::string(otherwise);
}

void GoldenCase::set(std::string_view section, std::string text) {
  for (auto& [name_, old] : sections) {
    if (name_ == section) {
      old = std::move(text);
      return;
    }
  }
  sections.emplace_back(section, std::move(text));
}

std::vector<GoldenCase> read_golden(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::vector<GoldenCase> cases;
  std::string line;
  bool first_line = false;
  while (std::getline(in, line)) {
    if (line.starts_with(kCase)) {
      cases.push_back({line.substr(kCase.size()), {}});
    } else if (line.starts_with(kSection) && !cases.empty()) {
      cases.back().sections.emplace_back(line.substr(kSection.size()), "");
      first_line = true;
    } else if (!cases.empty() && !cases.back().sections.empty()) {
      std::string& text = cases.back().sections.back().second;
      if (!first_line) text += '\n';
      first_line = false;
      text += line;
    } else if (!line.empty() && !line.starts_with('#')) {
      throw std::runtime_error(file.string() + ": text outside of a section: " + line);
    }
  }
  return cases;
}

void write_golden(const std::filesystem::path& file, const std::vector<GoldenCase>& cases) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  for (const GoldenCase& one : cases) {
    out << kCase << one.name << '\n';
    for (const auto& [name, text] : one.sections) out << kSection << name << '\n' << text << '\n';
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
}

bool updating_goldens() {
  const char* value = std::getenv("UPDATE_GOLDENS");
  return value != nullptr && std::string_view(value) == "1";
}

std::vector<std::string> check_golden(const std::filesystem::path& file,
                                      std::string (*answer)(const GoldenCase&)) {
  std::vector<GoldenCase> cases = read_golden(file);
  std::vector<std::string> problems;
  if (cases.empty()) problems.push_back(file.string() + " holds no case");
  for (GoldenCase& one : cases) {
    const std::string got = answer(one);
    const std::string want = one.get("expected");
    if (updating_goldens()) {
      one.set("expected", got);
    } else if (got != want) {
      problems.push_back(file.filename().string() + ": " + one.name + "\n--- want\n" + want +
                         "\n--- got\n" + got + "\n---\n(UPDATE_GOLDENS=1 rewrites the file)");
    }
  }
  if (updating_goldens()) write_golden(file, cases);
  return problems;
}

}  // namespace incipit::test
