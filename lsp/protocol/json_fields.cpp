#include "lsp/protocol/json_fields.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>

namespace incipit::lsp::fields {
namespace {

template <class Int>
void read_integer(ReadState& state, const Json& value, Int& out) {
  constexpr auto kMax = std::numeric_limits<Int>::max();
  constexpr auto kMin = std::numeric_limits<Int>::min();
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    out = number > static_cast<uint64_t>(kMax) ? kMax : static_cast<Int>(number);
    return;
  }
  const char* wanted = kMin == 0 ? "integer from 0" : "integer";
  if (value.is_number_integer()) {  // negative
    const auto number = value.get<int64_t>();
    if constexpr (kMin == 0) {
      if (number < 0) return state.want(wanted, value);
      out = number > static_cast<int64_t>(kMax) ? kMax : static_cast<Int>(number);
    } else {
      out = number < kMin ? kMin : number > kMax ? kMax : static_cast<Int>(number);
    }
    return;
  }
  if (!value.is_number_float()) return state.want("integer", value);
  const auto number = value.get<double>();
  if (number != std::floor(number) || !std::isfinite(number)) return state.want("integer", value);
  if (kMin == 0 && number < 0) return state.want(wanted, value);
  // 2^63 and 2^31 are exact doubles; the maxima of the types are one less.
  if (number >= std::ldexp(1.0, std::numeric_limits<Int>::digits)) {
    out = kMax;
  } else {
    out = number < static_cast<double>(kMin) ? kMin : static_cast<Int>(number);
  }
}

}  // namespace

void ReadState::want(const char* wanted, const Json& found) {
  const char* type = found.is_discarded() ? "nothing" : json_type_name(found);
  fail(found.is_number() ? fmt::format("want {}, found {} {}", wanted, type, print_json(found))
                         : fmt::format("want {}, found {}", wanted, type));
}

void read(ReadState& state, const Json& value, int32_t& out) {
  read_integer(state, value, out);
}
void read(ReadState& state, const Json& value, int64_t& out) {
  read_integer(state, value, out);
}
void read(ReadState& state, const Json& value, uint32_t& out) {
  read_integer(state, value, out);
}

void read(ReadState& state, const Json& value, double& out) {
  if (!value.is_number()) return state.want("number", value);
  out = value.get<double>();
}

void read(ReadState& state, const Json& value, bool& out) {
  if (!value.is_boolean()) return state.want("boolean", value);
  out = value.get<bool>();
}

void read(ReadState& state, const Json& value, std::string& out) {
  if (!value.is_string()) return state.want("string", value);
  out = value.get_ref<const std::string&>();
}

void read(ReadState& state, const Json& value, Json& out) {
  if (value.is_discarded()) return state.want("a value", value);
  out = value;
}

void read(ReadState&, const Json&, Nothing&) {}

void read(ReadState& state, const Json& value, ProgressToken& out) {
  if (!value.is_string() && !value.is_number()) return state.want("integer or string", value);
  out.value = value;
}

}  // namespace incipit::lsp::fields
