// Our own messages, incipit/status and incipit/didMoveCursor; described for client authors in
// docs/lsp-extensions.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

// Which questions the model takes; it refuses the others.
struct StatusAbilities {
  bool explain = false;
  bool edit = false;  // tests, fixes, rewrites
  bool chat = false;
};
template <class V>
void visit_fields(V& v, StatusAbilities& a) {
  v("explain", a.explain);
  v("edit", a.edit);
  v("chat", a.chat);
}

struct StatusModel {
  std::string name;
  std::string directory;
  std::string device;
  std::string headFormat;
  std::string promptLayout;
  int32_t contextTokens = 0;
  StatusAbilities abilities;
};
template <class V>
void visit_fields(V& v, StatusModel& m) {
  v("name", m.name);
  v("directory", m.directory);
  v("device", m.device);
  v("headFormat", m.headFormat);
  v("promptLayout", m.promptLayout);
  v("contextTokens", m.contextTokens);
  v("abilities", m.abilities);
}

struct StatusDevice {
  std::string name;
  std::optional<std::string> note;
  int32_t faults = 0;
  std::optional<std::string> lastFault;
};
template <class V>
void visit_fields(V& v, StatusDevice& d) {
  v("name", d.name);
  v("note", d.note);
  v("faults", d.faults);
  v("lastFault", d.lastFault);
}

struct StatusMemory {
  int64_t residentBytes = 0;  // of the whole process, as the system counts it
  std::optional<int64_t> weightBytes;
  std::optional<int64_t> kvBytes;
};
template <class V>
void visit_fields(V& v, StatusMemory& m) {
  v("residentBytes", m.residentBytes);
  v("weightBytes", m.weightBytes);
  v("kvBytes", m.kvBytes);
}

struct StatusPages {
  int32_t total = 0;
  int32_t used = 0;    // by running requests and by the cache
  int32_t cached = 0;  // of those, held by the prefix cache alone
  int32_t free = 0;
  int32_t restored = 0;  // read back from the disk at the start
};
template <class V>
void visit_fields(V& v, StatusPages& p) {
  v("total", p.total);
  v("used", p.used);
  v("cached", p.cached);
  v("free", p.free);
  v("restored", p.restored);
}

struct StatusTokens {
  int64_t reused = 0;
  int64_t prefilled = 0;
  int64_t generated = 0;
};
template <class V>
void visit_fields(V& v, StatusTokens& t) {
  v("reused", t.reused);
  v("prefilled", t.prefilled);
  v("generated", t.generated);
}

struct StatusRequests {
  int64_t finished = 0;   // in the engine, pre-warming included
  int64_t cancelled = 0;  // of those
  int32_t running = 0;
  int32_t waiting = 0;
};
template <class V>
void visit_fields(V& v, StatusRequests& r) {
  v("finished", r.finished);
  v("cancelled", r.cancelled);
  v("running", r.running);
  v("waiting", r.waiting);
}

struct StatusTimings {
  double contextMs = 0;
  double queuedMs = 0;
  double firstTokenMs = 0;
  double totalMs = 0;
  int32_t promptTokens = 0;
  int32_t cachedTokens = 0;
  int32_t generatedTokens = 0;
  int32_t stepsToFirstToken = 0;
};
template <class V>
void visit_fields(V& v, StatusTimings& t) {
  v("contextMs", t.contextMs);
  v("queuedMs", t.queuedMs);
  v("firstTokenMs", t.firstTokenMs);
  v("totalMs", t.totalMs);
  v("promptTokens", t.promptTokens);
  v("cachedTokens", t.cachedTokens);
  v("generatedTokens", t.generatedTokens);
  v("stepsToFirstToken", t.stepsToFirstToken);
}

// Of another file, or of a far-away place of this one, that the prompt said something of.
struct StatusContext {
  std::string source;  // "definitions", "similar" or "edited"
  std::string path;    // as the model sees it
  int32_t tokens = 0;
};
template <class V>
void visit_fields(V& v, StatusContext& c) {
  v("source", c.source);
  v("path", c.path);
  v("tokens", c.tokens);
}

struct StatusCompletion {
  std::string uri;
  int32_t items = 0;
  std::optional<std::string> whyEmpty;  // whenever items is 0
  std::optional<std::string> finish;
  std::optional<double> confidence;
  std::vector<StatusContext> context;
  StatusTimings timings;
};
template <class V>
void visit_fields(V& v, StatusCompletion& c) {
  v("uri", c.uri);
  v("items", c.items);
  v("whyEmpty", c.whyEmpty);
  v("finish", c.finish);
  v("confidence", c.confidence);
  v("context", c.context);
  v("timings", c.timings);
}

// incipit/didMoveCursor.
struct DidMoveCursorParams {
  TextDocumentIdentifier textDocument;
  Position position;
};
template <class V>
void visit_fields(V& v, DidMoveCursorParams& p) {
  v("textDocument", p.textDocument);
  v("position", p.position);
}

// A request that was answered with nothing.
struct StatusSuppressed {
  std::string uri;
  Position position;  // of the cursor, as it was asked for
  std::string why;
  double secondsAgo = 0;
};
template <class V>
void visit_fields(V& v, StatusSuppressed& s) {
  v("uri", s.uri);
  v("position", s.position);
  v("why", s.why);
  v("secondsAgo", s.secondsAgo);
}

struct StatusIndex {
  int64_t files = 0;
  int64_t symbols = 0;
  bool complete = false;
  bool limited = false;
};
template <class V>
void visit_fields(V& v, StatusIndex& i) {
  v("files", i.files);
  v("symbols", i.symbols);
  v("complete", i.complete);
  v("limited", i.limited);
}

struct Status {
  std::string version;
  std::string state;  // "loading", "ready" or "failed"
  std::optional<std::string> message;
  std::optional<double> loadFraction;  // 0..1 while loading
  std::string positionEncoding;
  int32_t openDocuments = 0;
  int32_t pendingRequests = 0;
  StatusMemory memory;
  std::optional<StatusIndex> index;
  std::optional<StatusModel> model;  // from here on: once loaded
  std::optional<StatusDevice> device;
  std::optional<StatusPages> pages;
  std::optional<StatusTokens> tokens;
  std::optional<StatusRequests> requests;
  std::optional<StatusCompletion> lastCompletion;
  std::vector<StatusSuppressed> suppressed;  // the newest first
};
template <class V>
void visit_fields(V& v, Status& s) {
  v("version", s.version);
  v("state", s.state);
  v("message", s.message);
  v("loadFraction", s.loadFraction);
  v("positionEncoding", s.positionEncoding);
  v("openDocuments", s.openDocuments);
  v("pendingRequests", s.pendingRequests);
  v("memory", s.memory);
  v("index", s.index);
  v("model", s.model);
  v("device", s.device);
  v("pages", s.pages);
  v("tokens", s.tokens);
  v("requests", s.requests);
  v("lastCompletion", s.lastCompletion);
  v("suppressed", s.suppressed);
}

}  // namespace incipit::lsp
