// A world behind a TCP port: plain sockets, poll(2), and one connection of its own for questions about the server.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "resp/reply_parser.h"
#include "tests/rt/world.h"
#include "util/check.h"
#include "util/number.h"

namespace quorate::rt {

namespace {

constexpr int64_t kAnswerPatienceMs = 10'000;
constexpr int64_t kBlockedPatienceMs = 5'000;
constexpr int64_t kAdvanceMaxMs = 50;
// For a server whose CLIENT LIST does not tell who is blocked.
constexpr int kBlockedGuessMs = 50;

class SocketWorld final : public World {
 public:
  SocketWorld(std::string name, int port) : name_(std::move(name)), port_(port) {}
  ~SocketWorld() override {
    for (const auto& [connection, descriptor] : sockets_) ::close(descriptor);
  }

  bool start() {
    control_ = connect();
    return control_ >= 0 && ask("*1\r\n$4\r\nPING\r\n").has_value();
  }

  std::string_view name() const override { return name_; }

  int connect() override {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    CHECK(descriptor >= 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(descriptor);
      return -1;
    }
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockets_[next_] = descriptor;
    return next_++;
  }

  void disconnect(int connection) override {
    const std::string address = "addr=" + own_address(connection) + " ";
    ::close(sockets_.at(connection));
    sockets_.erase(connection);
    wait_until_forgotten(address);
  }

  void send(int connection, std::string_view bytes) override {
    const int descriptor = sockets_.at(connection);
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      // A connection that the server has closed is noticed by receive().
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }

  Received receive(int connection, int64_t patience_ms, std::string& bytes) override {
    pollfd waiting{.fd = sockets_.at(connection), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(patience_ms));
    if (ready <= 0) return Received::kNothing;
    char chunk[64 * 1024];
    const ssize_t size = ::recv(waiting.fd, chunk, sizeof chunk, 0);
    if (size <= 0) return Received::kClosed;
    bytes.append(chunk, static_cast<size_t>(size));
    return Received::kBytes;
  }

  bool wait_until_blocked(int connection) override {
    const std::string address = "addr=" + own_address(connection) + " ";
    const int64_t end = steady_ms() + kBlockedPatienceMs;
    while (steady_ms() < end) {
      pollfd answered{.fd = sockets_.at(connection), .events = POLLIN, .revents = 0};
      if (::poll(&answered, 1, 0) > 0) return false;
      const auto list = ask("*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n");
      if (!list || list->kind == ReplyValue::Kind::kError) {
        ::poll(nullptr, 0, kBlockedGuessMs);
        return true;
      }
      // Not in the list: not accepted yet.
      const size_t line = list->text.find(address);
      if (line == std::string::npos) continue;
      constexpr std::string_view kFlags = " flags=";
      const size_t flags = list->text.find(kFlags, line);
      if (flags > list->text.find('\n', line)) return false;
      const size_t first = flags + kFlags.size();
      // 'b': waits in a blocking command.
      if (list->text.substr(first, list->text.find(' ', first) - first).find('b') != std::string::npos) return true;
    }
    return false;
  }

  int64_t now_ms() override {
    const auto time = ask("*1\r\n$4\r\nTIME\r\n");
    if (!time || time->items.size() != 2) return 0;
    const auto seconds = parse_int(time->items[0].text);
    const auto micros = parse_int(time->items[1].text);
    return seconds.value_or(0) * 1000 + micros.value_or(0) / 1000;
  }

  bool advance(int64_t duration_ms) override {
    if (duration_ms > kAdvanceMaxMs) return false;
    // More than asked for: the first and the last millisecond are parts.
    const int64_t end = steady_ms() + duration_ms + 2;
    while (steady_ms() < end) ::poll(nullptr, 0, 1);
    return true;
  }

  bool restart() override { return false; }

 private:
  static int64_t steady_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }

  std::string own_address(int connection) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(sockets_.at(connection), reinterpret_cast<sockaddr*>(&address), &size);
    return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }

  // Returns when the server has noticed that the client at `address` is gone, as far as it tells.
  void wait_until_forgotten(const std::string& address) {
    const int64_t end = steady_ms() + kAnswerPatienceMs;
    while (steady_ms() < end) {
      const auto list = ask("*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n");
      if (!list || list->kind == ReplyValue::Kind::kError) return;
      if (list->text.find(address) == std::string::npos) return;
    }
  }

  // The answer to `request` on the connection for questions.
  std::optional<ReplyValue> ask(std::string_view request) {
    send(control_, request);
    ReplyValue value;
    std::string bytes;
    while (true) {
      switch (control_parser_.next(value)) {
        case ReplyParser::Outcome::kValue: return value;
        case ReplyParser::Outcome::kProtocolError: return std::nullopt;
        case ReplyParser::Outcome::kNeedMore: break;
      }
      bytes.clear();
      if (receive(control_, kAnswerPatienceMs, bytes) != Received::kBytes) return std::nullopt;
      control_parser_.feed(bytes);
    }
  }

  std::string name_;
  int port_;
  std::map<int, int> sockets_;
  int next_ = 0;
  int control_ = -1;
  ReplyParser control_parser_;
};

}  // namespace

std::unique_ptr<World> connect_socket_world(std::string name, int port, std::string& error) {
  auto world = std::make_unique<SocketWorld>(std::move(name), port);
  if (!world->start()) {
    error = "nothing answers PING on port " + std::to_string(port);
    return nullptr;
  }
  return world;
}

}  // namespace quorate::rt
