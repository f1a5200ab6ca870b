// All sessions of a node, by id, and the pool that lends them buffers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "node/session.h"

namespace quorate {

// Lends buffers to sessions that have something to say, so that an idle one owns none.
class BufferPool {
 public:
  // Gives `buffer` memory if it has none.
  void lend(Buffer& buffer) {
    if (buffer.capacity() != 0 || free_.empty()) return;
    buffer.swap(free_.back());
    free_.pop_back();
  }
  // Takes the memory of an empty buffer back.
  void take_back(Buffer& buffer) {
    buffer.clear();
    if (buffer.capacity() == 0) return;
    if (buffer.capacity() > kKeptCapacityMax || free_.size() >= kFreeMax) {
      buffer.release();
      return;
    }
    free_.emplace_back();
    free_.back().swap(buffer);
  }

 private:
  static constexpr size_t kKeptCapacityMax = 128 * 1024;
  static constexpr size_t kFreeMax = 64;
  std::vector<Buffer> free_;
};

class Sessions {
 public:
  Session* add(PeerInfo peer) {
    const uint64_t id = next_id_++;
    auto session = std::make_unique<Session>(id, std::move(peer));
    Session* const added = session.get();
    by_id_.emplace_hint(by_id_.end(), id, std::move(session));
    return added;
  }
  void remove(const Session* session) { by_id_.erase(session->id); }
  Session* find(uint64_t id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second.get();
  }
  size_t size() const { return by_id_.size(); }

  // In the order of connecting.  visit must not add or remove sessions.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& [id, session] : by_id_) visit(*session);
  }
  // Visits about `count` sessions, going round from call to call.
  template <class Visit>
  void for_some(size_t count, Visit&& visit) {
    if (count > by_id_.size()) count = by_id_.size();
    auto at = by_id_.upper_bound(last_visited_);
    for (; count > 0; --count, ++at) {
      if (at == by_id_.end()) at = by_id_.begin();
      last_visited_ = at->first;
      visit(*at->second);
    }
  }

 private:
  std::map<uint64_t, std::unique_ptr<Session>> by_id_;
  uint64_t next_id_ = 1;
  uint64_t last_visited_ = 0;
};

}  // namespace quorate
