// Signals, as events of the loop.
#include "server/signals.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

namespace quorate {

Signals::Signals(uv_loop_t& loop, Handler on_end, Handler on_hangup)
    : on_end_(std::move(on_end)), on_hangup_(std::move(on_hangup)) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto start = [&loop, this](uv_signal_t& handle, int signal_number) {
    uv_signal_init(&loop, &handle);
    handle.data = this;
    uv_signal_start(&handle, on_signal, signal_number);
  };
  start(terminate_, SIGTERM);
  start(interrupt_, SIGINT);
  start(hangup_, SIGHUP);
}

void Signals::on_signal(uv_signal_t* handle, int signal_number) {
  auto* signals = static_cast<Signals*>(handle->data);
  if (signal_number == SIGHUP) {
    signals->on_hangup_(signal_number);
    return;
  }
  // The first may be waiting for a snapshot or a disk: who insists does not want to.
  if (signals->is_ending_ && signal_number == SIGINT) ::_exit(1);
  signals->is_ending_ = true;
  signals->on_end_(signal_number);
}

void Signals::close() {
  for (uv_signal_t* handle : {&terminate_, &interrupt_, &hangup_})
    uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
}

}  // namespace quorate
