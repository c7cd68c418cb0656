// Settings that the client pushes, and those it is asked for.
#include "engine/base/log.h"
#include "lsp/handlers/handlers.h"

namespace incipit::lsp {

void ask_configuration(Session& session) {
  session.connection.request<method::Configuration>(
      {{ConfigurationItem{"incipit"}}}, [&session](RpcResult<Json> result) {
        if (const auto* error = std::get_if<RpcError>(&result)) {
          return log::warn("workspace/configuration: {}", error->message);
        }
        // One result an item; null where the client has nothing.
        const Json& answer = std::get<Json>(result);
        if (!answer.is_array() || answer.size() != 1) {
          return log::warn("workspace/configuration: want an array of one, found {}",
                           json_type_name(answer));
        }
        session.apply_settings(SettingsLayer::kPulled, answer[0]);
        session.follow_settings();
      });
}

void on_did_change_configuration(Session& session, const DidChangeConfigurationParams& params) {
  // Clients that are asked for settings send null here, as a signal to ask again.
  if (params.settings) {
    session.apply_settings(SettingsLayer::kPushed, *params.settings);
    session.follow_settings();
  }
  if (session.client.configuration) ask_configuration(session);
}

}  // namespace incipit::lsp
