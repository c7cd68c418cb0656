#include "lsp/cli/command_options.h"

#include <fmt/core.h>

#include "engine/tools/engine_bench.h"

namespace incipit::lsp::cli {
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

}  // namespace incipit::lsp::cli
