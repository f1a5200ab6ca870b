// libuv streams between nodes.
#include "server/peer_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/uv_bytes.h"
#include "util/check.h"

namespace quorate {

// Owns one libuv stream.  libuv calls back for a write or a connect before it says that the stream is closed, and for a name that is
// being looked up perhaps later: then the socket waits for that.
class PeerSockets::Socket {
 public:
  static Socket* create(PeerSockets& owner) {
    // Freed by free_if_done().
    return std::unique_ptr<Socket, void (*)(Socket*)>(new Socket(owner), [](Socket* gone) { delete gone; }).release();
  }

  void set_id(ConnectionId id) { id_ = id; }
  size_t unsent() const { return unsent_; }

  bool accept(uv_stream_t* listener) {
    if (uv_accept(listener, stream()) != 0) return false;
    start();
    return true;
  }

  // An empty host: it has gone already.
  PeerAddress other_end() const {
    sockaddr_storage storage{};
    int size = sizeof storage;
    char host[INET6_ADDRSTRLEN] = {};
    if (uv_tcp_getpeername(&handle_, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    if (storage.ss_family == AF_INET6) {
      const auto* const address = reinterpret_cast<const sockaddr_in6*>(&storage);
      uv_ip6_name(address, host, sizeof host);
      return {.host = host, .port = ntohs(address->sin6_port)};
    }
    const auto* const address = reinterpret_cast<const sockaddr_in*>(&storage);
    uv_ip4_name(address, host, sizeof host);
    return {.host = host, .port = ntohs(address->sin_port)};
  }

  void dial(const PeerAddress& address) {
    host_ = address.host;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    resolve_.data = this;
    is_resolving_ = uv_getaddrinfo(&owner_.loop_, &resolve_, on_resolved, address.host.c_str(),
                                   std::to_string(address.port).c_str(), &hints) == 0;
    if (is_resolving_) return;
    tells_when_closed_ = true;
    close({});
  }

  void send(Outgoing& bytes) {
    if (is_closing_ || !is_connected_) return;
    const size_t sent = unsent_ == 0 ? send_now(bytes) : 0;
    if (sent < bytes.size()) queue(std::move(bytes), sent);
    bytes.clear();
  }

  void close(std::string_view last_words) {
    if (is_closing_) return;
    if (is_connected_ && unsent_ == 0) send_now(last_words);
    is_closing_ = true;
    if (is_resolving_) uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_));
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_), on_closed);
  }

 private:
  static constexpr unsigned kKeepaliveSeconds = 5;
  struct Write {
    uv_write_t request{};
    Socket* socket = nullptr;
    Outgoing bytes;
    size_t unsent = 0;
  };

  explicit Socket(PeerSockets& owner) : owner_(owner) {
    CHECK(uv_tcp_init(&owner.loop_, &handle_) == 0);
    handle_.data = this;
  }
  ~Socket() = default;

  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&handle_); }

  void start() {
    is_connected_ = true;
    uv_tcp_nodelay(&handle_, 1);
    uv_tcp_keepalive(&handle_, 1, kKeepaliveSeconds);
    uv_read_start(stream(), on_alloc, on_read);
  }

  // How many bytes the socket took.  What is wrong with it shows at the next read.
  size_t send_now(std::string_view bytes) {
    uv_os_fd_t descriptor = -1;
    if (bytes.empty() || uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_), &descriptor) != 0) return 0;
    const ssize_t put = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return put > 0 ? static_cast<size_t>(put) : 0;
  }

  size_t send_now(const Outgoing& bytes) {
    if (!bytes.has_shared()) [[likely]]
      return send_now(bytes.view());
    size_t sent = 0;
    for (const std::string_view piece : bytes.pieces()) {
      const size_t put = send_now(piece);
      sent += put;
      if (put < piece.size()) break;
    }
    return sent;
  }

  // Behind the first `sent` bytes, which have left.
  void queue(Outgoing&& bytes, size_t sent) {
    auto write = std::make_unique<Write>();
    write->socket = this;
    write->bytes = std::move(bytes);
    write->unsent = write->bytes.size() - sent;
    write->request.data = write.get();
    std::vector<uv_buf_t> places;
    for (const std::string_view piece : write->bytes.pieces(sent)) {
      places.push_back(uv_bytes(piece));
    }
    // An error is that of the connection, which reading reports.
    if (uv_write(&write->request, stream(), places.data(), static_cast<unsigned>(places.size()), on_written) != 0) return;
    unsent_ += write->unsent;
    (void)write.release();  // on_written takes it back
  }

  // The connection is at its end; only from callbacks of libuv.
  void fail() {
    if (is_closing_) return;
    close({});
    owner_.lost(id_);
  }

  void free_if_done() {
    if (is_closed_ && !is_resolving_) delete this;
  }

  const addrinfo* choose(const addrinfo* found) const {
    size_t count = 0;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) ++count;
    for (size_t turn = owner_.failed_attempts(host_) % count; turn > 0; --turn) found = found->ai_next;
    return found;
  }

  static void on_resolved(uv_getaddrinfo_t* request, int status, addrinfo* found) {
    auto* socket = static_cast<Socket*>(request->data);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, uv_freeaddrinfo);
    socket->is_resolving_ = false;
    if (socket->is_closing_) {
      socket->free_if_done();
      return;
    }
    socket->connect_.data = socket;
    const bool connects = status == 0 && uv_tcp_connect(&socket->connect_, &socket->handle_,
                                                        socket->choose(found)->ai_addr, on_connected) == 0;
    if (connects) return;
    ++socket->owner_.failed_[socket->host_];
    socket->fail();
  }

  static void on_connected(uv_connect_t* request, int status) {
    auto* socket = static_cast<Socket*>(request->data);
    if (socket->is_closing_) return;
    if (status != 0) {
      ++socket->owner_.failed_[socket->host_];
      socket->fail();
      return;
    }
    socket->owner_.failed_.erase(socket->host_);
    socket->start();
    socket->owner_.owner_.peer_dialled(socket->id_);
  }

  static void on_alloc(uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* buffer) {
    std::vector<char>& place = static_cast<Socket*>(handle->data)->owner_.read_buffer_;
    if (place.empty()) place.resize(kReadBufferBytes);  // who stays alone needs none
    *buffer = uv_buf_init(place.data(), static_cast<unsigned>(place.size()));
  }

  static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
    auto* socket = static_cast<Socket*>(stream->data);
    if (socket->is_closing_ || count == 0) return;
    if (count > 0) {
      socket->owner_.owner_.peer_received(socket->id_, {buffer->base, static_cast<size_t>(count)});
    } else {
      socket->fail();
    }
  }

  static void on_written(uv_write_t* request, int /*status*/) {
    const std::unique_ptr<Write> write(static_cast<Write*>(request->data));
    write->socket->unsent_ -= write->unsent;
  }

  static void on_closed(uv_handle_t* handle) {
    auto* socket = static_cast<Socket*>(handle->data);
    socket->is_closed_ = true;
    if (socket->tells_when_closed_) socket->owner_.lost(socket->id_);
    socket->free_if_done();
  }

  PeerSockets& owner_;
  ConnectionId id_ = 0;
  std::string host_;   // that is dialled
  uv_tcp_t handle_{};
  uv_getaddrinfo_t resolve_{};
  uv_connect_t connect_{};
  bool is_resolving_ = false;
  bool is_connected_ = false;
  bool is_closing_ = false;
  bool is_closed_ = false;
  bool tells_when_closed_ = false;  // it failed within a call of the owner
  size_t unsent_ = 0;
};

