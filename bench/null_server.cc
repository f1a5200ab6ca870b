// The floor of every measurement: a server on libuv that finds the ends of the requests in a
// pipeline and answers +OK to each, and does nothing else.  What a real server costs above this
// is its own work; what this costs is the kernel's and libuv's.  It trusts its client: not for
// anything but measuring.
#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace {

constexpr size_t kReadBufferBytes = 256 * 1024;
constexpr size_t kRequestBytesMax = size_t{64} * 1024 * 1024;
constexpr int kBacklog = 511;

// One connection.  Deleted by its close callback.
struct Session {
  uv_tcp_t tcp{};
  std::string unparsed;  // an incomplete request that waits for more bytes
};

// A reply that the socket did not take at once.  Deleted by its write callback.
struct Tail {
  uv_write_t request{};
  std::string bytes;
};

char read_buffer[kReadBufferBytes];  // one for the loop: each read is used up in its callback
std::string replies;

void close_session(Session* session) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&session->tcp);
  if (uv_is_closing(handle) == 0) {
    uv_close(handle, [](uv_handle_t* closed) { delete static_cast<Session*>(closed->data); });
  }
}

// Reads a decimal number and its CRLF at `position`.  Returns false when bytes are missing.
bool read_number(const char* data, size_t size, size_t& position, long& number) {
  long value = 0;
  size_t at = position;
  while (at < size && data[at] != '\r') {
    value = value * 10 + (data[at] - '0');
    ++at;
  }
  if (at + 2 > size) return false;
  number = value;
  position = at + 2;
  return true;
}

// Moves `position` behind one request.  Returns false when its end has not arrived.
bool skip_request(const char* data, size_t size, size_t& position) {
  size_t at = position;
  if (data[at] != '*') {  // inline
    const void* end = memchr(data + at, '\n', size - at);
    if (end == nullptr) return false;
    position = static_cast<size_t>(static_cast<const char*>(end) - data) + 1;
    return true;
  }
  ++at;
  long words = 0;
  if (!read_number(data, size, at, words)) return false;
  for (long i = 0; i < words; ++i) {
    if (at >= size) return false;
    ++at;  // '$'
    long length = 0;
    if (!read_number(data, size, at, length)) return false;
    at += static_cast<size_t>(length) + 2;
    if (at > size) return false;
  }
  position = at;
  return true;
}

// Returns how many bytes of `data` were whole requests; appends a reply for each.
size_t answer(const char* data, size_t size) {
  size_t position = 0;
  while (position < size && skip_request(data, size, position)) replies.append("+OK\r\n", 5);
  return position;
}

void send_replies(Session* session) {
  uv_buf_t buffer = uv_buf_init(replies.data(), static_cast<unsigned>(replies.size()));
  const int sent = uv_try_write(reinterpret_cast<uv_stream_t*>(&session->tcp), &buffer, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    close_session(session);
    return;
  }
  const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (done == replies.size()) return;
  auto tail = std::make_unique<Tail>();
  tail->bytes = replies.substr(done);
  buffer = uv_buf_init(tail->bytes.data(), static_cast<unsigned>(tail->bytes.size()));
  tail->request.data = tail.get();
  const int failed =
      uv_write(&tail->request, reinterpret_cast<uv_stream_t*>(&session->tcp), &buffer, 1,
               [](uv_write_t* written, int) { delete static_cast<Tail*>(written->data); });
  if (failed == 0) (void)tail.release();
}

void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  auto* session = static_cast<Session*>(stream->data);
  if (count < 0 || session->unparsed.size() > kRequestBytesMax) {
    close_session(session);
    return;
  }
  replies.clear();
  const auto size = static_cast<size_t>(count);
  if (session->unparsed.empty()) {
    const size_t used = answer(buffer->base, size);
    session->unparsed.assign(buffer->base + used, size - used);
  } else {
    session->unparsed.append(buffer->base, size);
    session->unparsed.erase(0, answer(session->unparsed.data(), session->unparsed.size()));
  }
  if (!replies.empty()) send_replies(session);
}

void on_connection(uv_stream_t* server, int status) {
  if (status < 0) return;
  auto* session = new Session;
  session->tcp.data = session;
  uv_tcp_init(server->loop, &session->tcp);
  if (uv_accept(server, reinterpret_cast<uv_stream_t*>(&session->tcp)) != 0) {
    close_session(session);
    return;
  }
  uv_tcp_nodelay(&session->tcp, 1);
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&session->tcp),
      [](uv_handle_t*, size_t, uv_buf_t* out) {
        *out = uv_buf_init(read_buffer, kReadBufferBytes);
      },
      on_read);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || strcmp(argv[1], "--port") != 0) {
    fprintf(stderr, "usage: quorate-null --port PORT\n");
    return 2;
  }
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t server;
  sockaddr_in address{};
  uv_tcp_init(loop, &server);
  uv_ip4_addr("127.0.0.1", atoi(argv[2]), &address);
  int failed = uv_tcp_bind(&server, reinterpret_cast<const sockaddr*>(&address), 0);
  if (failed == 0)
    failed = uv_listen(reinterpret_cast<uv_stream_t*>(&server), kBacklog, on_connection);
  if (failed != 0) {
    fprintf(stderr, "quorate-null: %s\n", uv_strerror(failed));
    return 1;
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
