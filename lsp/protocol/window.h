// What the server says to the user: messages and work-done progress; and configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lsp/protocol/basic.h"

namespace incipit::lsp {

enum class MessageType { kError = 1, kWarning = 2, kInfo = 3, kLog = 4 };

struct ShowMessageParams {
  int32_t type = 0;  // MessageType
  std::string message;
};
template <class V>
void visit_fields(V& v, ShowMessageParams& p) {
  v("type", p.type);
  v("message", p.message);
}

struct WorkDoneProgressCreateParams {
  ProgressToken token;
};
template <class V>
void visit_fields(V& v, WorkDoneProgressCreateParams& p) {
  v("token", p.token);
}

// begin, report and end in one; empty optionals are left out.
struct WorkDoneProgress {
  std::string kind;
  std::optional<std::string> title;
  std::optional<bool> cancellable;
  std::optional<std::string> message;
  std::optional<uint32_t> percentage;
};
template <class V>
void visit_fields(V& v, WorkDoneProgress& p) {
  v("kind", p.kind);
  v("title", p.title);
  v("cancellable", p.cancellable);
  v("message", p.message);
  v("percentage", p.percentage);
}

struct ProgressParams {
  ProgressToken token;
  WorkDoneProgress value;
};
template <class V>
void visit_fields(V& v, ProgressParams& p) {
  v("token", p.token);
  v("value", p.value);
}

struct WorkDoneProgressCancelParams {
  ProgressToken token;
};
template <class V>
void visit_fields(V& v, WorkDoneProgressCancelParams& p) {
  v("token", p.token);
}

struct DidChangeConfigurationParams {
  std::optional<Json> settings;
};
template <class V>
void visit_fields(V& v, DidChangeConfigurationParams& p) {
  v("settings", p.settings);
}

struct ConfigurationItem {
  std::string section;
};
template <class V>
void visit_fields(V& v, ConfigurationItem& i) {
  v("section", i.section);
}

struct ConfigurationParams {
  std::vector<ConfigurationItem> items;
};
template <class V>
void visit_fields(V& v, ConfigurationParams& p) {
  v("items", p.items);
}

struct Registration {
  std::string id;
  std::string method;
  Json registerOptions;
};
template <class V>
void visit_fields(V& v, Registration& r) {
  v("id", r.id);
  v("method", r.method);
  v("registerOptions", r.registerOptions);
}

struct RegistrationParams {
  std::vector<Registration> registrations;
};
template <class V>
void visit_fields(V& v, RegistrationParams& p) {
  v("registrations", p.registrations);
}

}  // namespace incipit::lsp
