#include "lsp/cli/command_options.h"

#include "engine/config/engine_options.h"

namespace incipit::lsp::cli {
namespace {

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

}  // namespace

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

}  // namespace incipit::lsp::cli
