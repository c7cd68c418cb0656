#include "lsp/rpc/request_tracker.h"

#include <cmath>
#include <utility>

namespace incipit::lsp {
namespace {

// 1 and "1" are two ids; 1 and 1.0 are one, because some clients know floating numbers only.
std::string key_of(const Json& id) {
  if (id.is_number_float()) {
    const double value = id.get<double>();
    if (std::abs(value) < 9e15 && value == std::floor(value)) {
      return std::to_string(static_cast<int64_t>(value));
    }
  }
  return print_json(id);
}

}  // namespace

std::optional<IncomingEntry> RequestTracker::begin(const Json& id, const std::string& method) {
  const auto serial = static_cast<RequestSerial>(next_serial_);
  if (!by_id_.emplace(key_of(id), serial).second) return std::nullopt;
  ++next_serial_;
  return by_serial_.emplace(serial, IncomingEntry{serial, id, method, CancelToken(), {}})
      .first->second;
}

IncomingEntry* RequestTracker::find(RequestSerial serial) {
  const auto found = by_serial_.find(serial);
  return found == by_serial_.end() ? nullptr : &found->second;
}

std::optional<IncomingEntry> RequestTracker::take(RequestSerial serial) {
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return std::nullopt;
  IncomingEntry entry = std::move(found->second);
  by_serial_.erase(found);
  by_id_.erase(key_of(entry.id));
  return entry;
}

std::optional<IncomingEntry> RequestTracker::take_id(const Json& id) {
  const auto found = by_id_.find(key_of(id));
  if (found == by_id_.end()) return std::nullopt;
  return take(found->second);
}

std::vector<IncomingEntry> RequestTracker::take_all() {
  std::vector<IncomingEntry> entries;
  for (auto& [serial, entry] : by_serial_) entries.push_back(std::move(entry));
  by_serial_.clear();
  by_id_.clear();
  return entries;
}

int64_t RequestTracker::expect_response(ResponseHandler handler) {
  const int64_t id = next_outgoing_++;
  outgoing_.emplace(id, std::move(handler));
  return id;
}

RequestTracker::ResponseHandler RequestTracker::take_response(const Json& id) {
  if (!id.is_number_integer()) return {};
  const auto found = outgoing_.find(id.get<int64_t>());
  if (found == outgoing_.end()) return {};
  ResponseHandler handler = std::move(found->second);
  outgoing_.erase(found);
  return handler;
}

}  // namespace incipit::lsp
