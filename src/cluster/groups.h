// All replicas of one node: their cores, the beats with other nodes, and the messages between them.  It knows in which order what
// a step wants is carried out; what entries mean, where bytes are stored and when, is the node's.  Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cluster/beats.h"
#include "cluster/link/link.h"
#include "cluster/peers.h"
#include "cluster/raft/core.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

// Kinds of messages on links (PeerMessage::kind).
enum class PeerMessageKind : uint64_t {
  kRefusal = 0,  // Link's own
  kGroup = 1,    // raft::Message
  kBeat = 2,     // beats::Packet
  // From here on they are the node's: 16 to 31 are taken (MetaGroup, ClusterNode, Partitions, UnsafeRecovery), from 32 on
  // ClusterNode::kFirstOfOwner's.  The next one of members begins at 96, which ClusterNode must take before its owner does.
  kOfNode = 16,
};

// Is it one of these kinds, which follow one another?
template <class Kind>
constexpr bool is_kind(uint64_t kind, Kind first, Kind last) {
  return kind >= static_cast<uint64_t>(first) && kind <= static_cast<uint64_t>(last);
}

// Partitions are groups 1 to P; the meta group is P + 1.
constexpr raft::GroupId group_of_partition(uint32_t partition) { return {uint64_t{partition} + 1}; }
constexpr raft::GroupId meta_group(uint32_t partitions) { return {uint64_t{partitions} + 1}; }

// As the core names nodes.
std::vector<raft::NodeId> typed(std::span<const uint64_t> nodes);

// Can `member` vote as soon as it may?  On a leader: itself, or one that answers, takes entries as they come and is at most `behind_max`
// of them behind.  O(members).
bool is_ready_to_vote(const raft::Core& leader, const raft::Member& member, uint64_t behind_max);

// What a node is told while inputs are dealt with.  It notes what it has to do and does it before the turn ends: nothing that is sent
// meanwhile leaves before.  It must not call Groups from here.
class GroupsClient {
 public:
  virtual ~GroupsClient() = default;
  virtual void on_role(raft::GroupId group, const raft::RoleState& role) = 0;
  // The log lost its tail; `everything`: state and log are of a recovery epoch that lost.
  enum class Lost : uint8_t { kTail, kEverything };
  virtual void on_truncated(raft::GroupId group, std::span<const raft::Entry> entries, Lost lost) = 0;
  virtual void on_install(raft::GroupId group, const raft::SnapshotMark& mark) = 0;
  // The commit index has grown.  A follower's entries up to there are in its log; they may not be applied yet.
  virtual void on_commit(raft::GroupId group, raft::Index commit) = 0;
  virtual void on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) = 0;
  virtual void on_snapshot_wanted(raft::GroupId group, const raft::Member& to) = 0;
  virtual void on_configuration(raft::GroupId group) = 0;
  // On a leader: copies() may be others than before.
  virtual void on_copies(raft::GroupId group) = 0;
  // "fact -> decision", for the log.
  virtual void on_fact(raft::GroupId group, std::string_view fact) = 0;
  // The replica has stopped: a contradiction from outside (REPLICATION 8).
  virtual void on_failure(raft::GroupId group, const raft::Failure& failure) = 0;
};

struct GroupsOptions {
  raft::NodeId self;
  raft::Incarnation incarnation;
  uint32_t partitions = 128;
  raft::Options group;            // what all groups share; group and self are filled in
  int64_t beat_us = 50'000;
  uint64_t seed = 1;
  raft::Mistakes mistakes = {};   // of tests
};

// One durable write of one group, in the order they must be carried out.
struct GroupWrite {
  raft::GroupId group;
  raft::DurableWrite write;
};

// One a shard.  Calls: inputs in time order (step, peer_event, receive, tick); at the end of a turn end_turn(), then
// take_writes() if there are writes, each later reported by stored(), in order.
// Invariant: a message that waits for a write leaves only after stored() of it and of all before it.
class Groups {
 public:
  Groups(const GroupsOptions& options, GroupsClient& client);
  ~Groups();

