// Requests of a client, parsed in place: RESP multibulk and inline commands, a whole pipeline at a time.
// Rules and error texts: Redis' protocol specification and networking of Redis 7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quorate {

using Args = std::span<const std::string_view>;

struct Request {
  Args args;             // never empty; views into the input
  std::string_view raw;  // the bytes of the whole request as received (a multibulk's are its log record)
};

struct RequestLimits {
  size_t inline_size_max = 64 * 1024;
  int64_t argument_count_max = 1024 * 1024;
  int64_t bulk_size_max = 512LL * 1024 * 1024;  // proto-max-bulk-len
  // Before AUTH a stranger may send little (Redis: 10 arguments, 16 KiB bulks).
  bool authenticated = true;
};

// Parses one connection's byte stream.  Owned by the session; lives as long as it.
// The parser keeps no bytes: the caller passes everything that is not consumed yet, again, with more at
// its end; progress inside a partial request is remembered, so that no byte is scanned twice.
class RequestParser {
 public:
  enum class Outcome {
    kDone,           // everything complete has been parsed; `consumed` says how much
    kProtocolError,  // the stream is lost: answer error_text(), then close
  };

  // Parses the complete requests at the front of `input`, at most `request_max` of them, into `requests`
  // (which is cleared first).  The views stay valid while `input` is neither moved nor changed.
  // Requires: after a call, `consumed` bytes were dropped from the front of what is passed next time.
  Outcome parse(std::string_view input, const RequestLimits& limits, size_t request_max,
                std::vector<Request>& requests, size_t& consumed);

  // "Protocol error: ..." without prefix.  Requires: the last outcome was kProtocolError.
  std::string_view error_text() const { return error_; }

  // How many more bytes complete the bulk value that is being received (0 = not known): the caller may
  // reserve that much and read straight into place.
  size_t bytes_wanted() const { return wanted_; }

 private:
  enum class Step : uint8_t { kComplete, kSkipped, kNeedMore, kError };
  enum class Stage : uint8_t { kFresh, kInline, kArrayHeader, kBulkHeader, kBulk };
  // An argument of a request that is not complete yet, relative to the request's first byte.
  struct Piece {
    size_t offset;
    size_t size;
  };

  // Whole requests of ordinary size.  Null: the request needs the careful road (or more bytes).
  const char* parse_whole(const char* at, const char* end, size_t count_max, int64_t bulk_max,
                          std::vector<Request>& requests);
  // The careful road: goes on with the request that begins at text[0].
  Step advance(std::string_view text, const RequestLimits& limits, std::vector<Request>& requests);
  Step read_array_header(std::string_view text, const RequestLimits& limits);
  Step read_bulk_header(std::string_view text, const RequestLimits& limits);
  Step read_inline(std::string_view text, const RequestLimits& limits, std::vector<Request>& requests);
  Step read_line(std::string_view text, size_t size_max, std::string_view too_long, size_t& line_end);
  Step fail(std::string_view text);
  bool split_inline(std::string_view line, std::vector<Request>& requests);
  // Room for `count` more views behind used_; repairs the spans of `requests` if they move.
  std::string_view* room_for_views(size_t count, std::vector<Request>& requests);

  // For one call of parse().
  std::vector<std::string_view> views_;  // arguments of all requests of the batch, one behind the other
  size_t used_ = 0;                      // views in use
  std::vector<std::unique_ptr<std::string>> unquoted_;  // inline arguments that had quotes

  // Of the request that is being received.  Invariant: position_ <= what was passed.
  Stage stage_ = Stage::kFresh;
  std::vector<Piece> pieces_;
  int64_t arguments_left_ = 0;
  size_t position_ = 0;   // where to go on
  size_t scanned_ = 0;    // up to here no end of line was found
  size_t bulk_size_ = 0;  // kBulk
  size_t wanted_ = 0;
  std::string error_;
};

}  // namespace quorate
