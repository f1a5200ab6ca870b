// Beats of one pair of nodes, from the side of one of them (REPLICATION.md 6).  Every 50 ms (56 where
// the beats of the two leave together) each node tells the other that it lives, how it is, and which groups it leads towards it; the other
// echoes at once and names the groups for which it does NOT confirm.  A round that confirms
// leaderships for reads is a beat that does not wait for its turn.  One beat serves all groups of
// the pair, so an idle group costs nothing.
//
// Pure: no clock, no socket.  Beats travel on a connection of their own that never queues behind
// data. What the groups' cores learn from here are the inputs LeaderHeard, LeadershipConfirmed,
// LeadershipRefused, PeerSilent, PeerConnected and PeerRestarted of cluster/raft/input.h.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/raft/configuration.h"
#include "cluster/raft/input.h"
#include "cluster/raft/mistakes.h"
#include "cluster/raft/types.h"
#include "util/buffer.h"
#include "util/prng.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate::beats {

using raft::BeatNumber;
using raft::GroupId;
using raft::Incarnation;
using raft::NodeId;
using raft::ReplicaId;
using raft::Term;

// A group that the sender of a beat leads.
struct Led {
  GroupId group = {};
  // None: the receiver has no replica of the group.  It is told so that it knows whom to send commands to, and has nothing to
  // confirm.
  ReplicaId leader = {};
  Term term = {};

  bool is_hint() const { return leader.none(); }
  friend auto operator<=>(const Led&, const Led&) = default;
};

// How a node is; said with each beat, judged by others.
struct Health {
  bool disk_is_healthy = true;  // no write is older than 500 ms
  bool is_draining = false;
  bool clock_is_right = true;  // its wall clock is at most 500 ms from the median of the cluster's
  // What it means that something is stored there, in every group: a start would find it again.
  raft::Durability kept = raft::Durability::kMemory;
  bool is_over_memory = false;  // it uses more than its maxmemory
  int64_t wall_ms = 0;  // its wall clock when the beat left: each beat has its own
  // It can lead as well as any other.
  bool is_fit() const { return disk_is_healthy && clock_is_right; }
  // ... and stays.
  bool may_lead() const { return is_fit() && !is_draining; }
  friend bool operator==(const Health&, const Health&) = default;
};

struct Beat {
  Incarnation incarnation = {};  // of the sender
  BeatNumber number = {};
  uint64_t nonce = 0;  // fresh and unguessable; the echo repeats it
  Health health = {};
  uint64_t led_version = 0;  // of the list of led groups
  std::optional<std::vector<Led>> led =
      {};  // sorted; left out once the peer has echoed this version
};

struct Echo {
  Incarnation incarnation = {};       // of the sender of the echo
  Incarnation beat_incarnation = {};  // of the beat
  BeatNumber number = {};
  uint64_t nonce = 0;
  uint64_t led_version =
      0;  // that this echo speaks of; 0: the list is not known, nothing is confirmed
  uint64_t support_epoch =
      0;  // raised before a vote above the term of a confirmed group is answered
  std::vector<GroupId> not_confirmed = {};  // sorted
};

using Packet = std::variant<Beat, Echo>;

constexpr uint8_t kBeatVersion = 3;
constexpr size_t kLedMax = 1 << 16;  // groups of one list

void encode(const Packet& packet, Buffer& out);
Result<Packet> decode_packet(std::string_view& bytes);

namespace in {
struct Timeout {};
// The connection of beats to the peer was made.
struct Connected {};
struct Closed {};
struct Receive {
  Packet packet = {};
};
// The list of what this node leads, as the peer is to see it; sorted, each group once.
struct LedChanged {
  std::vector<Led> led = {};
};
struct HealthChanged {
  Health health = {};
};
// A core wants a round (Output::round_wanted): a beat leaves in this step.
struct RoundWanted {};
// The answer to Output::judge: of these groups the core does not confirm() what the beat claims.
struct Judged {
  std::vector<GroupId> not_confirmed = {};
};
// A core no longer supports a leader on the peer (Output::support_withdrawn), or its replica is
// gone.
struct SupportWithdrawn {
  GroupId group = {};
};
}  // namespace in

using Input = std::variant<in::Timeout, in::Connected, in::Closed, in::Receive, in::LedChanged,
                           in::HealthChanged, in::RoundWanted, in::Judged, in::SupportWithdrawn>;

// The peer confirmed these leaderships for a beat.
struct Confirmed {
  BeatNumber beat = {};
  int64_t sent_us = 0;
  std::vector<Led> groups = {};   // LeadershipConfirmed, by the peer's replica of each
  std::vector<Led> refused = {};  // LeadershipRefused
};

struct Output {
  std::vector<Packet> send = {};  // in order, at once
  // The peer restarted: PeerRestarted for each group shared with it, before anything below.
  bool peer_restarted = false;
  std::optional<raft::Silence> silent =
      {};  // PeerSilent for each group that follows a leader there
  // A beat arrived.  Groups that follow a leader there and are not in peer_leads() get
  // PeerSilent{kLeadsNoLonger} (the core ignores it while it has heard the leader otherwise).
  bool heard = false;
  // Give LeaderHeard{received_us()} to the cores of these groups, ask confirms(), answer with
  // Judged: the echo leaves then.  Empty when all that the peer claims was judged before; the echo
  // is in `send`.
  std::vector<Led> judge = {};
  bool judge_wanted = false;
  std::optional<Confirmed> confirmed = {};
  void clear();
};

