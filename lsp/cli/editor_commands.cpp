#include "lsp/cli/command_options.h"

#include "engine/config/engine_options.h"

namespace incipit::lsp::cli {
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

void define_doctor(CLI::App& app, DoctorArguments& out) {
  add_model_options(app, out.model);
  add_json_flag(app, out.format, "Print the findings as JSON");
  app.footer(with_exit_codes(
      "Says what was found (processor, CUDA, model and its files, memory, grammars) "
      "and what to do\nabout each problem.\n\n"
      "Example:\n"
      "  incipit doctor\n"));
}

}  // namespace incipit::lsp::cli
