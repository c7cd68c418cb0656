// Result<T>: a value or an Error, for everything that can be expected to go wrong (files, messages,
// settings, memory). A message says what, where, wanted and found: "weights: layers.3.wk: want
// [1024, 4096], file has [4096, 4096]".
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "kernels/common/check.h"

namespace incipit {

enum class ErrorCode {
  kInvalidArgument,  // the caller's input is wrong
  kNotFound,         // a file, model or document that is not there
  kCorrupt,          // data that contradicts itself or its checksum
  kUnsupported,      // well-formed, but not something this program can do
  kOutOfMemory,      // no pages, no device memory, over a stated budget
  kCancelled,        // asked to stop
  kIo,               // the operating system refused
  kDevice,           // the device failed or does not answer
  kInternal,         // a defect of ours, reported instead of crashing
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    check_ok();
    return std::get<0>(state_);
  }
  const T& value() const& {
    check_ok();
    return std::get<0>(state_);
  }
  T&& value() && {
    check_ok();
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    CHECK(!ok());
    return std::get<1>(state_);
  }

 private:
  void check_ok() const {
    if (!ok()) check_failed("Result::ok()", __FILE__, __LINE__, " " + std::get<1>(state_).message);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace incipit

// TRY(expression): returns the error from the enclosing function, or yields nothing (Result<void>).
#define TRY(expression)                                     \
  do {                                                      \
    if (auto try_result = (expression); !try_result.ok()) { \
      return try_result.error();                            \
    }                                                       \
  } while (false)

#define INCIPIT_CONCAT_INNER(a, b) a##b
#define INCIPIT_CONCAT(a, b) INCIPIT_CONCAT_INNER(a, b)

// ASSIGN_OR_RETURN(auto file, open(path)): declares or assigns the value, or returns the error.
#define ASSIGN_OR_RETURN(declaration, expression)                                                \
  auto INCIPIT_CONCAT(result_, __LINE__) = (expression);                                         \
  if (!INCIPIT_CONCAT(result_, __LINE__).ok()) return INCIPIT_CONCAT(result_, __LINE__).error(); \
  declaration = std::move(INCIPIT_CONCAT(result_, __LINE__)).value()
