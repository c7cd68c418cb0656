#include "lsp/handlers/load_progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/base/log.h"

namespace incipit::lsp {
namespace {

std::string_view stage_of(std::string_view what) {
  return what.substr(0, what.find(':'));
}

}  // namespace

void LoadProgress::update(double fraction, const std::string& what) {
  const auto percentage = static_cast<uint32_t>(std::clamp(fraction, 0.0, 1.0) * 100);
  // "packing weights: layers.3.qkv": each of hundreds of tensors is no news, a new stage is.
  const bool changed = percentage != percentage_ || stage_of(what) != stage_of(what_);
  percentage_ = percentage;
  what_ = what;
  if (!allowed_) return;
  if (state_ == State::kNone) {
    ask();
  } else if (state_ == State::kShown && changed) {
    send({"report", {}, {}, what_, percentage_});
  }
}

void LoadProgress::ask() {
  state_ = State::kAsked;
  const int64_t mine = ++n_asked_;
  connection_.request<method::WorkDoneProgressCreate>(
      {ProgressToken{fmt::format("incipit/load/{}", mine)}}, [this, mine](RpcResult<Json> result) {
        // Finished meanwhile, perhaps even loading the next model.
        if (mine != n_asked_ || state_ != State::kAsked) return;
        if (const auto* error = std::get_if<RpcError>(&result)) {
          allowed_ = false;
          return log::info("progress: the client refuses: {}", error->message);
        }
        state_ = State::kShown;
        send({"begin", "Loading the model", false, what_, percentage_});
      });
}

void LoadProgress::finish(const std::string& what) {
  if (state_ == State::kShown) send({"end", {}, {}, what, {}});
  state_ = State::kNone;
}

void LoadProgress::send(const WorkDoneProgress& progress) {
  connection_.notify<method::Progress>(
      {ProgressToken{fmt::format("incipit/load/{}", n_asked_)}, progress});
}

}  // namespace incipit::lsp
