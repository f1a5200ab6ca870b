// A few replicas driven by hand: the script says what is delivered, dropped, written and when time
// passes; the world writes down what came out.  Nothing happens by itself, except that disks are
// quick unless told otherwise.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/raft/core.h"

namespace quorate::interaction {

using Words = std::vector<std::string>;

class World {
 public:
  // Carries out one command line and returns what it shows (lines end in '\n').
  std::string run(std::string_view line);

  // For whoever checks the replicas; null: crashed or not there.
  const raft::Core* core(uint64_t id) const;
  int64_t now_us() const { return now_us_; }

 private:
  struct Beat {
    uint64_t from = 0, to = 0;
    raft::ReplicaId leader = {};
    raft::Term term = {};
    raft::BeatNumber number = {};
    int64_t sent_us = 0;
    enum class Kind : uint8_t { kBeat, kConfirmed, kRefused } kind = Kind::kBeat;
  };
  // One thing on the way.
  struct Packet {
    uint64_t from = 0, to = 0;
    std::optional<raft::Message> message = {};
    std::optional<Beat> beat = {};
    std::optional<raft::in::SnapshotReceived> snapshot = {};
  };
  // What is safe on the disk of a replica.
  struct Stored {
    raft::HardState hard_state = {};
    raft::SnapshotMark base = {};
    std::vector<raft::Entry> entries = {};
  };
  struct Replica {
    std::unique_ptr<raft::Core> core;  // null: crashed
    raft::Options options = {};
    Stored disk = {};
    std::deque<raft::DurableWrite> writes = {};  // not yet on disk
    bool disk_is_held = false;
    // It was started as one that may have forgotten, and what that start wrote is not on disk yet:
    // the next start goes by the same evidence.
    bool is_unproven = false;
    raft::BeatNumber last_beat = {};
    raft::Index applied = {};
    std::string state = {};  // what was applied, for the eye
  };

  void do_group(const Words& words);
  void do_replica(const Words& words);
  void do_option(const Words& words);
  void do_mistake(const Words& words);
  void do_advance(const Words& words);
  void do_deliver(const Words& words);
  void do_drop(const Words& words);
  void do_duplicate(const Words& words);
  void do_cut(const Words& words);
  void do_heal(const Words& words);
  void do_beat(const Words& words);
  void do_silent(const Words& words);
  void do_connected(const Words& words);
  void do_nudge(const Words& words);
  void do_disk(const Words& words);
  void do_crash(const Words& words);
  void do_restart(const Words& words);
  void do_propose(const Words& words);
  void do_corrupt(const Words& words);
  void do_read(const Words& words);
  void do_forget_reads(const Words& words);
  void do_change(const Words& words);
  void do_transfer(const Words& words);
  void do_drain(const Words& words);
  void do_keeps(const Words& words);
  void do_give_up(const Words& words);
  void do_snapshot(const Words& words);
  void do_status(const Words& words);
  void do_log(const Words& words);
  void do_lease(const Words& words);
  void do_copies(const Words& words);
  void do_queue(const Words& words);

  void say(const std::string& text) { shown_ += text + "\n"; }
  Replica& replica(const std::string& word);
  void start(uint64_t id, raft::Restored restored);
  void step(uint64_t id, const raft::Input& input);
  void perform(uint64_t id, raft::Output& out);
  void store(uint64_t id, const raft::DurableWrite& write);
  void finish_write(uint64_t id);
  void post(Packet packet);
  void arrive(const Packet& packet);
  std::string describe(const Packet& packet) const;
  bool matches(const Packet& packet, const Words& words) const;
  raft::Configuration configuration_from(const Words& words, size_t at) const;
  Instant now() const { return {.steady_us = now_us_, .unix_ms = now_us_ / 1000}; }

  std::map<uint64_t, Replica> replicas_;
  std::deque<Packet> network_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  raft::Options options_;
  raft::Mistakes mistakes_;
  int64_t now_us_ = 1'000'000;
  std::string shown_;
};

}  // namespace quorate::interaction
