#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void register_handlers(Dispatcher<Session>& on) {
  on.quick<method::Initialize>(handle_initialize);
  on.quick<method::Shutdown>(handle_shutdown);
  on.notification<method::Exit>(on_exit);
}

}  // namespace incipit::lsp
