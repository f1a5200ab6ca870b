// Result<T> and Status: the outcome of what the world (disk, network) or a user can make fail.
// An Error names its kind by a code; a user-visible text is made only in commands/errors.cc, and a text
// about the world (a path, an offset) travels in `detail`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "util/check.h"

namespace quorate {

enum class ErrorCode : uint8_t {
  // Of the user: the fixed texts of Redis (commands/errors.cc).
  kWrongType,
  kSyntax,
  kNotInteger,
  kOutOfRange,
  kNotFloat,
  kNoSuchKey,
  kIndexOutOfRange,
  kOverflow,
  kNotPositive,
  kInvalidCursor,
  kStringTooLong,
  kBusyKey,
  kBadRestorePayload,
  kOutOfMemory,
  // `detail` is the whole line as the user sees it, prefix included ("ERR ...").  Made by errors.cc only.
  kText,
  // Of the world: `detail` says what and where, for a log line or a start-up refusal.
  kIo,
  kNoSpace,
  kCorrupt,
  kUnsupported,
  kInvalidArgument,
};

class [[nodiscard]] Error {
 public:
  explicit Error(ErrorCode code) : code_(code) {}
  Error(ErrorCode code, std::string detail)
      : code_(code), detail_(std::make_unique<std::string>(std::move(detail))) {}

  ErrorCode code() const { return code_; }
  std::string_view detail() const { return detail_ ? std::string_view(*detail_) : std::string_view(); }

 private:
  ErrorCode code_;
  std::unique_ptr<std::string> detail_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  using Value = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  Result(ErrorCode code) : state_(std::in_place_index<1>, Error(code)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { CHECK(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { CHECK(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { CHECK(ok()); return std::move(*std::get_if<0>(&state_)); }
  Error& error() & { CHECK(!ok()); return *std::get_if<1>(&state_); }
  const Error& error() const& { CHECK(!ok()); return *std::get_if<1>(&state_); }
  Error&& error() && { CHECK(!ok()); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

// Success, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  Status(ErrorCode code) : error_(Error(code)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() & { CHECK(!ok()); return *error_; }
  const Error& error() const& { CHECK(!ok()); return *error_; }
  Error&& error() && { CHECK(!ok()); return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

inline Status done() { return Status(); }

}  // namespace quorate

// TRY(declaration, expression): declares a variable from a Result, or returns its error.
// TRY(expression): returns the error of a Status (or of a Result whose value is not wanted).
#define QUORATE_CAT_(a, b) a##b
#define QUORATE_CAT(a, b) QUORATE_CAT_(a, b)
#define QUORATE_TRY_VALUE(temporary, declaration, ...)       \
  auto temporary = (__VA_ARGS__);                            \
  if (!temporary.ok()) [[unlikely]]                          \
    return std::move(temporary).error();                     \
  declaration = std::move(temporary).value()
#define QUORATE_TRY_STATUS(temporary, expression)            \
  do {                                                       \
    auto temporary = (expression);                           \
    if (!temporary.ok()) [[unlikely]]                        \
      return std::move(temporary).error();                   \
  } while (false)
// Function-like on purpose: their names must not expand before they are pasted together.
#define QUORATE_TRY_PICK(temporary, expression) QUORATE_TRY_STATUS(temporary, expression)
#define QUORATE_TRY_PICK_VALUE(temporary, declaration, ...) \
  QUORATE_TRY_VALUE(temporary, declaration, __VA_ARGS__)
#define TRY(first, ...)                                                       \
  QUORATE_CAT(QUORATE_TRY_PICK, __VA_OPT__(_VALUE))                           \
  (QUORATE_CAT(try_, __LINE__), first __VA_OPT__(, ) __VA_ARGS__)
