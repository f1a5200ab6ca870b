// All sessions of a node, by id, and the pool that lends them buffers.
#pragma once

#include <array>
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

// Those of clients, and those in which commands of other nodes run: these have numbers of the same kind, but are no
// clients, so they are counted and visited only where that is said.
class Sessions {
 public:
  Session* add(PeerInfo peer) { return add_to(by_id_, std::move(peer)); }
  Session* add_link(PeerInfo peer) { return add_to(links_, std::move(peer)); }
  void remove(const Session* session) {
    Session*& recent = recent_of(session->id);
    if (recent == session) recent = nullptr;
    if (by_id_.erase(session->id) == 0) links_.erase(session->id);
  }
  Session* find(uint64_t id) {
    Session*& recent = recent_of(id);
    if (recent != nullptr && recent->id == id) return recent;
    Session* const found = find_in(by_id_, id);
    if (found == nullptr) return find_in(links_, id);
    return recent = found;
  }
  size_t size() const { return by_id_.size(); }

  // In the order of connecting.  visit must not add or remove sessions.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (auto& [id, session] : by_id_) visit(*session);
  }
  template <class Visit>
  void for_each_with_links(Visit&& visit) {
    for_each(visit);
    for (auto& [id, session] : links_) visit(*session);
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
  using ById = std::map<uint64_t, std::unique_ptr<Session>>;

  Session*& recent_of(uint64_t id) { return recent_[id % kRecent]; }
  static Session* find_in(ById& map, uint64_t id) {
    const auto found = map.find(id);
    return found == map.end() ? nullptr : found->second.get();
  }
  Session* add_to(ById& map, PeerInfo peer) {
    const uint64_t id = next_id_++;
    auto session = std::make_unique<Session>(id, std::move(peer));
    Session* const added = session.get();
    map.emplace_hint(map.end(), id, std::move(session));
    return added;
  }

  // Those that find() has found, by id: who gets answers from other nodes gets many.
  static constexpr size_t kRecent = 256;
  std::array<Session*, kRecent> recent_{};
  ById by_id_;
  ById links_;
  uint64_t next_id_ = 1;
  uint64_t last_visited_ = 0;
};

}  // namespace quorate
