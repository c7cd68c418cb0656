// Options that several commands of the command line share, and how their help looks. With
// command_line.cpp and the *_command.cpp files the only users of CLI11.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "lsp/cli/command_line.h"

namespace incipit::lsp::cli {

// One command: its options write to `out`, which must outlive `app`.
void define_lsp(CLI::App& app, LspArguments& out);
void define_complete(CLI::App& app, CompleteArguments& out);
void define_explain(CLI::App& app, ExplainArguments& out);
void define_bench(CLI::App& app, BenchArguments& out);
void define_eval(CLI::App& app, EvalArguments& out);
void define_doctor(CLI::App& app, DoctorArguments& out);
void define_model(CLI::App& app, ModelArguments& out);

// Descriptions are wrapped, so that help reads in 100 columns.
std::shared_ptr<CLI::Formatter> help_formatter();

// CLI::Range without its " in [a - b]" in the help, which is too wide for the name column.
CLI::Validator in_range(int low, int high);

// Asks one of the engine's parsers, which return a Result.
template <class Parse>
CLI::Validator option_check(Parse parse) {
  return CLI::Validator(
      [parse](std::string& text) {
        const auto parsed = parse(text);
        if (parsed) return std::string();
        const std::string& message = parsed.error().message;
        return message.substr(message.find("want"));  // CLI11 names the option
      },
      "");
}

void add_model_options(CLI::App& app, ModelChoice& model);
void add_source_options(CLI::App& app, SourceChoice& source);
void add_json_flag(CLI::App& app, Format& format, const std::string& what);

// The end of a command's help.
std::string with_exit_codes(const std::string& examples);

}  // namespace incipit::lsp::cli
