// CHECK and DCHECK: a programmer's error ends the program with the place and the two values. User
// input (files, messages, settings) never reaches a CHECK; it gets a Result. Open to every folder.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace incipit {

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line,
                                      const std::string& values) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s%s\n", file, line, expression, values.c_str());
  std::abort();
}

template <class A, class B>
std::string describe_values(const A& a, const B& b) {
  std::ostringstream out;
  out << " (" << a << " vs " << b << ")";
  return out.str();
}

}  // namespace incipit

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) ::incipit::check_failed(#condition, __FILE__, __LINE__, ""); \
  } while (false)

#define INCIPIT_CHECK_OP(a, op, b)                                   \
  do {                                                               \
    if (!((a)op(b)))                                                 \
      ::incipit::check_failed(#a " " #op " " #b, __FILE__, __LINE__, \
                              ::incipit::describe_values((a), (b))); \
  } while (false)

#define CHECK_EQ(a, b) INCIPIT_CHECK_OP(a, ==, b)
#define CHECK_LE(a, b) INCIPIT_CHECK_OP(a, <=, b)
#define CHECK_LT(a, b) INCIPIT_CHECK_OP(a, <, b)
#define CHECK_GE(a, b) INCIPIT_CHECK_OP(a, >=, b)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
  } while (false)
#else
#define DCHECK(condition) CHECK(condition)
#endif
