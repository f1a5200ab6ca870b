// Replies of a server, parsed from a stream of bytes in any pieces (RESP2 and RESP3), and printed as redis-cli
// prints them on a terminal.  For tools, tests and links to other servers; the road of a request never needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quorate {

struct ReplyValue {
  enum class Kind : uint8_t {
    kSimple,     // +text
    kError,      // -line, or RESP3's !length
    kInteger,    // :n
    kBulk,       // $length
    kNull,       // $-1 or _
    kNullArray,  // *-1 (RESP2)
    kBoolean,    // #t #f
    kDouble,     // ,text
    kBigNumber,  // (digits
    kVerbatim,   // =length, without the format's four bytes
    kArray,      // *count
    kMap,        // %pairs
    kSet,        // ~count
    kPush,       // >count
  };
  Kind kind = Kind::kNull;
  int64_t integer = 0;            // kInteger; kBoolean: 0 or 1
  std::string text;               // the text of all kinds that have one, as received
  std::vector<ReplyValue> items;  // aggregates; a map has keys and values in turn
  std::vector<ReplyValue> attributes;  // RESP3: what |pairs said about this value, keys and values in turn

  bool is_aggregate() const { return kind >= Kind::kArray; }
};

struct ReplyLimits {
  size_t line_size_max = 64 * 1024;
  int64_t bulk_size_max = 512LL * 1024 * 1024;
  int64_t item_count_max = 1 << 26;  // of one aggregate
  size_t depth_max = 64;
};

// Invariants: 1. what was returned is gone from the buffer; 2. no byte of a line is searched twice;
// 3. memory is only taken for bytes that arrived (a count alone reserves nothing).
class ReplyParser {
 public:
  enum class Outcome : uint8_t { kValue, kNeedMore, kProtocolError };

  explicit ReplyParser(ReplyLimits limits = {}) : limits_(limits) {}

  // Adds bytes that arrived.
  void feed(std::string_view bytes) { input_.append(bytes); }
  // Takes the next complete reply.  After kProtocolError the stream is lost and every call says so again.
  Outcome next(ReplyValue& value);

  // What was wrong, for a log line.  Requires: the last outcome was kProtocolError.
  std::string_view error_text() const { return error_; }
  // Bytes that were fed and belong to no returned reply yet (those of a half-read aggregate not counted).
  size_t pending() const { return input_.size() - position_; }
  // True between replies: nothing was fed that was not returned.
  bool idle() const { return pending() == 0 && open_.empty(); }

 private:
  enum class Step : uint8_t { kValue, kOpened, kNeedMore, kError };
  // An aggregate that lacks some of its items.
  struct Open {
    ReplyValue value;
    int64_t missing;
    bool is_attribute;
  };

  Step read_one(ReplyValue& value);
  Step read_line(std::string_view& line);
  Step read_bulk(char type, std::string_view count_text, size_t header_size, ReplyValue& value);
  Step open_aggregate(char type, std::string_view count_text, ReplyValue& value);
  Step read_scalar(char type, std::string_view text, ReplyValue& value);
  bool place(ReplyValue& value);
  Step fail(std::string_view what);
  void forget_consumed();

  ReplyLimits limits_;
  std::string input_;
  size_t position_ = 0;  // start of what is not consumed
  size_t searched_ = 0;  // no line end before this
  std::vector<Open> open_;
  std::vector<ReplyValue> attributes_;  // waiting for the value they are about
  std::string_view error_;
};

// The text redis-cli shows on a terminal for a reply, without the last line break.
std::string print_reply(const ReplyValue& value);

// Appends `bytes` in double quotes with redis-cli's escapes.
void append_quoted(std::string& out, std::string_view bytes);

}  // namespace quorate
