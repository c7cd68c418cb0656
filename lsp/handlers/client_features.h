// Of the client's capabilities those that change what the server does. Set by initialize; io
// thread.
#pragma once

namespace incipit::lsp {

struct ClientFeatures {
  bool inline_completion = false;
  bool code_action_literals = false;
  bool disabled_actions = false;        // shows code actions that cannot be taken, with the reason
  bool versioned_edits = false;         // applies edits of a certain version of a document
  bool create_files = false;            // … and makes files
  bool asks_instruction = false;        // asks its user for the text that incipit.rewrite wants
  bool configuration = false;           // can be asked for settings
  bool configuration_register = false;  // wants to be told to send changes of them
  bool files_register = false;          // … and what happens to files
  bool work_done_progress = false;      // accepts tokens that the server makes
};

}  // namespace incipit::lsp