PeerSockets::PeerSockets(uv_loop_t& loop, PeerSocketsOwner& owner) : loop_(loop), owner_(owner) {}
PeerSockets::~PeerSockets() { CHECK(sockets_.empty()); }

PeerSockets::Socket* PeerSockets::find(ConnectionId connection) const {
  const auto found = sockets_.find(connection);
  return found == sockets_.end() ? nullptr : found->second;
}

size_t PeerSockets::failed_attempts(const std::string& host) const {
  const auto found = failed_.find(host);
  return found == failed_.end() ? 0 : found->second;
}

void PeerSockets::lost(ConnectionId connection) {
  if (sockets_.erase(connection) != 0) owner_.peer_closed(connection);
}

void PeerSockets::accept(uv_stream_t* listener) {
  Socket* const socket = Socket::create(*this);
  const ConnectionId id = socket->accept(listener) ? owner_.peer_accepted(socket->other_end()) : 0;
  if (id == 0) {
    socket->close({});
    return;
  }
  socket->set_id(id);
  sockets_.emplace(id, socket);
}

void PeerSockets::dial(ConnectionId connection, const PeerAddress& address) {
  CHECK(find(connection) == nullptr);
  Socket* const socket = Socket::create(*this);
  socket->set_id(connection);
  sockets_.emplace(connection, socket);
  socket->dial(address);
}

void PeerSockets::send(ConnectionId connection, Outgoing& bytes) {
  if (Socket* const socket = find(connection)) socket->send(bytes);
  bytes.clear();
}

size_t PeerSockets::unsent(ConnectionId connection) const {
  const Socket* const socket = find(connection);
  return socket == nullptr ? 0 : socket->unsent();
}

void PeerSockets::close(ConnectionId connection, Buffer& last_words) {
  if (Socket* const socket = find(connection)) {
    socket->close(last_words.view());
    sockets_.erase(connection);
  }
  last_words.clear();
}

void PeerSockets::close_all() {
  for (const auto& [id, socket] : sockets_) socket->close({});
  sockets_.clear();
}

}  // namespace quorate
