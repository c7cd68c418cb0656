#include "lsp/cli/command_line.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "lsp/cli/command_options.h"

namespace incipit::lsp::cli {
namespace {

constexpr const char* kFooter =
    "Results go to stdout, everything for people goes to stderr; each command takes --json.\n"
    "`incipit COMMAND --help` says more about a command.\n\n"
    "Examples:\n"
    "  incipit doctor                                  is everything in place?\n"
    "  incipit complete src/main.py --at 12:5          one suggestion, in the terminal\n"
    "  incipit explain src/main.py --lines 10:24       what do these lines do?\n"
    "  incipit bench                                   how fast is it here?\n"
    "  incipit eval src                                how good is it on this code?\n"
    "  incipit model add DIR                           bring your own model\n"
    "  incipit lsp                                     what an editor starts\n";

bool has_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == name) return true;
  }
  return false;
}

// For a command line that cannot be parsed.
UsageError usage_error(int argc, const char* const* argv, std::string message) {
  const bool json =
      std::any_of(argv + 1, argv + argc, [](std::string_view word) { return word == "--json"; });
  const bool lsp = argc > 1 && std::string_view(argv[1]) == "lsp";
  return {std::move(message), json ? Format::kJson : Format::kText,
          lsp ? UsageError::Of::kLsp : UsageError::Of::kOthers};
}

// What is wrong with the first word, which is a command or an option of `incipit` alone. CLI11
// would say of an unknown option that the command is missing.
std::string wrong_first_word(const CLI::App& app, const std::string& word) {
  if (has_command(app, word) || word == "--help" || word == "-h" || word == "--version") return "";
  const char* what = word.starts_with('-') ? "option" : "command";
  return std::string("unknown ") + what + " '" + word +
         "': want lsp, complete, explain, bench, eval, doctor or model (`incipit --help` says "
         "more)";
}

// `help` is `--help`, `help COMMAND` is `COMMAND --help`.
std::vector<const char*> without_help_command(int argc, const char* const* argv) {
  std::vector<const char*> words(argv, argv + argc);
  if (argc < 2 || std::string_view(argv[1]) != "help") return words;
  words.erase(words.begin() + 1);
  words.push_back("--help");
  return words;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

const char* version() {
  return INCIPIT_VERSION;
}

ParsedCommandLine parse_command_line(int given_argc, const char* const* given_argv) {
  CLI::App app(
      "incipit: a local code assistant. The language model runs inside this program;\n"
      "no code leaves the machine.",
      "incipit");
  app.set_version_flag("--version", std::string("incipit ") + version(), "Print the version");
  app.formatter(help_formatter());
  app.footer(with_exit_codes(kFooter));

  LspArguments lsp;
  CompleteArguments complete;
  ExplainArguments explain;
  BenchArguments bench;
  EvalArguments eval;
  DoctorArguments doctor;
  ModelArguments model;
  CLI::App* lsp_app = app.add_subcommand("lsp", "Serve an editor: LSP over stdin and stdout");
  CLI::App* complete_app = app.add_subcommand("complete", "One inline completion for a file");
  CLI::App* explain_app = app.add_subcommand("explain", "Explain lines of a file");
  CLI::App* bench_app = app.add_subcommand("bench", "Measure the engine on this machine");
  CLI::App* eval_app = app.add_subcommand("eval", "Measure how well it completes your code");
  CLI::App* doctor_app = app.add_subcommand("doctor", "Check the installation, say what to do");
  CLI::App* model_app = app.add_subcommand("model", "Add, list, show, choose, remove models");
  define_lsp(*lsp_app, lsp);
  define_complete(*complete_app, complete);
  define_explain(*explain_app, explain);
  define_bench(*bench_app, bench);
  define_eval(*eval_app, eval);
  define_doctor(*doctor_app, doctor);
  define_model(*model_app, model);
  for (CLI::App* command : app.get_subcommands({})) command->group("Commands");
  app.require_subcommand(1);

  if (given_argc < 2) return UsageError{"a command is missing\n\n" + app.help()};
  const std::vector<const char*> words = without_help_command(given_argc, given_argv);
  const int argc = static_cast<int>(words.size());
  const char* const* argv = words.data();
  if (std::string wrong = wrong_first_word(app, argv[1]); !wrong.empty()) {
    return usage_error(argc, argv, std::move(wrong));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream text, ignored;
    app.exit(success, text, ignored);
    return HelpText{text.str()};
  } catch (const CLI::ParseError& error) {
    return usage_error(argc, argv,
                       first_line(error.what()) + " (`incipit " + argv[1] + " --help` says more)");
  }
  if (lsp_app->parsed()) return Arguments{lsp};
  if (complete_app->parsed()) return Arguments{complete};
  if (explain_app->parsed()) return Arguments{explain};
  if (bench_app->parsed()) return Arguments{bench};
  if (eval_app->parsed()) return Arguments{eval};
  if (model_app->parsed()) return Arguments{model};
  return Arguments{doctor};
}

}  // namespace incipit::lsp::cli
