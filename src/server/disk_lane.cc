// The thread behind a lane of disk requests.
#include "server/disk_lane.h"

#include <signal.h>

#include <iterator>
#include <utility>

#include "util/check.h"

namespace quorate {

DiskLaneThread::DiskLaneThread(Disk& disk, void (*wake)(void*), void* wake_argument)
    : executor_(disk), wake_(wake), wake_argument_(wake_argument) {
  // Signals belong to the loop's thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

DiskLaneThread::~DiskLaneThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  has_work_.notify_one();
  thread_.join();
}

void DiskLaneThread::queue(DiskRequest&& request) {
  ++pending_;
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = requests_.empty();
    requests_.push_back(std::move(request));
  }
  if (was_empty) has_work_.notify_one();
}

void DiskLaneThread::take_replies(std::vector<DiskReply>& replies) {
  std::vector<DiskReply> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(replies_);
  }
  CHECK(taken.size() <= pending_);
  pending_ -= taken.size();
  std::move(taken.begin(), taken.end(), std::back_inserter(replies));
}

void DiskLaneThread::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_work_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
    if (requests_.empty()) return;
    DiskRequest request = std::move(requests_.front());
    requests_.pop_front();
    lock.unlock();
    DiskReply reply = executor_.execute(request);
    lock.lock();
    const bool was_empty = replies_.empty();
    replies_.push_back(std::move(reply));
    if (was_empty) wake_(wake_argument_);
  }
}

}  // namespace quorate
