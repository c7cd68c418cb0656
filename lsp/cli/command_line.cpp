#include "lsp/cli/command_line.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/config/engine_options.h"
#include "engine/config/prompt_layout.h"
#include "engine/tools/engine_bench.h"
#include "lsp/cli/exit_code.h"
#include "lsp/cli/source_file.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp::cli {
namespace {

constexpr int kMaxThreads = 1024;
constexpr size_t kNameColumns = 30;  // help: width of the column of option names
constexpr size_t kTextColumns = 66;  // help: the column of descriptions beside it

// CLI11's help with descriptions wrapped, so that it reads in 100 columns.
class WrappingFormatter : public CLI::Formatter {
 public:
  std::string make_option_desc(const CLI::Option* option) const override {
    std::istringstream words(option->get_description());
    std::string text, word;
    size_t column = 0;
    while (words >> word) {
      const bool wraps = column > 0 && column + 1 + word.size() > kTextColumns;
      if (column > 0) text += wraps ? '\n' : ' ';
      column = wraps ? word.size() : column + (column > 0 ? 1 : 0) + word.size();
      text += word;
    }
    return text;
  }
};

std::shared_ptr<CLI::Formatter> help_formatter() {
  auto formatter = std::make_shared<WrappingFormatter>();
  formatter->column_width(kNameColumns);
  formatter->label("SUBCOMMAND", "COMMAND");
  formatter->label("REQUIRED", "(required)");
  return formatter;
}

// CLI::Range without its " in [a - b]" in the help, which is too wide for the name column.
CLI::Validator in_range(int low, int high) {
  return CLI::Range(low, high).description("");
}

// Asks one of the engine's parsers.
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

void add_model_options(CLI::App& app, ModelChoice& model) {
  app.add_option("--model", model.model,
                 "Model to use: a name that `incipit model list` shows, or a directory in Hugging "
                 "Face layout (default: what `incipit model default` chose, else pocket, which "
                 "comes with incipit)")
      ->type_name("NAME|DIR");
  app.add_option("--threads", model.n_threads,
                 "Threads of the engine, 0..1024 (default: 0, one per physical core)")
      ->type_name("N")
      ->check(in_range(0, kMaxThreads));
  app.add_option("--device", model.device,
                 "Where the model runs: auto, cpu, cuda or cuda:N (default: auto, a CUDA GPU where "
                 "it can be used and the model fits)")
      ->type_name("DEVICE")
      ->check(option_check([](const std::string& text) { return engine::parse_device(text); }));
  app.add_option(
         "--gpu-memory", model.gpu_memory,
         "Memory of the GPU for weights, workspace and KV pages: a size such as 11GiB, or a "
         "fraction of what is free (default: 0.9, and KV pages for four contexts at most)")
      ->type_name("SIZE")
      ->check(
          option_check([](const std::string& text) { return engine::parse_memory_budget(text); }));
  app.add_option("--kv-type", model.kv_type,
                 "How a CUDA GPU keeps keys and values: f16, or int8, which takes half the memory "
                 "and rounds them to 8 bits (default: f16)")
      ->type_name("TYPE")
      ->check(option_check([](const std::string& text) { return engine::parse_kv_type(text); }));
  app.add_option("--prompt-layout", model.prompt_layout,
                 "How completions are asked for: auto, fim, fim-suffix-first, fim-prefix-first, "
                 "instruct, base or plain (default: auto, what the model was trained for)")
      ->type_name("LAYOUT")
      ->check(
          option_check([](const std::string& text) { return engine::check_prompt_layout(text); }));
  app.add_option(
         "--context", model.context_tokens,
         "Longest prompt with its answer, in tokens (default: what the model knows, at most "
         "8192; up to 8 times what it knows: by YaRN, which costs quality)")
      ->type_name("N")
      ->check(in_range(0, 1 << 20));
  app.add_option(
         "--draft-tokens", model.draft_tokens,
         "Tokens guessed ahead in a step from the text at hand, 0..31: the same text comes, "
         "in fewer steps where it repeats itself (default: what is best for the device)")
      ->type_name("N")
      ->check(in_range(0, engine::kMaxDraftTokens));
}

void add_json_flag(CLI::App& app, Format& format, const std::string& what) {
  app.add_flag_callback(
      "--json", [&format] { format = Format::kJson; }, what);
}

void add_source_options(CLI::App& app, SourceChoice& source) {
  app.add_option("FILE", source.file, "The source file (UTF-8)")->required()->type_name("");
  app.add_flag("--stdin", source.from_stdin,
               "Read the text from standard input; FILE only names it and need not exist");
  app.add_option("--language", source.language,
                 "Language id as in LSP, such as python or cpp (default: from the name of FILE)")
      ->type_name("ID")
      ->check(CLI::Validator(
          [](const std::string& id) {
            if (find_language(id, "") != nullptr) return std::string();
            return fmt::format("want {}, found \"{}\"", language_names(), id);
          },
          ""));
}

std::string with_exit_codes(const std::string& examples) {
  return examples + "\n" + kExitCodeHelp;
}

void define_lsp(CLI::App& app, LspArguments& out) {
  add_model_options(app, out.model);
  app.add_option("--kv-disk", out.model.kv_disk,
                 "How much of what the model has read is kept on disk, so that it is still known "
                 "after a restart: a size such as 2GiB (default: 0, nothing)")
      ->type_name("SIZE")
      ->check(option_check([](const std::string& text) { return engine::parse_kv_disk(text); }));
  app.add_option("--log-file", out.log_file,
                 "Write the log to this file, whose folder is made (default: stderr)")
      ->type_name("FILE");
  app.add_option("--log-level", out.log_level, "How much to log (default: info)")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_option("--settings", out.settings_file,
                 "JSON file with settings; what the editor sends wins over it")
      ->type_name("FILE");
  add_json_flag(app, out.format,
                "Report a failed start as one line of JSON on stderr (stdout carries LSP only)");
  // For benches: what a model of that size would feel like. Not in the help.
  app.add_option("--synthetic", out.synthetic, "Random weights of a known shape")->group("");
  // Language clients add these on their own; stdio is the only transport there is.
  app.add_flag_callback(
      "--stdio", [] {}, "Accepted and ignored: stdio is the only transport");
  app.add_option("--clientProcessId", "Accepted and ignored: initialize carries the same")
      ->type_name("PID");
  app.footer(with_exit_codes(
      "An editor starts this; typed in a terminal it waits for LSP messages on stdin.\n"
      "The server ends with 0 after shutdown and exit, with 1 when it lost its editor.\n\n"
      "Example:\n"
      "  incipit lsp --log-file /tmp/incipit.log --log-level debug\n"));
}

void define_complete(CLI::App& app, CompleteArguments& out) {
  add_source_options(app, out.source);
  app.add_option("--at", out.at,
                 "Where the cursor is, 1-based; COLUMN counts UTF-8 bytes and may be one past the "
                 "end of the line")
      ->required()
      ->type_name("LINE:COLUMN");
  app.add_option("--max-tokens", out.max_tokens,
                 "Longest suggestion in tokens, 1..1024 (default: 64)")
      ->type_name("N")
      ->check(in_range(1, 1024));
  app.add_option("--alternatives", out.alternatives,
                 "Distinct suggestions, at most, 1..5 (default: 1)")
      ->type_name("N")
      ->check(in_range(1, 5));
  add_model_options(app, out.model);
  add_json_flag(app, out.format, "Print the items and the timings as JSON");
  app.footer(with_exit_codes(
      "Prints the text to insert at the cursor, and on stderr the timings, or why there is\n"
      "nothing to suggest; also which text around the cursor a suggestion replaces, should it\n"
      "replace any. FILE is never changed. Between alternatives stands a line \"---\".\n\n"
      "With --json: {\"items\":[{\"insertText\":..,\"range\":{\"start\":..,\"end\":..}}],"
      "\"timings\":{..}}\n"
      "Positions there are those of LSP with position encoding utf-8: line and character are\n"
      "0-based, character counts bytes. When items is empty, \"whyEmpty\" says why.\n\n"
      "Examples:\n"
      "  incipit complete src/main.py --at 12:5\n"
      "  incipit complete src/main.py --at 12:5 --json\n"
      "  printf 'def add(a, b):\\n    return ' | incipit complete new.py --stdin --at 2:12\n"));
}

void define_explain(CLI::App& app, ExplainArguments& out) {
  add_source_options(app, out.source);
  app.add_option("--lines", out.lines, "Lines to explain, 1-based, both included; A alone is A:A")
      ->required()
      ->type_name("A:B");
  app.add_option("--max-tokens", out.max_tokens,
                 "Longest explanation in tokens, 1..4096 (default: 160)")
      ->type_name("N")
      ->check(in_range(1, 4096));
  add_model_options(app, out.model);
  add_json_flag(app, out.format, "Print {\"text\":..,\"timings\":{..}} at the end, no streaming");
  app.footer(
      with_exit_codes("Streams the explanation to stdout as it is made; Ctrl-C stops it.\n\n"
                      "Example:\n"
                      "  incipit explain src/main.py --lines 10:24\n"));
}

void define_bench(CLI::App& app, BenchArguments& out) {
  add_model_options(app, out.model);
  app.add_option("--synthetic", out.synthetic,
                 "Random INT4 weights of a known shape instead of a model: llama-3-8b, "
                 "llama-3.1-8b, llama-3.2-1b, llama-3.2-3b, codellama-7b, pocket")
      ->type_name("NAME");
  app.add_option("--suite", out.suite,
                 "h100: every figure by which the CUDA engine is judged, for random weights of "
                 "the shape llama-3-8b; takes two to three minutes on such a GPU")
      ->type_name("NAME")
      ->check(CLI::IsMember({"h100"}));
  const auto count = [&app](const char* name, auto& value, const char* what,
                            engine::CountRange range, const char* standard) {
    app.add_option(name, value,
                   fmt::format("{}, {}..{} (default: {})", what, range.low, range.high, standard))
        ->type_name("N")
        ->check(in_range(range.low, range.high));
  };
  count("--prompt-tokens", out.prompt_tokens, "Tokens of the prefill figure",
        engine::kBenchPromptTokens, "512");
  count("--decode-tokens", out.decode_tokens, "Steps of the decode figure",
        engine::kBenchDecodeTokens, "64");
  count("--cached-tokens", out.cached_tokens, "Cached prefix of the first-token figure",
        engine::kBenchCachedTokens, "1500, less where the context is short");
  count("--new-tokens", out.new_tokens, "Tokens after that prefix", engine::kBenchNewTokens, "8");
  add_json_flag(app, out.format, "Print the figures as JSON");
  app.footer(with_exit_codes(
      "Measures the engine alone. Beside each figure stands what the machine can do, measured in\n"
      "the same run with the same threads: read bandwidth for decoding, arithmetic for prefill.\n"
      "A model that fits in the processor's caches can exceed 100 % of the read bandwidth.\n"
      "What is asked for must fit in the context of the model.\n\n"
      "Examples:\n"
      "  incipit bench\n"
      "  incipit bench --synthetic llama-3-8b --threads 8\n"));
}

void define_eval(CLI::App& app, EvalArguments& out) {
  CLI::Option* paths =
      app.add_option("FOLDER|FILE", out.paths, "Source files, or folders of them")->type_name("");
  app.add_option("--compare", out.compare,
                 "Compare two reports over the holes that both have, instead of measuring")
      ->expected(2)
      ->type_name("A B")
      ->excludes(paths);
  app.callback([&out] {
    if (!out.paths.empty() || !out.compare.empty()) return;
    throw CLI::ValidationError("want a FOLDER or FILE, or --compare A B, found neither");
  });
  app.add_option("--holes", out.holes, "Holes for each language, 1..100000 (default: 50)")
      ->type_name("N")
      ->check(in_range(1, 100000));
  app.add_option("--seed", out.seed, "Other holes, other files where there are many (default: 1)")
      ->type_name("S");
  app.add_option("--kinds", out.kinds,
                 "Of line (the rest of a line), block (the last lines of a syntax node), token "
                 "(from inside a name to the end of the line), with commas (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("KINDS")
      ->check(CLI::IsMember({"line", "block", "token"}));
  app.add_option("--languages", out.languages,
                 "Language ids as in LSP, such as python,cpp (default: all that have a grammar)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("IDS");
  app.add_option("--max-files", out.max_files, "Files for each language, 1..100000 (default: 20)")
      ->type_name("N")
      ->check(in_range(1, 100000));
  app.add_option("--definitions", out.definitions,
                 "Tell the model what other files of the folders define: none, files (each under "
                 "its path, before this file) or comments (at its top) (default: none)")
      ->type_name("HOW")
      ->check(CLI::IsMember({"none", "files", "comments"}));
  app.add_flag("--neighbours", out.neighbours,
               "Tell the model lines of files beside each one, as if those were open");
  app.add_option("--min-confidence", out.min_confidence,
                 "Hide less sure suggestions, as incipit.completion.minConfidence does, 0..1 "
                 "(default: as the language server; 0: none)")
      ->type_name("P")
      ->check(CLI::Range(0.0, 1.0).description(""));
  app.add_flag_callback(
      "--no-healing", [&out] { out.heals_tokens = false; },
      "Show the model all of the token that the cursor stands in, instead of leaving it off "
      "the prompt and making the answer begin with it");
  app.add_option("--out", out.out, "Write the report as JSON to this file, too")->type_name("FILE");
  add_model_options(app, out.model);
  add_json_flag(app, out.format, "Print the report as JSON, with every hole");
  app.footer(with_exit_codes(
      "Cuts holes into source files, asks for a completion at each, as the editor would, and\n"
      "measures how near it comes to what stood there. No source file is changed. The same seed\n"
      "and files make the same holes. What the figures mean: docs/evaluation.md.\n\n"
      "Examples:\n"
      "  incipit eval src --out today.json\n"
      "  incipit eval src --languages python --kinds line,block --holes 200 --model llama3\n"
      "  incipit eval --compare before.json today.json\n"));
}

void define_doctor(CLI::App& app, DoctorArguments& out) {
  add_model_options(app, out.model);
  add_json_flag(app, out.format, "Print the findings as JSON");
  app.footer(with_exit_codes(
      "Says what was found (processor, CUDA, model and its files, memory, grammars) "
      "and what to do\nabout each problem.\n\n"
      "Example:\n"
      "  incipit doctor\n"));
}

// The actions of `incipit model`; `out` gets the one that was typed.
void define_model_action(CLI::App& action, ModelArguments& out, ModelArguments::Action which) {
  using Action = ModelArguments::Action;
  action.callback([&out, which] { out.action = which; });
  if (which == Action::kAdd) {
    action
        .add_option("DIR|FILE", out.source,
                    "The checkpoint: a directory in Hugging Face layout, or a GGUF file")
        ->required()
        ->type_name("");
    action.add_option("--name", out.name, "Name to use it by (default: that of the directory)")
        ->type_name("NAME");
    action
        .add_option(
            "--quantize", out.quantize,
            "How a source in full precision becomes INT4: gptq watches the model read text "
            "and takes minutes (a large model on a CPU: hours), rtn rounds and takes seconds "
            "(default: auto, gptq where this machine can in minutes). One that is quantised keeps "
            "its integers")
        ->check(CLI::IsMember({"auto", "gptq", "rtn"}))
        ->type_name("HOW");
    action
        .add_option("--calibration", out.calibration,
                    "Text for gptq to watch, one document a file, an eighth of it kept for the "
                    "measurement (default: the sources of this program)")
        ->type_name("FILES");
    action.add_flag("--measure", out.measure,
                    "Compare with the model in full precision after rtn, too");
    action
        .add_option("--device", out.device,
                    "Where gptq and the comparison compute: auto, cpu, cuda or cuda:N (default: "
                    "auto, a CUDA GPU where it can be used and has the memory)")
        ->type_name("DEVICE")
        ->check(option_check([](const std::string& text) { return engine::parse_device(text); }));
  } else if (which == Action::kShow) {
    action.add_option("NAME", out.name, "The model, or its directory (default: the default model)")
        ->type_name("");
  } else if (which != Action::kList) {
    action.add_option("NAME", out.name, "The model")->required()->type_name("");
  }
  add_json_flag(action, out.format, "Print the result as JSON");
}

void define_model(CLI::App& app, ModelArguments& out) {
  using Action = ModelArguments::Action;
  struct Row {
    const char* name;
    Action action;
    const char* what;
  };
  constexpr Row kRows[] = {
      {"add", Action::kAdd, "Check a checkpoint and pack it once, under a name"},
      {"list", Action::kList, "The models of this machine"},
      {"show", Action::kShow, "Architecture, sizes, source, licence notice, memory of a model"},
      {"default", Action::kDefault, "Choose the model that is used when none is named"},
      {"remove", Action::kRemove, "Remove a model that was added; its source stays"}};
  // Before the actions, which take it over.
  app.footer(with_exit_codes(
      "An added model lies in $XDG_DATA_HOME/incipit/models (or ~/.local/share/incipit/models).\n"
      "Its source is never changed, and may go afterwards. Adding the same again does nothing;\n"
      "Ctrl-C leaves nothing behind.\n\n"
      "Examples:\n"
      "  incipit model add ~/models/Meta-Llama-3-8B-Instruct-GPTQ --name llama3\n"
      "  incipit model add ~/models/Meta-Llama-3-8B-Instruct --quantize gptq --name mine\n"
      "  incipit model default llama3\n"
      "  incipit model show llama3 --json\n"));
  for (const Row& row : kRows) {
    CLI::App* action = app.add_subcommand(row.name, row.what);
    action->group("Commands");
    define_model_action(*action, out, row.action);
  }
  app.require_subcommand(1);
}

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
