// Loading, serving, ending.
#include "server/service.h"

#include <unistd.h>

#include <thread>
#include <utility>

#include "server/clock.h"
#include "util/block.h"
#include "util/check.h"

#ifdef QUORATE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

namespace quorate {

namespace {

uv_loop_t& initialized(uv_loop_t& loop) {
  CHECK(uv_loop_init(&loop) == 0);
  return loop;
}

// What a thread allocates comes from an arena and a heap of small blocks of its own by default.  The loop's thread will
// go on with what the loading thread built, and must find room where that was freed.
#ifdef QUORATE_JEMALLOC
unsigned own_arena() {
  unsigned arena = 0;
  size_t size = sizeof arena;
  return mallctl("thread.arena", &arena, &size, nullptr, 0) == 0 ? arena : 0;
}
void use_arena(unsigned arena) { mallctl("thread.arena", nullptr, nullptr, &arena, sizeof arena); }
#else
unsigned own_arena() { return 0; }
void use_arena(unsigned /*arena*/) {}
#endif

// Nobody has named the port that is taken: the setting is said that would.
Status explained(Status opened, std::string_view advice) {
  if (opened.ok()) return opened;
  return Error(ErrorCode::kIo, std::string(opened.error().detail()) + " -> " + std::string(advice));
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace

Service::Service(Parts parts)
    : parts_(std::move(parts)),
      client_listeners_(initialized(loop_)),
      cluster_client_listeners_(loop_),
      peer_listeners_(loop_),
      driver_(loop_, {parts_.disks[0].get(), parts_.disks[1].get()}, parts_.settings),
      signals_(
          loop_, [this](int signal_number) { on_end_signal(signal_number); },
          [this](int) { parts_.log.line(LogLevel::kNotice, "SIGHUP -> the log file is opened for each line anyway"); }) {
  parts_.process.attach({client_listeners_, cluster_client_listeners_, peer_listeners_}, driver_, [this](ProcessEnd end) {
    exit_code_ = end == ProcessEnd::kOrderly ? 0 : 1;
    is_ending_ = true;
    uv_stop(&loop_);
  });
}

Service::~Service() { close(); }

Status Service::listen() {
  TRY(client_listeners_.open_tcp(places_for_clients(parts_.settings)));
  TRY(client_listeners_.open_unix(parts_.settings));
  TRY(explained(cluster_client_listeners_.open_tcp(places_for_cluster_clients(parts_.settings)),
                "cluster-client-port names another port for clients that know the cluster (it is port + 1000 by default; 0: none)"));
  return explained(peer_listeners_.open_tcp(places_for_peers(parts_.settings)),
                   "cluster-port names another port for other nodes (it is port + 10000 by default; 0: none)");
}

// In a thread of its own, so that the loop can tell clients that loading is under way.
Status Service::load() {
  Status outcome;
  uv_async_t loaded{};
  CHECK(uv_async_init(&loop_, &loaded, [](uv_async_t* handle) { uv_stop(handle->loop); }) == 0);
  const unsigned arena = own_arena();
  BlockHeap& blocks = own_block_heap();
  std::thread loader([&] {
    use_arena(arena);
    use_block_heap(blocks);
    outcome = parts_.node->recover(*parts_.recovery_disk, read_clocks());
    uv_async_send(&loaded);
  });
  uv_run(&loop_, UV_RUN_DEFAULT);
  loader.join();
  uv_close(reinterpret_cast<uv_handle_t*>(&loaded), nullptr);
  uv_run(&loop_, UV_RUN_NOWAIT);  // closes it
  return outcome;
}

int Service::run() {
  client_listeners_.attach([this](uv_stream_t* listener) { driver_.accept(listener, ClientDoor::kMain); });
  cluster_client_listeners_.attach([this](uv_stream_t* listener) { driver_.accept(listener, ClientDoor::kCluster); });
  parts_.service_manager.tell("STATUS=loading the data set");
  const int64_t began_us = read_steady_us();
  if (const Status loaded = load(); !loaded.ok()) {
    has_retired_ = parts_.node->has_retired();
    parts_.log.line(LogLevel::kWarning, "can't load the data: " + std::string(loaded.error().detail()) +
                                            (has_retired_ ? "" : " -> not starting"));
    return 1;
  }
  is_loaded_ = true;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f", static_cast<double>(read_steady_us() - began_us) / 1e6);
  parts_.log.line(LogLevel::kNotice, "data loaded in " + std::string(seconds) + " seconds");
  start_watchdog();
  parts_.node->start(read_clocks());
  if (is_ending_) {                  // it has said why
    uv_run(&loop_, UV_RUN_DEFAULT);  // takes note of the stop that was asked for
    return exit_code_;
  }
  driver_.attach(*parts_.node);
  // Not before: who has no data cannot tell another node anything, and it comes again.
  peer_listeners_.attach([this](uv_stream_t* listener) { driver_.accept_peer(listener); });
  parts_.log.line(LogLevel::kNotice, "listening on " + joined(client_listeners_.addresses()));
  const std::vector<std::string> cluster_doors = cluster_client_listeners_.addresses();
  if (!cluster_doors.empty())
    parts_.log.line(LogLevel::kNotice, "listening for clients that know the cluster on " + joined(cluster_doors));
  const std::vector<std::string> doors = peer_listeners_.addresses();
  parts_.log.line(LogLevel::kNotice, doors.empty() ? "no cluster-port -> this server stays alone"
                                                   : "listening for other nodes on " + joined(doors));
  parts_.log.line(LogLevel::kNotice, "Ready to accept connections");
  parts_.service_manager.tell("READY=1\nSTATUS=Ready to accept connections");
  uv_run(&loop_, UV_RUN_DEFAULT);
  return exit_code_;
}

void Service::on_end_signal(int signal_number) {
  const bool is_interrupt = signal_number == SIGINT;
  parts_.log.line(LogLevel::kWarning, is_interrupt ? "Received SIGINT scheduling shutdown..."
                                                   : "Received SIGTERM scheduling shutdown...");
  parts_.service_manager.tell("STOPPING=1");
  // Loading only reads, or repeats after a crash what it did not finish.
  if (!is_loaded_) ::_exit(0);
  driver_.shut_down(is_interrupt ? parts_.settings.shutdown_on_sigint : parts_.settings.shutdown_on_sigterm);
}

// Signs of life for the service manager.
void Service::start_watchdog() {
  CHECK(uv_timer_init(&loop_, &watchdog_) == 0);
  watchdog_.data = this;
  const auto interval_ms = static_cast<uint64_t>(parts_.service_manager.watchdog_interval_ms());
  if (interval_ms == 0) return;
  uv_timer_start(
      &watchdog_,
      [](uv_timer_t* timer) { static_cast<Service*>(timer->data)->parts_.service_manager.tell("WATCHDOG=1"); },
      interval_ms, interval_ms);
}

void Service::close() {
  client_listeners_.close_all();
  cluster_client_listeners_.close_all();
  peer_listeners_.close_all();
  signals_.close();
  if (is_loaded_) uv_close(reinterpret_cast<uv_handle_t*>(&watchdog_), nullptr);
  driver_.stop();
  uv_run(&loop_, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop_) == 0);
}

}  // namespace quorate
