// One lane of disk requests: a thread that carries them out in order, and a short cut that carries one out at
// once in the caller's thread while the lane is idle.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "persist/disk.h"

namespace quorate {

// Owned by the driver.  All methods are called from the loop's thread.
//
// Invariant: while pending() == 0 the thread sleeps and touches nothing, so the loop's thread may use the
// executor; the mutex orders the two.
class DiskLaneThread {
 public:
  // `wake` is called from the thread after replies were added; it must only signal the loop.
  DiskLaneThread(Disk& disk, void (*wake)(void*), void* wake_argument);
  // Waits for everything under way.
  ~DiskLaneThread();
  DiskLaneThread(const DiskLaneThread&) = delete;
  DiskLaneThread& operator=(const DiskLaneThread&) = delete;

  bool idle() const { return pending_ == 0; }
  // Requires: idle().
  DiskReply execute_inline(DiskRequest&& request) { return executor_.execute(request); }
  void queue(DiskRequest&& request);
  // Moves the replies that have arrived to the end of `replies`.
  void take_replies(std::vector<DiskReply>& replies);

 private:
  void run();

  DiskExecutor executor_;
  void (*const wake_)(void*);
  void* const wake_argument_;

  // Of the loop's thread: requests queued and not yet taken back as replies.
  size_t pending_ = 0;

  std::mutex mutex_;
  std::condition_variable has_work_;
  std::deque<DiskRequest> requests_;  // guarded by mutex_
  std::vector<DiskReply> replies_;    // guarded by mutex_
  bool stopping_ = false;             // guarded by mutex_
  std::thread thread_;
};

}  // namespace quorate
