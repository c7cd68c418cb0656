#include "lsp/cli/command_options.h"

#include <fmt/core.h>

#include <sstream>

#include "engine/config/engine_options.h"
#include "engine/config/prompt_layout.h"
#include "lsp/cli/exit_code.h"
#include "lsp/cli/source_file.h"
#include "lsp/context_range.h"
#include "lsp/syntax/language.h"

namespace incipit::lsp::cli {
namespace {

constexpr int kMaxThreads = 1024;
constexpr size_t kNameColumns = 30;  // help: width of the column of option names
constexpr size_t kTextColumns = 66;  // help: the column of descriptions beside it

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

CLI::Validator context_range() {
  return CLI::Validator(
      [](const std::string& text) {
        int32_t n = -1;
        const bool is_number = CLI::detail::lexical_cast(text, n);
        if (is_number && (n == 0 || (n >= kLeastContext && n <= kMostContext)))
          return std::string();
        return fmt::format("want 0, or an integer {}..{}, found \"{}\"", kLeastContext,
                           kMostContext, text);
      },
      "");
}

}  // namespace

std::shared_ptr<CLI::Formatter> help_formatter() {
  auto formatter = std::make_shared<WrappingFormatter>();
  formatter->column_width(kNameColumns);
  formatter->label("SUBCOMMAND", "COMMAND");
  formatter->label("REQUIRED", "(required)");
  return formatter;
}

CLI::Validator in_range(int low, int high) {
  return CLI::Range(low, high).description("");
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
         "Longest prompt with its answer, in tokens, 256 at least (default: 0, what the model "
         "knows, at most 8192; up to 8 times what it knows: by YaRN, which costs quality)")
      ->type_name("N")
      ->check(context_range());
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

}  // namespace incipit::lsp::cli
