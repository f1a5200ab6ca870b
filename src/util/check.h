// Assertions about our own invariants.  They stay on in release builds: a broken invariant must stop
// the process before it can damage what was acknowledged.  Never used for input of the world or a user.
#pragma once

namespace quorate {

// Prints the failed condition with its place to standard error and aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace quorate

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) [[unlikely]]                                              \
      ::quorate::check_failed(#condition, __FILE__, __LINE__);                  \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
    if (false) {          \
      (void)(condition);  \
    }                     \
  } while (false)
#else
#define DCHECK(condition) CHECK(condition)
#endif
