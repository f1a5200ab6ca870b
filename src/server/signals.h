// Signals, as events of the loop.
#pragma once

#include <uv.h>

#include <functional>

namespace quorate {

// Owned by main.  SIGTERM and SIGINT ask for an orderly end (a SIGINT after that ends at once, as with Redis), SIGHUP is told to the
// caller, SIGPIPE is ignored.
class Signals {
 public:
  using Handler = std::function<void(int signal_number)>;
  Signals(uv_loop_t& loop, Handler on_end, Handler on_hangup);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  void close();

 private:
  static void on_signal(uv_signal_t* handle, int signal_number);

  Handler on_end_;
  Handler on_hangup_;
  bool is_ending_ = false;
  uv_signal_t terminate_{};
  uv_signal_t interrupt_{};
  uv_signal_t hangup_{};
};

}  // namespace quorate
