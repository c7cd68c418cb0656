#include "lsp/handlers/session.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "lsp/handlers/handlers.h"
#include "lsp/handlers/open_documents.h"

namespace incipit::lsp {

Session::Session(ServerOptions given, EngineFactory make_engine, JsonRpcConnection& wire,
                 Post to_io, std::function<void()> abandon)
    : options(std::move(given)),
      connection(wire),
      post(std::move(to_io)),
      abandon_wire(std::move(abandon)),
      load_progress(wire),
      workspace(documents),
      model(
          std::move(make_engine), workspace.context(), post, [this] { model_changed(); },
          [this](const engine::DeviceStatus& device) { device_failed(device); }),
      completions({documents, settings, model, wire, post, options.load_wait}),
      explanations(model, wire, post, EditSender(documents, wire, client, encoding)),
      hovers(model, wire, post) {
  register_handlers(dispatcher_);
}

std::optional<RpcError> Session::refuse(const std::string& method) const {
  const bool is_initialize = method == method::Initialize::kName;
  switch (phase) {
    case Phase::kUninitialized:
      if (is_initialize) return std::nullopt;
      return RpcError{RpcCode::kServerNotInitialized, method + ": want initialize first"};
    case Phase::kRunning:
      if (!is_initialize) return std::nullopt;
      return RpcError{RpcCode::kInvalidRequest, "initialize: the server is initialized already"};
    case Phase::kShutDown:
    case Phase::kEnded:
      break;
  }
  return RpcError{RpcCode::kInvalidRequest, method + ": the server was shut down"};
}

void Session::handle(IncomingRequest request) {
  if (auto error = refuse(request.method)) {
    request.reply.finish(std::move(*error));
  } else {
    dispatcher_.dispatch(*this, std::move(request));
  }
}

void Session::handle(const IncomingNotification& notification) {
  // Outside of its running time the server hears `exit` alone.
  if (phase == Phase::kRunning || notification.method == method::Exit::kName) {
    dispatcher_.dispatch(*this, notification);
  } else {
    log::warn("{}: ignored, the server is not running", notification.method);
  }
}

void Session::end(const std::string& why) {
  if (ended()) return;
  log::info("server: ends: {}", why);
  phase = Phase::kEnded;
}

void Session::answer_everything() {
  connection.cancel_all({RpcCode::kRequestCancelled, "the server stops"});
}

std::optional<std::chrono::steady_clock::time_point> Session::next_deadline() const {
  return completions.next_deadline();
}

void Session::on_deadline() {
  completions.on_deadline();
}

void Session::on_idle() {
  if (!warm_ || model.state() != ModelHost::State::kReady || phase != Phase::kRunning) return;
  const WarmPlace place = *std::exchange(warm_, std::nullopt);
  const Document* document = documents.find(place.uri);
  if (!document || !completions.why_excluded(*document).empty()) return;
  // Also while a request is being answered: the pipeline ends it if its text is gone.
  const bool prefill = settings.current().prewarm;
  if (!prefill && !completions.is_busy(document->uri())) return;
  model.pipeline()->follow(documents.snapshot(*document), place.offset, prefill,
                           open_documents(documents, *document, settings.current()));
}

void Session::show_message(MessageType type, const std::string& text) const {
  // A setting's name says already who speaks.
  const bool is_named = text.starts_with("incipit.") || text.starts_with("incipit:");
  const std::string speaker = is_named ? "" : "incipit: ";
  connection.notify<method::ShowMessage>({static_cast<int32_t>(type), speaker + text});
}

void Session::apply_settings(SettingsLayer layer, const Json& given) {
  const auto place = static_cast<size_t>(layer);
  std::set<std::string> found;
  for (const std::string& problem : settings.set(layer, given)) {
    const bool is_known = std::any_of(complaints_.begin(), complaints_.end(),
                                      [&](const auto& known) { return known.contains(problem); });
    found.insert(problem);
    if (is_known) continue;
    log::warn("settings: {}", problem);
    show_message(MessageType::kWarning, problem);
  }
  // The layers below count less: what was wrong there is worth a word again once it was right here.
  std::for_each_n(complaints_.begin(), place, [](auto& below) { below.clear(); });
  complaints_[place] = std::move(found);
}

void Session::load_settings_file() {
  if (!options.settings_file) return;
  const Result<Json> file = read_settings_file(*options.settings_file);
  if (file) return apply_settings(SettingsLayer::kFile, *file);
  log::warn("{}", file.error().message);
  show_message(MessageType::kWarning, file.error().message);
}

void Session::update_workspace() {
  workspace.update(documents.folder_paths(), settings.current());
}

void Session::follow_settings() {
  update_workspace();
  load_model();
}

void Session::load_model() {
  engine::EngineOptions wanted = options.engine;
  const Settings& chosen = settings.current();
  if (!chosen.model.empty()) wanted.model = chosen.model;
  if (chosen.threads > 0) wanted.n_threads = chosen.threads;
  if (!chosen.device.empty()) wanted.device = chosen.device;
  if (!chosen.gpu_memory.empty()) wanted.gpu_memory = chosen.gpu_memory;
  if (!chosen.kv_type.empty()) wanted.kv_type = chosen.kv_type;
  if (!chosen.kv_disk.empty()) wanted.kv_disk = chosen.kv_disk;
  if (!chosen.prompt_layout.empty()) wanted.prompt_layout = chosen.prompt_layout;
  if (chosen.context_tokens > 0) wanted.context_tokens = chosen.context_tokens;
  model.load(wanted);
}

void Session::device_failed(const engine::DeviceStatus& device) {
  const bool goes_on = device.device != engine::kNoDevice;
  show_message(goes_on ? MessageType::kWarning : MessageType::kError, device.last_fault);
}

void Session::model_changed() {
  switch (model.state()) {
    case ModelHost::State::kIdle:
      break;
    case ModelHost::State::kLoading:
      load_progress.update(model.loading().fraction, model.loading().what);
      return;
    case ModelHost::State::kReady:
      load_progress.finish("ready");
      break;
    case ModelHost::State::kFailed:
      load_progress.finish("failed");
      show_message(MessageType::kError, model.failure());
      break;
  }
  completions.model_changed();
  explanations.model_changed();
}

}  // namespace incipit::lsp
