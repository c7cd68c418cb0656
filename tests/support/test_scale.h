// Whether this build is slowed down by a sanitizer: tests then take fewer of their many cases. The
// environment variable INCIPIT_TEST_CASES overrides the number.
#pragma once

#include <cstdlib>

namespace incipit::test {

// GCC defines macros, clang 14 answers __has_feature(), which GCC 12 doesn't know.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

inline int n_cases(int normally, int sanitized) {
  if (const char* asked = std::getenv("INCIPIT_TEST_CASES")) return std::atoi(asked);
  return kSanitized ? sanitized : normally;
}

}  // namespace incipit::test
