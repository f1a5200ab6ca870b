// Binding and listening.
#include "server/listeners.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "util/check.h"

namespace quorate {

struct Listeners::Listener {
  std::string address;   // as in `bind`, without "-"
  int64_t port = 0;
  std::string unix_path;
  Listeners* owner = nullptr;
  bool is_ready = false;  // a connection came before attach()
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_handle_t any;
  } handle{};
};

namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Error cannot_listen(std::string_view where, int uv_error) {
  return Error(ErrorCode::kIo, "could not listen on " + std::string(where) + ": " + uv_strerror(uv_error));
}

}  // namespace

Listeners::Listeners(uv_loop_t& loop) : loop_(loop) {}
Listeners::~Listeners() = default;

TcpPlaces places_for_clients(const ProcessSettings& settings) {
  return {.bind = settings.bind, .port = settings.port, .backlog = settings.tcp_backlog};
}
TcpPlaces places_for_cluster_clients(const ProcessSettings& settings) {
  return {.bind = settings.bind, .port = settings.cluster_client_port, .backlog = settings.tcp_backlog};
}
TcpPlaces places_for_peers(const ProcessSettings& settings) {
  return {.bind = settings.bind, .port = settings.cluster_port, .backlog = settings.tcp_backlog};
}

void Listeners::on_waiting(uv_stream_t* stream, int status) {
  auto* listener = static_cast<Listener*>(stream->data);
  if (status != 0) return;
  if (!listener->owner->on_connection_) {
    // libuv keeps the connection and stops accepting until attach() takes it.
    listener->is_ready = true;
    return;
  }
  listener->owner->on_connection_(stream);
}

void Listeners::close(std::unique_ptr<Listener> listener) {
  if (!listener->unix_path.empty()) ::unlink(listener->unix_path.c_str());
  Listener* closing = listener.release();
  uv_close(&closing->handle.any, [](uv_handle_t* handle) {
    const std::unique_ptr<Listener> gone(static_cast<Listener*>(handle->data));
  });
}

Result<std::vector<std::unique_ptr<Listeners::Listener>>> Listeners::listen_at(std::string_view address,
                                                                               int64_t port, int64_t backlog) {
  const std::string name(address);
  const std::string where = name + " port " + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_family = name == "*" ? AF_INET : name == "::*" ? AF_INET6 : AF_UNSPEC;
  addrinfo* found = nullptr;
  const char* host = name == "*" || name == "::*" ? nullptr : name.c_str();
  const int error = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return Error(ErrorCode::kIo, "could not resolve " + where + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, FreeAddresses> list(found);

  std::vector<std::unique_ptr<Listener>> listeners;
  int failure = 0;
  for (const addrinfo* each = list.get(); each != nullptr && failure == 0; each = each->ai_next) {
    auto listener = std::make_unique<Listener>();
    listener->address = name;
    listener->port = port;
    listener->owner = this;
    failure = uv_tcp_init(&loop_, &listener->handle.tcp);
    if (failure != 0) break;
    listener->handle.any.data = listener.get();
    const unsigned flags = each->ai_family == AF_INET6 ? unsigned{UV_TCP_IPV6ONLY} : 0u;
    failure = uv_tcp_bind(&listener->handle.tcp, each->ai_addr, flags);
    if (failure == 0) failure = uv_listen(&listener->handle.stream, static_cast<int>(backlog), on_waiting);
    listeners.push_back(std::move(listener));
  }
  if (failure == 0) return listeners;
  for (auto& listener : listeners) close(std::move(listener));
  return cannot_listen(where, failure);
}

Status Listeners::open_tcp(const TcpPlaces& places) {
  std::vector<std::unique_ptr<Listener>> opened;
  std::vector<std::string> wanted;
  Status outcome;
  size_t available = 0;
  for (const std::string& entry : places.bind) {
    if (places.port == 0) break;
    const bool is_optional = entry.starts_with('-');
    const std::string address = entry.substr(is_optional ? 1 : 0);
    wanted.push_back(address);
    const bool is_open = std::any_of(tcp_.begin(), tcp_.end(), [&](const auto& each) {
      return each->address == address && each->port == places.port;
    });
    if (is_open) {
      ++available;
      continue;
    }
    auto listeners = listen_at(address, places.port, places.backlog);
    if (listeners.ok()) {
      ++available;
      std::move(listeners.value().begin(), listeners.value().end(), std::back_inserter(opened));
    } else if (!is_optional) {
      outcome = std::move(listeners).error();
      break;
    }
  }
  if (outcome.ok() && available == 0 && !wanted.empty())
    outcome = Error(ErrorCode::kIo, "could not listen on any address of 'bind'");
  if (!outcome.ok()) {
    for (auto& listener : opened) close(std::move(listener));
    return outcome;
  }
  for (auto& listener : tcp_) {
    const bool stays = listener->port == places.port &&
                       std::find(wanted.begin(), wanted.end(), listener->address) != wanted.end();
    if (stays) {
      opened.push_back(std::move(listener));
    } else {
      close(std::move(listener));
    }
  }
  tcp_ = std::move(opened);
  return done();
}

Status Listeners::open_unix(const ProcessSettings& settings) {
  if (settings.unixsocket.empty()) return done();
  const std::string& path = settings.unixsocket;
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Error(ErrorCode::kIo, "the path of the Unix socket is too long: " + path);
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) == 0) {
    if (!S_ISSOCK(facts.st_mode))
      return Error(ErrorCode::kIo, "could not listen on " + path + ": a file of that name is in the way");
    ::unlink(path.c_str());  // left by a server that did not end well
  }
  auto listener = std::make_unique<Listener>();
  listener->unix_path = path;
  listener->owner = this;
  CHECK(uv_pipe_init(&loop_, &listener->handle.pipe, 0) == 0);
  listener->handle.any.data = listener.get();
  int error = uv_pipe_bind(&listener->handle.pipe, path.c_str());
  if (error == 0 && settings.unixsocketperm != 0 &&
      ::chmod(path.c_str(), static_cast<mode_t>(settings.unixsocketperm)) != 0)
    error = uv_translate_sys_error(errno);
  if (error == 0)
    error = uv_listen(&listener->handle.stream, static_cast<int>(settings.tcp_backlog), on_waiting);
  if (error != 0) {
    if (error == UV_EADDRINUSE) listener->unix_path.clear();
    close(std::move(listener));
    return cannot_listen(path, error);
  }
  unix_ = std::move(listener);
  return done();
}

void Listeners::attach(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  const auto take = [this](Listener& listener) {
    if (std::exchange(listener.is_ready, false)) on_connection_(&listener.handle.stream);
  };
  for (auto& listener : tcp_) take(*listener);
  if (unix_ != nullptr) take(*unix_);
}

void Listeners::close_all() {
  for (auto& listener : tcp_) close(std::move(listener));
  tcp_.clear();
  if (unix_ != nullptr) close(std::move(unix_));
}

std::vector<std::string> Listeners::addresses() const {
  std::vector<std::string> out;
  for (const auto& listener : tcp_) {
    const bool is_v6 = listener->address.find(':') != std::string::npos;
    out.push_back((is_v6 ? "[" + listener->address + "]" : listener->address) + ":" +
                  std::to_string(listener->port));
  }
  if (unix_ != nullptr) out.push_back(unix_->unix_path);
  return out;
}

}  // namespace quorate