struct Options {
  NodeId self = {};
  NodeId peer = {};
  Incarnation incarnation = {};
  int64_t beat_us = 50'000;
  int64_t suspicion_us = 250'000;  // plus up to suspicion_spread_us by chance
  int64_t suspicion_spread_us = 50'000;
  // And twice as long as beats were late in the last seconds, which a busy machine or a bad network makes them, but no longer than this.
  int64_t patience_us_max = 250'000;
  // Whose own beat is so late stood still, and has not read yet what came meanwhile: it suspects nobody for `grace_us`, once in a
  // silence.
  int64_t standstill_us = 100'000;
  int64_t grace_us = 100'000;
};

// Numbers the beats of a node, over all its pairs: a read that is evaluated when `last` had been
// sent needs confirmations of greater numbers, whoever they come from.  Owned by the node, shared
// by its pairs.  So are the versions of lists and the support epochs that it has given out: a peer still knows those of a pair that was
// made anew in the same process, since the peer was no member for a moment, and what is said anew must not pass for what was said then.
struct BeatCounter {
  BeatNumber last = {};
  uint64_t led_version = 0;
  uint64_t support_epoch = 0;
};

// Owned by the node, one for each peer.  Calls: step* in time order.
// Invariants: 1 an echo confirms only groups that were judged, and whose support was not withdrawn
// since; 2 an echo counts only for the beat whose number and nonce it repeats, in both
// incarnations.
class Pair {
 public:
  // Requires: `counter` outlives the pair.
  Pair(const Options& options, BeatCounter& counter, uint64_t seed,
       const raft::Mistakes& mistakes = {});

  void step(Instant now, const Input& input, Output& out);
  // Timeout is wanted then.  An earlier one may let a beat leave that is nearly due.
  int64_t deadline() const;

  // When the newest beat of the peer arrived, INT64_MIN: never.  What LeaderHeard is told.
  int64_t received_us() const { return received_us_; }
  // Beats arrive, and the connection is open.
  bool peer_is_heard() const { return peer_is_heard_; }
  std::optional<Health> peer_health() const { return peer_health_; }
  Incarnation peer_incarnation() const { return peer_incarnation_; }
  // What the peer says it leads, sorted by group.
  std::span<const Led> peer_leads() const { return peer_led_; }
  // What it says of this group; null: it does not say that it leads it.  Valid until the next step.
  const Led* peer_leads(GroupId group) const;
  // Of peer_leads(), as the peer counts them; 0: it is not known.
  uint64_t peer_led_version() const { return peer_led_version_; }

 private:
  struct SentBeat {
    BeatNumber number = {};
    uint64_t nonce = 0;
    int64_t sent_us = 0;
    uint64_t led_version = 0;
  };
  struct LedVersion {
    uint64_t version = 0;
    std::vector<Led> led = {};
  };

  void on(const in::Timeout&, Output& out);
  void on(const in::Connected&, Output& out);
  void on(const in::Closed&, Output& out);
  void on(const in::Receive& input, Output& out);
  void on(const in::LedChanged& input, Output& out);
  void on(const in::HealthChanged& input, Output& out);
  void on(const in::RoundWanted&, Output& out);
  void on(const in::Judged& input, Output& out);
  void on(const in::SupportWithdrawn& input, Output& out);
  void send_beat(Output& out);
  void answer(Output& out);
  void send_echo(Output& out);
  // How much earlier or later than planned a beat may leave, so that it leaves together with others.
  int64_t slack_us() const { return options_.beat_us / 8; }
  void receive(const Beat& beat, Output& out);
  void note_lateness();
  void receive(const Echo& echo, Output& out);
  // False: the packet is of an older incarnation.
  bool take_incarnation(Incarnation incarnation, Output& out);

  Options options_;
  BeatCounter& counter_;
  raft::Mistakes mistakes_;
  Prng prng_;
  int64_t now_us_ = INT64_MIN;

  // This node's beats.
  Health health_;
  std::deque<LedVersion> led_;  // newest last; a few older ones for echoes on their way
  uint64_t peer_knows_version_ = 0;
  std::deque<SentBeat> sent_;
  int64_t next_beat_us_ = 0;
  bool is_connected_ = false;

  // The peer's beats.
  Incarnation peer_incarnation_;
  BeatNumber peer_beat_;  // newest received
  uint64_t peer_nonce_ = 0;
  std::optional<Health> peer_health_;
  std::vector<Led> peer_led_;
  uint64_t peer_led_version_ = 0;
  std::vector<GroupId> not_confirmed_;  // of peer_led_, sorted
  uint64_t judged_version_ = 0;         // of peer_led_, 0: not yet
  bool is_judging_ = false;             // Judged is awaited
  std::vector<GroupId> withdrawn_;      // since then
  uint64_t support_epoch_;
  uint64_t peer_support_epoch_ = 0;
  int64_t received_us_ = INT64_MIN;
  int64_t heard_since_us_ = kNever;     // the beat before, on this connection
  int64_t lateness_us_ = 0;             // of beats, the most; forgotten slowly
  int64_t suspect_at_us_ = kNever;
  bool has_grace_ = false;              // a beat came since this node stood still
  bool peer_is_heard_ = false;
};

}  // namespace quorate::beats
