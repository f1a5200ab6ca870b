// Replies by meaning; RESP2 or RESP3 is decided here and nowhere else.  Writes into a Buffer: a
// connection's output, the queue of MULTI, a script's value or a message to a peer; it does not know which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };
enum class VerbatimFormat : uint8_t { kText, kMarkdown };

// Invariant (DCHECKed by the caller's pair assertion): a command writes exactly one top-level value.
class Reply {
 public:
  Reply(Buffer& out, Protocol protocol) : out_(out), protocol_(protocol) {}

  void ok();                             // +OK
  void simple(std::string_view text);    // +text
  void error(std::string_view line);     // -line ; CR and LF become spaces, at the end nothing
  void integer(int64_t value);
  void bulk(std::string_view bytes);
  void bulk_integer(int64_t value);      // the decimal text as bulk
  void null();                           // $-1 or _
  void null_array();                     // *-1 or _
  void boolean(bool value);              // :1 :0 or #t #f
  void number(double value);             // bulk or ,value
  void big_number(std::string_view digits);
  void verbatim(VerbatimFormat format, std::string_view text);
  // Headers; the given number of values (pairs for map and attribute) must follow.
  void array(size_t count);
  void map(size_t pair_count);
  void set(size_t count);
  void push(size_t count);               // RESP2: array
  // Already encoded bytes (a captured reply); counts as `value_count` values.
  void raw(std::string_view encoded);

  // An aggregate whose count is known at the end.  Nest freely; end in reverse order.
  enum class Shape : uint8_t { kArray, kMap, kSet, kPush };
  struct Deferred {
    size_t offset;
    Shape shape;
  };
  Deferred begin(Shape shape);
  // `count`: values, or pairs for kMap.  Moves what was written since only if the reserved digits do not suffice.
  void end(Deferred deferred, size_t count);

  Protocol protocol() const { return protocol_; }
  Buffer& buffer() { return out_; }

 private:
  Buffer& out_;
  Protocol protocol_;
};

}  // namespace quorate
