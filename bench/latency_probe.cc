// One connection that sends one command a millisecond and tells how long the answers took.
// A server that stops for 20 ms makes one late answer and nineteen requests that were never
// sent; those count too, from the moment they were due, or the pause would hide in one sample.
//
//   latency-probe --port 7001 [--seconds 10] [--rate 1000] [--] [COMMAND WORDS...]
//
// The default command is PING.  Prints one line: `samples N p50 p99 p99.9 max` in milliseconds.
// Ends early, with its line, on SIGINT or SIGTERM.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

volatile sig_atomic_t stopped = 0;

struct Options {
  int port = 7001;
  double seconds = 10;
  int64_t rate = 1000;
  std::string request;
};

int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kNanosecondsPerSecond + t.tv_nsec;
}

void sleep_until(int64_t when_ns) {
  timespec t{};
  t.tv_sec = when_ns / kNanosecondsPerSecond;
  t.tv_nsec = when_ns % kNanosecondsPerSecond;
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr);
}

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// True when `text` holds one whole reply: a line, or a bulk string with its body.
bool whole_reply(const std::string& text) {
  const size_t end = text.find("\r\n");
  if (end == std::string::npos) return false;
  if (text[0] != '$') return true;
  const long length = atol(text.c_str() + 1);
  return length < 0 || text.size() >= end + 4 + static_cast<size_t>(length);
}

bool ask(int fd, const std::string& request) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return false;
  }
  std::string reply;
  char bytes[4096];
  while (!whole_reply(reply)) {
    const ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    reply.append(bytes, static_cast<size_t>(count));
  }
  return true;
}

double at_ms(const std::vector<int64_t>& sorted, double share) {
  const auto index = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return static_cast<double>(sorted[index]) / 1e6;
}

bool parse(int argc, char** argv, Options& options) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") continue;
    if (word.rfind("--", 0) != 0) {
      words.push_back(word);
      continue;
    }
    if (++i >= argc) return false;
    if (word == "--port") {
      options.port = atoi(argv[i]);
    } else if (word == "--seconds") {
      options.seconds = atof(argv[i]);
    } else if (word == "--rate") {
      options.rate = std::max(1L, atol(argv[i]));
    } else {
      return false;
    }
  }
  if (words.empty()) words.emplace_back("PING");
  options.request.append("*").append(std::to_string(words.size())).append("\r\n");
  for (const std::string& word : words) {
    options.request.append("$").append(std::to_string(word.size())).append("\r\n");
    options.request.append(word).append("\r\n");
  }
  return true;
}

// Returns the time of each answer, and of each request that a late answer kept from being sent.
std::vector<int64_t> probe(int fd, const Options& options) {
  const int64_t interval = kNanosecondsPerSecond / options.rate;
  const int64_t start = now_ns();
  const int64_t end = start + static_cast<int64_t>(options.seconds * 1e9);
  std::vector<int64_t> samples;
  samples.reserve(static_cast<size_t>(options.seconds * static_cast<double>(options.rate)) + 1);
  int64_t due = start;
  while (stopped == 0 && due < end) {
    sleep_until(due);
    const int64_t sent = now_ns();
    if (!ask(fd, options.request)) break;
    const int64_t answered = now_ns();
    samples.push_back(answered - sent);
    // Our own late waking is not the server's: skip the ticks that passed before we sent.
    while (due <= sent) due += interval;
    for (; due <= answered; due += interval) samples.push_back(answered - due);
  }
  return samples;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    fprintf(stderr, "usage: latency-probe --port PORT [--seconds S] [--rate HZ] [COMMAND...]\n");
    return 2;
  }
  struct sigaction action {};
  action.sa_handler = [](int) { stopped = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  prctl(PR_SET_TIMERSLACK, 1);
  const int fd = connect_to(options.port);
  if (fd < 0) {
    fprintf(stderr, "latency-probe: cannot connect to port %d: %s\n", options.port,
            strerror(errno));
    return 1;
  }
  std::vector<int64_t> samples = probe(fd, options);
  close(fd);
  if (samples.empty()) {
    fprintf(stderr, "latency-probe: no answer\n");
    return 1;
  }
  std::sort(samples.begin(), samples.end());
  printf("samples %zu p50 %.3f p99 %.3f p99.9 %.3f max %.3f\n", samples.size(), at_ms(samples, 0.5),
         at_ms(samples, 0.99), at_ms(samples, 0.999), at_ms(samples, 1));
  return 0;
}
