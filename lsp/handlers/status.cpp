// incipit/status.
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>

#include "lsp/handlers/handlers.h"

namespace incipit::lsp {
namespace {

double milliseconds(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1e3;
}

// proc(5): the second number of statm is the resident set, in pages.
int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

std::string state_name(ModelHost::State state) {
  switch (state) {
    case ModelHost::State::kIdle:
    case ModelHost::State::kLoading:
      return "loading";
    case ModelHost::State::kReady:
      return "ready";
    case ModelHost::State::kFailed:
      return "failed";
  }
  return "";
}

StatusAbilities abilities_of(const engine::PromptFormat& format) {
  const bool talks = format.chat && format.chat->skill == engine::ChatSkill::kAnything;
  return {why_not(CodeTask::kExplain, format).empty(), why_not(CodeTask::kRewrite, format).empty(),
          talks};
}

void add_engine(const engine::Engine& engine, Status& status) {
  const engine::ModelInfo& info = engine.info();
  const engine::EngineStats stats = engine.stats();
  status.memory.weightBytes = info.weight_bytes;
  status.memory.kvBytes = info.kv_bytes;
  status.model = StatusModel{info.name,
                             info.directory,
                             info.device,
                             info.head_format,
                             engine::name_of(info.prompt.layout),
                             info.context_tokens,
                             abilities_of(info.prompt)};
  const engine::DeviceStatus device = engine.device();
  status.device = StatusDevice{device.device, std::nullopt, device.n_faults, std::nullopt};
  if (!info.device_note.empty()) status.device->note = info.device_note;
  if (!device.last_fault.empty()) status.device->lastFault = device.last_fault;
  status.pages = StatusPages{stats.pages_total, stats.pages_total - stats.pages_free,
                             stats.pages_cached, stats.pages_free, stats.pages_restored};
  status.tokens = StatusTokens{stats.tokens_reused, stats.tokens_prefilled, stats.tokens_generated};
  status.requests = StatusRequests{stats.requests_finished, stats.requests_cancelled,
                                   stats.sequences_running, stats.sequences_waiting};
}

StatusCompletion describe(const LastCompletion& last) {
  const CompletionTimings& timings = last.timings;
  StatusCompletion completion;
  completion.uri = last.uri;
  completion.items = static_cast<int32_t>(last.n_items);
  if (last.n_items == 0) completion.whyEmpty = last.why_empty;
  if (!timings.finish.empty()) completion.finish = timings.finish;
  if (timings.mean_log_probability) completion.confidence = std::exp(*timings.mean_log_probability);
  for (const ShownPiece& piece : last.context) {
    completion.context.push_back({std::string(name_of(piece.source)), piece.path, piece.n_tokens});
  }
  completion.timings = {milliseconds(timings.context),
                        milliseconds(timings.engine.queued),
                        milliseconds(timings.engine.first_token),
                        milliseconds(timings.total),
                        timings.engine.n_prompt_tokens,
                        timings.engine.n_cached_tokens,
                        timings.engine.n_generated,
                        timings.n_steps_to_first_token};
  return completion;
}

}  // namespace

RpcResult<Status> handle_status(Session& session, const Nothing&) {
  Status status;
  status.version = INCIPIT_VERSION;
  status.state = state_name(session.model.state());
  if (session.model.state() == ModelHost::State::kLoading) {
    status.message = session.model.loading().what;
    status.loadFraction = session.model.loading().fraction;
  } else if (session.model.state() == ModelHost::State::kFailed) {
    status.message = session.model.failure();
  }
  status.positionEncoding = name_of(session.encoding);
  status.openDocuments = static_cast<int32_t>(session.documents.size());
  status.pendingRequests = static_cast<int32_t>(session.connection.n_pending()) - 1;  // not this
  status.memory.residentBytes = resident_bytes();
  if (session.workspace.enabled()) {
    const IndexProgress index = session.workspace.progress();
    status.index =
        StatusIndex{static_cast<int64_t>(index.n_files), static_cast<int64_t>(index.n_symbols),
                    index.complete, index.limited};
  }
  if (session.model.engine()) add_engine(*session.model.engine(), status);
  if (session.completions.last()) status.lastCompletion = describe(*session.completions.last());
  const auto now = std::chrono::steady_clock::now();
  for (const Suppressed& one : session.completions.suppressed()) {
    status.suppressed.push_back(
        {one.uri, one.position, one.why, std::chrono::duration<double>(now - one.when).count()});
  }
  return status;
}

}  // namespace incipit::lsp