  // ---- replicas -----------------------------------------------------------------------------------------
  // Requires: there is none of this group.
  void add(Instant now, raft::GroupId group, raft::ReplicaId replica, raft::Restored restored);
  // Forgets it; what it has on its way is dropped.
  void remove(Instant now, raft::GroupId group);
  // Null: none here.
  raft::Core* find(raft::GroupId group) const;
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& slot : slots_) {
      if (slot != nullptr) visit(slot->group, slot->core);
    }
  }

  // ---- inputs -------------------------------------------------------------------------------------------
  // Requires: find(group) != nullptr.
  void step(Instant now, raft::GroupId group, const raft::Input& input);
  // Requires: event.is_line.
  void peer_event(Instant now, const PeerEvent& event);
  // A message of kind kGroup or kBeat.  kCorrupt: it cannot be read; the link should be refused.
  Status receive(Instant now, raft::NodeId from, PeerMessageKind kind, std::string_view bytes);
  void set_members(Instant now, std::span<const raft::NodeId> others);
  // What the others are told of this node.  While it drains it refuses leaderships.
  void set_health(Instant now, const beats::Health& health);
  const beats::Health& health() const { return health_; }
  // Beats of another node arrive.
  bool hears(raft::NodeId node) const;
  // How that one is, as it says.  Nothing: it is not heard.
  std::optional<beats::Health> health_of(raft::NodeId node) const;
  // What it means that something is stored there, or here, in every group (beats::Health).  Nothing: the node is not heard.
  std::optional<raft::Durability> kept_by(raft::NodeId node) const;
  // By its health this node should lead nothing that another can lead.
  bool should_not_lead() const { return !health_.may_lead(); }
  // What the wall clocks say now: this node's (now.unix_ms) and those of the nodes that are heard.
  struct WallClocks {
    int64_t median_ms = 0;   // of an even number the lower one in the middle
    size_t count = 0;        // at least 1
  };
  WallClocks wall_clocks(Instant now) const;
  void tick(Instant now);
  int64_t deadline() const;

  // ---- the end of a turn -------------------------------------------------------------------------------
  // Puts what may leave on the links, and asks for rounds that reads wait for.
  void end_turn(Instant now, Peers& peers);
  bool has_writes() const { return !writes_.empty(); }
  // Everything to be made durable, as one record of the log.  `record` is the node's number for it, larger than the one before.
  const std::vector<GroupWrite>& begin_record(uint64_t record);
  // Records up to `record` are stored in the groups' mode, and synced where they hold a hard state.
  void stored(Instant now, uint64_t record);

  // The node that leads the group, as far as is known here: whom this node's replica follows (or this node); else who says so with
  // beats that are heard, the newest term counts.  Nothing: nobody is known to lead it.  O(nodes) where there is no replica.
  std::optional<raft::NodeId> known_leader(raft::GroupId group) const;
  // Changes whenever known_leader() of any group may.
  uint64_t leaders_version() const { return leaders_version_; }

  // ---- handing leadership over.  Requires: this node leads the group ---------------------------------
  // Is there another voter that lives and does not drain?
  bool has_successor(raft::GroupId group) const;
  // Once it votes, `member` could lead at once: it has what `leader`, of this node, has, keeps it as the group wants it, and does not drain.
  bool could_succeed(const raft::Core& leader, const raft::Member& member, uint64_t behind_max) const;
  // Is it, as far as this node knows, impossible for whoever leads the group elsewhere to commit without this node: because voters are
  // being changed, and of those of before nobody else is enough?  Requires: this node has a replica.
  bool is_waited_for(raft::GroupId group) const;
  // Begins a transfer to a voter that can take over at once; one that is fit, unless this node drains and nobody is.  Before all others come
  // those with which none has failed in this term, then the one with which that is longest ago; of these the nodes of `wished`, of which who
  // has all that is committed, and in their order; or else any.  False: there is none, or a transfer is under way.
  bool hand_over(Instant now, raft::GroupId group, std::span<const raft::NodeId> wished);
  // The same to this node alone, if it is fit.
  bool hand_over_to(Instant now, raft::GroupId group, raft::NodeId to);

  // The last beat or round that left: what a read barrier needs confirmations behind of.
  raft::BeatNumber last_beat() const { return beat_counter_.last; }
  const beats::Pair* pair(raft::NodeId node) const;
  uint64_t messages_dropped() const { return messages_dropped_; }
  // An acknowledgement to that node waits until what it says is kept as the group wants it.
  bool holds_back(raft::GroupId group, raft::NodeId to) const;

  // How much of its log each group keeps in memory for followers, the meta group excepted.
  void set_window(size_t bytes_max);
  // What all of them keep, as util/memory.h counts it or a little less.  O(groups).
  size_t log_bytes() const;

 private:
  struct Slot {
    Slot(raft::GroupId group_in, const raft::Options& options, raft::Restored restored, uint64_t seed, const raft::Mistakes& mistakes)
        : group(group_in), core(options, std::move(restored), seed, mistakes) {}
    const raft::GroupId group;
    raft::Core core;
    raft::Index commit_told;
    int64_t deadline_us = kNever;     // of the core since its last step
  };
  struct PairSlot {
    PairSlot(const beats::Options& options, beats::BeatCounter& counter, uint64_t seed, const raft::Mistakes& mistakes)
        : pair(options, counter, seed, mistakes) {}
    beats::Pair pair;
    std::vector<beats::Packet> to_send;
    std::vector<beats::Led> led;      // as told last
    std::optional<uint64_t> all_listed_at;   // leaders_version_ at which its list had all whom cores follow there
  };
  struct PendingRecord {
    uint64_t record = 0;
    std::vector<GroupWrite> writes;
  };
  // Those that a turn has asked for.
  struct KnownLink {
    raft::NodeId node;
    Link* link = nullptr;
  };

  // How well a member could lead.
  enum class Successor : uint8_t {
    kNo,       // it is this one or no voter, or not heard, or about to end
    kNotYet,   // its log is behind, or not kept as the group wants it, or a transfer is under way
    kAtNeed,   // its disk or clock is bad
    kAtOnce,
  };
  Successor successor(const raft::Core& leader, const raft::Progress& progress) const;
  int64_t pairs_deadline() const;
  int64_t cores_deadline() const;
  void set_deadline(Slot& slot, int64_t deadline_us);
  void run(Instant now, Slot& slot, const raft::Input& input);
  void add_write(raft::GroupId group, raft::DurableWrite& write);
  void keep_room_of(raft::DurableWrite& write);
  void carry_out(Instant now, Slot& slot, raft::Output& output);
  void silence(Instant now, raft::NodeId node);
  void step_pair(Instant now, raft::NodeId node, PairSlot& slot, const beats::Input& input);
  void tell_heard(Instant now, raft::NodeId node, PairSlot& slot);
  void judge(Instant now, raft::NodeId node, PairSlot& slot);
  void tell_confirmed(Instant now, raft::NodeId node, const beats::Confirmed& confirmed);
  Status receive_message(Instant now, raft::NodeId from, std::string_view bytes);
  Status receive_packet(Instant now, raft::NodeId from, std::string_view bytes);
  void tell_led(Instant now);
  void hold_back(raft::Message message);
  void release_held();
  template <class Concerns>
  void step_all(Instant now, const raft::Input& input, Concerns&& concerns);

  const GroupsOptions options_;
  GroupsClient& client_;
  Prng random_;
  beats::BeatCounter beat_counter_;
  std::vector<std::unique_ptr<Slot>> slots_;    // by group
  // The least deadline of all slots; nothing: to be looked for.  It is asked for each turn, and few steps change it.
  mutable std::optional<int64_t> cores_deadline_us_;
  std::map<raft::NodeId, std::unique_ptr<PairSlot>> pairs_;
  beats::Health health_;
  bool led_is_stale_ = false;
  uint64_t leaders_version_ = 0;
  bool round_wanted_ = false;
  std::deque<raft::Output> outputs_;            // of the steps under way, the outermost first; reused
  size_t steps_under_way_ = 0;
  std::vector<raft::Message> to_send_;
  // Acknowledgements of what is not kept yet as its group wants it; the newest of a group to a member.  Only set_health() makes them true,
  // and that in a turn that ends: so nobody is woken up for them.
  std::vector<raft::Message> held_;
  std::vector<GroupWrite> writes_;
  std::deque<PendingRecord> pending_;
  // Writes and records that are done with: empty vectors with room, so that a step allocates none.
  static constexpr size_t kSpareWritesMax = 256;
  static constexpr size_t kSpareRecordsMax = 4;
  static constexpr size_t kSpareRoomMax = 64;
  std::vector<raft::DurableWrite> spare_writes_;
  std::vector<std::vector<GroupWrite>> spare_records_;
  uint64_t messages_dropped_ = 0;
  size_t window_bytes_max_ = 0;                 // of groups that are added
};

}  // namespace quorate
