// Reading into the loop's shared buffer, writing straight from the session's, and closing.
#include "server/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "server/uv_bytes.h"
#include "server/uv_driver.h"
#include "util/check.h"

namespace quorate {

// The unsent tail of a reply on its way; the bytes are the session's.
struct Connection::PendingWrite {
  uv_write_t request{};
  Connection* connection = nullptr;
  size_t size = 0;
};

namespace {

struct Address {
  std::string text;
  bool is_loopback = false;
};

Address address_text(const sockaddr_storage& storage) {
  char host[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET6) {
    const auto* address = reinterpret_cast<const sockaddr_in6*>(&storage);
    uv_ip6_name(address, host, sizeof host);
    const bool is_mapped_loopback =
        IN6_IS_ADDR_V4MAPPED(&address->sin6_addr) && address->sin6_addr.s6_addr[12] == 127;
    std::string text(1, '[');
    text.append(host).append("]:").append(std::to_string(ntohs(address->sin6_port)));
    return {std::move(text), IN6_IS_ADDR_LOOPBACK(&address->sin6_addr) || is_mapped_loopback};
  }
  const auto* address = reinterpret_cast<const sockaddr_in*>(&storage);
  uv_ip4_name(address, host, sizeof host);
  return {std::string(host) + ":" + std::to_string(ntohs(address->sin_port)),
          (ntohl(address->sin_addr.s_addr) >> 24) == 127};
}

}  // namespace

Connection* Connection::accept(UvDriver& driver, uv_stream_t* listener, ClientDoor door) {
  const bool is_unix_socket = listener->type == UV_NAMED_PIPE;
  // Freed by on_closed: libuv holds the handle until then.
  auto* connection = std::unique_ptr<Connection, void (*)(Connection*)>(
                         new Connection(driver, is_unix_socket, door), [](Connection* gone) { delete gone; })
                         .release();
  int error = is_unix_socket ? uv_pipe_init(listener->loop, &connection->handle_.pipe, 0)
                             : uv_tcp_init(listener->loop, &connection->handle_.tcp);
  CHECK(error == 0);
  connection->handle_.any.data = connection;
  error = uv_accept(listener, connection->stream());
  if (error != 0) {
    uv_close(&connection->handle_.any, on_closed);
    return nullptr;
  }
  CHECK(uv_fileno(&connection->handle_.any, &connection->fd_) == 0);
  if (!is_unix_socket) uv_tcp_nodelay(&connection->handle_.tcp, 1);
  return connection;
}

PeerInfo Connection::peer_info() {
  PeerInfo info{.connection = this, .address = {}, .local_address = {}, .is_loopback = true,
                .is_unix_socket = is_unix_socket_, .descriptor = fd_, .door = door_};
  if (is_unix_socket_) {
    info.address = driver_.unix_socket_path() + ":0";
    info.local_address = info.address;
    return info;
  }
  sockaddr_storage storage{};
  int size = sizeof storage;
  if (uv_tcp_getpeername(&handle_.tcp, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
    Address address = address_text(storage);
    info.address = std::move(address.text);
    info.is_loopback = address.is_loopback;
  }
  size = sizeof storage;
  if (uv_tcp_getsockname(&handle_.tcp, reinterpret_cast<sockaddr*>(&storage), &size) == 0)
    info.local_address = address_text(storage).text;
  return info;
}

void Connection::set_keepalive(int64_t seconds) {
  if (is_unix_socket_) return;
  // As Redis: the first probe after `seconds`, then three at a third of that.
  const int on = seconds > 0 ? 1 : 0;
  const int idle = static_cast<int>(seconds);
  const int interval = idle / 3 > 0 ? idle / 3 : 1;
  const int probes = 3;
  ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (on == 0) return;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void Connection::start_loading() { set_reading(true); }

void Connection::start(Session* session) {
  session_ = session;
  set_reading(true);
}

void Connection::set_reading(bool wants_input) {
  if (wants_input == is_reading_ || saw_end_ || is_closing()) return;
  is_reading_ = wants_input;
  if (wants_input) {
    uv_read_start(stream(), on_alloc, on_read);
  } else {
    uv_read_stop(stream());
  }
}

void Connection::on_alloc(uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(handle->data);
  // libuv reads on while buffers come back full, up to 32 of them: a client that sends a lot would make the turn
  // long for everybody.  Without a place it stops, and the rest is read in the next turn.
  const uint64_t turn = connection->driver_.turn();
  if (turn != 0 && connection->read_in_turn_ == turn) {
    *buffer = uv_buf_init(nullptr, 0);
    return;
  }
  connection->read_in_turn_ = turn;
  const std::span<char> place = connection->driver_.read_place(connection->session_);
  *buffer = uv_buf_init(place.data(), static_cast<unsigned>(place.size()));
}

void Connection::on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
  auto* connection = static_cast<Connection*>(stream->data);
  if (connection->is_closing() || count == 0 || count == UV_ENOBUFS) return;
  if (count > 0) {
    connection->driver_.received(*connection, {buffer->base, static_cast<size_t>(count)});
    return;
  }
  connection->saw_end_ = true;
  connection->is_reading_ = false;
  uv_read_stop(stream);
  connection->driver_.hung_up(*connection, count == UV_EOF ? Hangup::kHalf : Hangup::kWhole);
}

void Connection::fail() {
  if (is_broken_) return;
  is_broken_ = true;
  driver_.broke(*this);
}

size_t Connection::send(std::string_view bytes) {
  if (is_closing() || is_broken_) return bytes.size();
  size_t sent = 0;
  if (writes_under_way_ == 0) {
    // Not uv_try_write: send(2) reaches the socket by a shorter way than the write(2) it uses.
    const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    driver_.counters().writes += 1;
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
      fail();
      return bytes.size();
    }
    if (put > 0) sent = static_cast<size_t>(put);
    driver_.counters().bytes_sent += sent;
    if (sent == bytes.size()) return sent;
  }
  auto pending = std::make_unique<PendingWrite>();
  pending->connection = this;
  pending->size = bytes.size() - sent;
  pending->request.data = pending.get();
  const uv_buf_t tail = uv_bytes(bytes.substr(sent));
  if (uv_write(&pending->request, stream(), &tail, 1, on_written) != 0) {
    fail();
    return bytes.size();
  }
  ++writes_under_way_;
  (void)pending.release();  // on_written takes it back
  return sent;
}

bool Connection::send_now(std::string_view bytes) {
  return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size());
}

void Connection::on_written(uv_write_t* request, int status) {
  const std::unique_ptr<PendingWrite> pending(static_cast<PendingWrite*>(request->data));
  Connection& connection = *pending->connection;
  --connection.writes_under_way_;
  if (connection.is_closing()) return;
  if (status == 0) connection.driver_.counters().bytes_sent += pending->size;
  connection.driver_.sent(connection, pending->size);
  if (status != 0) connection.fail();
}

void Connection::close(CloseMode /*mode*/) {
  if (is_closing()) return;
  is_closing_ = true;
  session_ = nullptr;
  uv_close(&handle_.any, on_closed);
}

void Connection::on_closed(uv_handle_t* handle) {
  auto* connection = static_cast<Connection*>(handle->data);
  connection->driver_.forget(connection);
  delete connection;
}

}  // namespace quorate
