// The reply writer.  Each value is one reservation and one commit.
#include "resp/reply.h"

#include <cstring>

#include "util/number.h"

namespace quorate {
namespace {

// A marker, a number of kIntTextMax bytes and CRLF.
constexpr size_t kHeaderMax = 1 + kIntTextMax + 2;

inline char* put_crlf(char* at) {
  at[0] = '\r';
  at[1] = '\n';
  return at + 2;
}

inline char* put_header(char* at, char marker, uint64_t value) {
  *at++ = marker;
  if (value < 10) {
    *at++ = static_cast<char>('0' + value);
  } else {
    at += format_unsigned(at, value);
  }
  return put_crlf(at);
}

inline void put_line(Buffer& out, char marker, std::string_view text) {
  char* const begin = out.reserve(text.size() + 3);
  *begin = marker;
  std::memcpy(begin + 1, text.data(), text.size());
  put_crlf(begin + 1 + text.size());
  out.commit(text.size() + 3);
}

inline void put_header(Buffer& out, char marker, uint64_t value) {
  char* const begin = out.reserve(kHeaderMax);
  out.commit(static_cast<size_t>(put_header(begin, marker, value) - begin));
}

char marker_of(Reply::Shape shape, Protocol protocol) {
  if (protocol == Protocol::kResp2) return '*';
  switch (shape) {
    case Reply::Shape::kArray: return '*';
    case Reply::Shape::kMap: return '%';
    case Reply::Shape::kSet: return '~';
    case Reply::Shape::kPush: return '>';
  }
  return '*';
}

}  // namespace

void Reply::ok() { out_.append("+OK\r\n"); }

void Reply::simple(std::string_view text) { put_line(out_, '+', text); }

void Reply::error(std::string_view line) {
  while (line.ends_with('\r') || line.ends_with('\n')) line.remove_suffix(1);
  const size_t start = out_.size() + 1;
  put_line(out_, '-', line);
  // A line break inside would end the error early and desynchronise the client.
  for (char* at = out_.data() + start; at != out_.data() + start + line.size(); ++at) {
    if (*at == '\r' || *at == '\n') *at = ' ';
  }
}

void Reply::integer(int64_t value) {
  char* const begin = out_.reserve(kHeaderMax + 1);
  char* at = begin;
  *at++ = ':';
  if (value >= 0 && value < 10) [[likely]] {
    *at++ = static_cast<char>('0' + value);
  } else {
    at += format_int(at, value);
  }
  out_.commit(static_cast<size_t>(put_crlf(at) - begin));
}

void Reply::bulk(std::string_view bytes) {
  char* const begin = out_.reserve(kHeaderMax + bytes.size() + 2);
  char* at = put_header(begin, '$', bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  out_.commit(static_cast<size_t>(put_crlf(at + bytes.size()) - begin));
}

void Reply::bulk_integer(int64_t value) {
  char text[kIntTextMax];
  bulk(std::string_view(text, format_int(text, value)));
}

void Reply::null() { out_.append(protocol_ == Protocol::kResp2 ? "$-1\r\n" : "_\r\n"); }

void Reply::null_array() { out_.append(protocol_ == Protocol::kResp2 ? "*-1\r\n" : "_\r\n"); }

void Reply::boolean(bool value) {
  if (protocol_ == Protocol::kResp2) {
    out_.append(value ? ":1\r\n" : ":0\r\n");
  } else {
    out_.append(value ? "#t\r\n" : "#f\r\n");
  }
}

void Reply::number(double value) {
  char text[kDoubleTextMax];
  const std::string_view shown(text, format_double(text, value));
  if (protocol_ == Protocol::kResp2) {
    bulk(shown);
  } else {
    put_line(out_, ',', shown);
  }
}

void Reply::big_number(std::string_view digits) {
  if (protocol_ == Protocol::kResp2) {
    bulk(digits);
  } else {
    put_line(out_, '(', digits);
  }
}

void Reply::verbatim(VerbatimFormat format, std::string_view text) {
  if (protocol_ == Protocol::kResp2) {
    bulk(text);
    return;
  }
  put_header(out_, '=', text.size() + 4);
  out_.append(format == VerbatimFormat::kText ? "txt:" : "mkd:");
  out_.append(text);
  out_.append("\r\n");
}

void Reply::array(size_t count) { put_header(out_, '*', count); }

void Reply::map(size_t pair_count) {
  if (protocol_ == Protocol::kResp2) {
    put_header(out_, '*', pair_count * 2);
  } else {
    put_header(out_, '%', pair_count);
  }
}

void Reply::set(size_t count) { put_header(out_, marker_of(Shape::kSet, protocol_), count); }

void Reply::push(size_t count) { put_header(out_, marker_of(Shape::kPush, protocol_), count); }

void Reply::raw(std::string_view encoded) { out_.append(encoded); }

// One digit is reserved: "*0\r\n".
Reply::Deferred Reply::begin(Shape shape) {
  const Deferred deferred{out_.size(), shape};
  put_header(out_, marker_of(shape, protocol_), 0);
  return deferred;
}

void Reply::end(Deferred deferred, size_t count) {
  if (deferred.shape == Shape::kMap && protocol_ == Protocol::kResp2) count *= 2;
  char text[kIntTextMax];
  const size_t digits = format_unsigned(text, count);
  if (digits > 1) out_.insert_gap(deferred.offset + 1, digits - 1);
  std::memcpy(out_.data() + deferred.offset + 1, text, digits);
}

}  // namespace quorate
