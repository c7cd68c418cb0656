// CompletionService: the completions in flight. Per document there is one that counts: a newer
// request supersedes it. Owns what the replies need until the pipeline is done. Io thread only; the
// pipeline's callbacks post.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lsp/completion/completion_pipeline.h"
#include "lsp/document/document_store.h"
#include "lsp/handlers/display_delay.h"
#include "lsp/handlers/model_host.h"
#include "lsp/protocol/inline_completion.h"
#include "lsp/rpc/dispatcher.h"
#include "lsp/settings.h"

namespace incipit::lsp {

// What status tells about the last one that was answered.
struct LastCompletion {
  std::string uri;
  size_t n_items = 0;
  std::string why_empty;
  std::vector<ShownPiece> context;
  CompletionTimings timings;
};

// A request that was answered with nothing, and why.
struct Suppressed {
  std::string uri;
  Position position;
  std::string why;
  std::chrono::steady_clock::time_point when;
};

class CompletionService {
 public:
  static constexpr size_t kMaxSuppressed = 20;

  using AnyReply = std::variant<Reply<InlineCompletionList>, Reply<CompletionList>>;
  struct Question {
    std::string uri;
    Position position;
    bool invoked = false;
    std::optional<SelectedCompletionInfo> selected;
  };
  struct Parts {
    DocumentStore& documents;
    SettingsStack& settings;
    ModelHost& model;
    JsonRpcConnection& connection;
    Post post;
    std::chrono::milliseconds load_wait{0};
  };

  explicit CompletionService(Parts parts) : parts_(std::move(parts)) {}

  void start(const Question& question, PositionEncoding encoding, Call call, AnyReply reply);
  void cancel_all();
  void document_changed(const Document& document);
  void document_closed(const std::string& uri);

  void model_changed();  // starts or answers those that waited for it
  std::optional<std::chrono::steady_clock::time_point> next_deadline() const;
  void on_deadline();

  bool is_busy(const std::string& uri) const;  // something is being made for this document
  const std::optional<LastCompletion>& last() const { return last_; }
  const std::deque<Suppressed>& suppressed() const { return suppressed_; }  // newest first

  // Why nothing may be suggested in this document at all; empty: it may.
  std::string why_excluded(const Document& document) const;
  // The part of it that is about any use of the file.
  std::string why_file_excluded(const Document& document) const;

 private:
  struct Pending {
    CompletionRequest request;
    PositionEncoding encoding = PositionEncoding::kUtf16;
    AnyReply reply;
    Position position;
    std::optional<std::chrono::steady_clock::time_point> deadline;  // set: waits for the model
    std::chrono::steady_clock::time_point asked{};
    std::optional<CompletionOutcome> held;  // ready, but not to be shown before …
    std::chrono::steady_clock::time_point held_until{};
  };
  using PendingMap = std::map<RequestSerial, Pending>;

  CompletionRequest make_request(const Question& question, const Document& document,
                                 PositionEncoding encoding, const Call& call) const;
  void supersede(const std::string& uri, RequestSerial newer);
  void submit(RequestSerial serial, Pending& pending);
  void finished(RequestSerial serial, CompletionOutcome outcome);
  bool hold_back(Pending& pending, CompletionOutcome& outcome);
  void answer(Pending& pending, CompletionOutcome outcome);
  void answer_empty(PendingMap::iterator pending, const std::string& why);

  Parts parts_;
  PendingMap pending_;
  std::map<std::string, RequestSerial> newest_;  // by Uri::key
  std::optional<LastCompletion> last_;
  DisplayDelay delay_;
  std::deque<Suppressed> suppressed_;
};

}  // namespace incipit::lsp
