// Messages to and from JSON. Each message is a plain struct with wire names and one visitor,
//
//   template <class V> void visit_fields(V& v, Position& p) {
//     v("line", p.line);
//     v("character", p.character);
//   }
//
// which read_fields and write_fields both walk. Reading keeps the first error with its path
// ("params.position.line: want integer, found string") and ignores unknown fields; a
// std::optional field may be absent or null. Writing leaves empty optionals out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "lsp/rpc/json.h"

namespace incipit::lsp {

struct FieldReader;
struct FieldWriter;

// Params or a result that carry nothing: read from anything, written as null.
struct Nothing {};

// integer | string, kept as it came because it is only sent back.
struct ProgressToken {
  Json value;
};

namespace fields {

// Where reading stands, and the first thing that was wrong.
struct ReadState {
  std::string path;
  std::string error;

  bool ok() const { return error.empty(); }
  void want(const char* wanted, const Json& found);
  void fail(const std::string& message) {
    if (ok()) error = path + ": " + message;
  }
};

// Extends the path for as long as it lives.
class PathStep {
 public:
  PathStep(ReadState& state, std::string_view field) : state_(state), size_(state.path.size()) {
    state_.path.append(".").append(field);
  }
  PathStep(ReadState& state, size_t index) : state_(state), size_(state.path.size()) {
    state_.path.append("[").append(std::to_string(index)).append("]");
  }
  ~PathStep() { state_.path.resize(size_); }
  PathStep(const PathStep&) = delete;
  PathStep& operator=(const PathStep&) = delete;

 private:
  ReadState& state_;
  size_t size_;
};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// Floating numbers with an integral value count as integers (Lua clients know no others). Numbers
// too large for the field become its maximum: "the last line" is asked for as 2^32 - 1 and worse.
void read(ReadState& state, const Json& value, int32_t& out);
void read(ReadState& state, const Json& value, int64_t& out);
void read(ReadState& state, const Json& value, uint32_t& out);
void read(ReadState& state, const Json& value, double& out);
void read(ReadState& state, const Json& value, bool& out);
void read(ReadState& state, const Json& value, std::string& out);
void read(ReadState& state, const Json& value, Json& out);
void read(ReadState& state, const Json& value, Nothing& out);
void read(ReadState& state, const Json& value, ProgressToken& out);
template <class T>
void read(ReadState& state, const Json& value, std::optional<T>& out);
template <class T>
void read(ReadState& state, const Json& value, std::vector<T>& out);
template <class T>
requires requires(FieldReader& v, T& t) {
  visit_fields(v, t);
}
void read(ReadState& state, const Json& value, T& out);

}  // namespace fields

struct FieldReader {
  fields::ReadState& state;
  const Json& object;

  template <class T>
  void operator()(const char* name, T& out) {
    if (!state.ok()) return;
    const auto found = object.find(name);
    const fields::PathStep step(state, std::string_view(name));
    if (found != object.end()) {
      fields::read(state, *found, out);
    } else if constexpr (!fields::IsOptional<T>::value) {
      fields::read(state, Json(Json::value_t::discarded), out);
    }
  }
};

namespace fields {

template <class T>
void read(ReadState& state, const Json& value, std::optional<T>& out) {
  if (value.is_null()) {
    out.reset();
  } else {
    read(state, value, out.emplace());
  }
}

template <class T>
void read(ReadState& state, const Json& value, std::vector<T>& out) {
  out.clear();
  if (!value.is_array()) return state.want("array", value);
  out.reserve(value.size());
  for (size_t i = 0; i < value.size() && state.ok(); ++i) {
    const PathStep step(state, i);
    T element{};
    read(state, value[i], element);
    out.push_back(std::move(element));
  }
}

template <class T>
requires requires(FieldReader& v, T& t) {
  visit_fields(v, t);
}
void read(ReadState& state, const Json& value, T& out) {
  if (!value.is_object()) return state.want("object", value);
  FieldReader reader{state, value};
  visit_fields(reader, out);
}

inline Json write(const Json& value) {
  return value;
}
inline Json write(const std::string& value) {
  return value;
}
inline Json write(const Nothing&) {
  return nullptr;
}
inline Json write(const ProgressToken& token) {
  return token.value;
}
template <class T>
requires std::is_arithmetic_v<T> Json write(T value) {
  return value;
}
template <class T>
Json write(const std::vector<T>& values);
template <class T>
requires requires(FieldWriter& v, T& t) {
  visit_fields(v, t);
}
Json write(const T& value);

}  // namespace fields

struct FieldWriter {
  Json object = Json::object();

  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (fields::IsOptional<T>::value) {
      if (value) object[name] = fields::write(*value);
    } else {
      object[name] = fields::write(value);
    }
  }
};

namespace fields {

template <class T>
Json write(const std::vector<T>& values) {
  Json array = Json::array();
  for (const T& value : values) array.push_back(write(value));
  return array;
}

template <class T>
requires requires(FieldWriter& v, T& t) {
  visit_fields(v, t);
}
Json write(const T& value) {
  FieldWriter writer;
  visit_fields(writer, const_cast<T&>(value));  // the writer only reads; one visitor serves both
  return std::move(writer.object);
}

}  // namespace fields

// `where` is the first part of the path in an error text: "params".
template <class T>
Result<T> read_fields(const Json& value, const std::string& where) {
  fields::ReadState state{where, {}};
  T out{};
  fields::read(state, value, out);
  if (!state.ok()) return Error{ErrorCode::kInvalidArgument, std::move(state.error)};
  return out;
}

template <class T>
Json write_fields(const T& value) {
  return fields::write(value);
}

}  // namespace incipit::lsp
