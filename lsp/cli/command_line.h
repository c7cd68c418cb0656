// Turns argv into a plain struct, or into help text or a usage error. Called once by main(), before
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace incipit::lsp::cli {

enum class Format { kText, kJson };

struct ModelChoice {
  std::string model;      // a name, or a directory in Hugging Face layout; empty: the default model
  int32_t n_threads = 0;  // 0: one per physical core this process may use
  std::string device = "auto";  // "auto", "cpu", "cuda" or "cuda:N"
  std::string gpu_memory;       // "11GiB" or "0.9"; empty: the engine's default
  std::string kv_disk;          // `incipit lsp` alone
  std::string kv_type = "f16";  // keys and values in pages: "f16" or "int8"
  std::string prompt_layout;    // of completions; empty: what suits the model
  int32_t context_tokens = 0;   // 0: the engine's default
  int32_t draft_tokens = -1;    // guessed ahead in a step; -1: what is best for the device
};

struct LspArguments {
  ModelChoice model;
  std::string synthetic;  // a shape's name: random weights under the model's tokenizer
  std::string log_file;   // empty: stderr
  std::string log_level = "info";
  std::string settings_file;
  Format format = Format::kText;
};

struct SourceChoice {
  std::string file;
  bool from_stdin = false;  // the text comes from stdin; `file` only names it
  std::string language;     // LSP language id; empty: from the file name
};

struct CompleteArguments {
  ModelChoice model;
  SourceChoice source;
  std::string at;  // "LINE:COLUMN", 1-based, column in bytes
  int32_t max_tokens = 64;
  int32_t alternatives = 1;
  Format format = Format::kText;
};

struct ExplainArguments {
  ModelChoice model;
  SourceChoice source;
  std::string lines;  // "A:B" or "A", 1-based, both included
  int32_t max_tokens = 160;
  Format format = Format::kText;
};

struct BenchArguments {
  ModelChoice model;
  std::string synthetic;                 // a shape's name; empty: the installed model
  std::string suite;                     // "h100"; empty: the figures below
  int32_t prompt_tokens = 512;           // rows of the prefill figure
  int32_t decode_tokens = 64;            // steps of the decode figure
  std::optional<int32_t> cached_tokens;  // prefix of the cached first token
  int32_t new_tokens = 8;                // tokens after that prefix
  Format format = Format::kText;
};

struct EvalArguments {
  ModelChoice model;
  std::vector<std::string> paths;    // folders and files; none: `compare` has two
  std::vector<std::string> compare;  // two reports, or none
  int32_t holes = 50;                // a language
  uint64_t seed = 1;
  std::vector<std::string> kinds;      // of "line", "block", "token"; none: all
  std::vector<std::string> languages;  // ids; none: all
  int32_t max_files = 20;              // a language
  // How prompts are told of definitions in other files: "none", "files" or "comments".
  std::string definitions = "none";
  // Whether the files beside one count as open documents, of which similar lines are shown.
  bool neighbours = false;
  bool heals_tokens = true;
  double min_confidence = -1;  // of suggestions asked for while typing; < 0: as the server
  std::string out;             // a file for the JSON; empty: none
  Format format = Format::kText;
};

struct DoctorArguments {
  ModelChoice model;
  Format format = Format::kText;
};

struct ModelArguments {
  enum class Action { kAdd, kList, kShow, kDefault, kRemove };
  Action action = Action::kList;
  std::string source;             // kAdd: what to add
  std::string name;               // kAdd: empty: after the source; kShow: empty: the default model
  std::string quantize = "auto";  // kAdd: auto, gptq or rtn
  std::vector<std::string> calibration;  // kAdd: files; empty: the text that comes with the program
  bool measure = false;                  // kAdd: what rounding to nearest costs, too
  std::string device = "auto";           // kAdd: where quantising computes
  Format format = Format::kText;
};

using Arguments = std::variant<LspArguments, CompleteArguments, ExplainArguments, BenchArguments,
                               EvalArguments, DoctorArguments, ModelArguments>;

// What parsing ended with: arguments to run, or text to print and an exit code.
struct HelpText {
  std::string text;  // for stdout, exit code 0
};
struct UsageError {
  enum class Of { kLsp, kOthers };
  std::string message;  // for stderr, exit code 2
  Format format = Format::kText;
  Of command = Of::kOthers;  // whose stdout is LSP's, or ours
};

using ParsedCommandLine = std::variant<Arguments, HelpText, UsageError>;

ParsedCommandLine parse_command_line(int argc, const char* const* argv);

const char* version();

}  // namespace incipit::lsp::cli
