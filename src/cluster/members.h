// What every node of a cluster knows and agrees on: members, the placement plan with its replica ids, cluster-wide settings.
// It is the state that the meta group replicates: deterministic commands in, facts out.  Not for who is alive (beats), nor
// for carrying the plan out (the node).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/link/frame.h"
#include "cluster/placement.h"
#include "cluster/raft/configuration.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

using placement::MemberState;
using placement::NodeId;

// Where a member is and what it can carry.
struct MemberRecord {
  NodeId id = 0;
  std::string host = {};       // as others reach it: address or name
  uint16_t port = 0;           // clients, always forwarding
  uint16_t cluster_port = 0;   // peers
  uint16_t client_port = 0;    // cluster-aware clients (cluster-client-port); 0: none
  uint16_t http_port = 0;
  std::string zone = {};
  uint32_t weight = placement::kWeightDefault;
  MemberState state = MemberState::kActive;
  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

// One copy of a partition in the plan.  The replica id is drawn when the plan first names the node for the partition and never
// given again (REPLICATION 6).
struct PlannedReplica {
  NodeId node = 0;
  uint64_t replica = 0;
  friend bool operator==(const PlannedReplica&, const PlannedReplica&) = default;
};
struct PlannedPartition {
  std::vector<PlannedReplica> replicas;  // the preferred leader first
  uint32_t voters = 0;                   // the first so many
  // All copies of before were given up: this one has begun the partition with nothing, and those that were drawn before it are no copies
  // any more.  0: that has not happened.
  uint64_t first_replica = 0;
  friend bool operator==(const PlannedPartition&, const PlannedPartition&) = default;
};

namespace meta {

// The cluster begins.  The first command of all.
struct Found {
  ClusterId cluster{};
  uint32_t partitions = 0;
  MemberRecord first;
  uint64_t hash_seed = 0;   // ClusterState::hash_seed()
};
// A new member, or one whose address, zone or weight changed.  A removed id never comes back.
struct Enrol {
  MemberRecord member;
};
// A new member in the place of one whose log is damaged, so that it never acts again: the old one is removed, whatever the plan says that it
// holds, and the plan names the new one where it named the old.  Refused where the old one may be the only one that holds what was
// acknowledged.  Once more it changes nothing.
struct Replace {
  NodeId former = 0;
  MemberRecord member;
};
struct SetState {
  NodeId node = 0;
  MemberState state = MemberState::kActive;
};
struct SetSetting {
  std::string name;
  std::string value;
};
// Several at once: all or none.
struct SetSettings {
  std::vector<SetSetting> all;
};
// Replaces the plan of all partitions.  Refused if `based_on` is not the version of the plan that it was made from: two
// proposals made at once do not overwrite each other.
struct SetPlan {
  uint64_t based_on = 0;
  placement::Plan plan;
};
// An operator has given these members up for good: they are removed, whatever they hold, and nobody waits for what only they have.
// Once more it changes nothing.
struct GiveUp {
  std::vector<NodeId> nodes;
  std::vector<uint32_t> empty = {};   // partitions of which nobody else has a copy, in order: they begin with nothing
};
// Whom the group's leader has not heard for node-dead-after, in the place of whom it had said before; who died first comes first.  Others get
// what they hold, until they are heard again.
struct SetDead {
  std::vector<NodeId> nodes;
};
// An operator has a partition's copy made at another node in the place of one, or another node lead it.
struct Move {
  uint32_t partition = 0;
  NodeId from = 0;   // 0: the copies stay, and `to`, which has one that votes, becomes the preferred leader
  NodeId to = 0;
};
// What operators have moved need not stay there.
struct Rebalance {};
using Command = std::variant<Found, Enrol, SetState, SetSetting, SetPlan, SetSettings, GiveUp, SetDead, Move, Rebalance, Replace>;

void encode(const Command& command, Buffer& out);
// Any bytes are allowed.
Result<Command> decode(std::string_view bytes);

}  // namespace meta

// Whose plan it is.
enum class PlanFit : uint8_t {
  kDue,     // members, weights, zones or replication-n have changed since it was made
  kMade,    // placement's, for the members that there are
  kByHand,  // operators have moved something since
  // Not known: the log may hold commands of a build whose members counted plans otherwise.  They are replayed as that build would until
  // meta::Rebalance, which no such build knows.
  kOfBefore,
};
// What appendonly (or not) and appendfsync (always, or not) mean together (REPLICATION 5).
raft::Durability mode_of(bool appends, bool syncs_always);
// The same by their texts.  Nothing: one of them is not said.
std::optional<raft::Durability> mode_of(std::string_view appendonly, std::string_view appendfsync);

// Invariants: 1. members() is sorted by id, ids are distinct; who was given up is removed, who is dead is not.  2. The plan has one entry a partition, names
// only members, and no replica id twice.  3. The same commands give the same state, byte for byte (encode()).
class ClusterState {
 public:
  static constexpr size_t kMembersMax = placement::kMembersMax;
  static constexpr size_t kSettingsMax = 1024;
  static constexpr size_t kTextMax = 4096;   // of a host, zone, name or value

  // An error changes nothing; it is the same on every replica.
  Status apply(const meta::Command& command);

  bool is_founded() const { return !members_.empty(); }
  const ClusterId& cluster() const { return cluster_; }
  // By which the tables of every node order keys and members: a place in the order of one is the same in that of another.  The founder's, for
  // good.  A secret of the nodes: clients that knew it could choose keys that collide.  0: a cluster of before; each node has one of its own.
  uint64_t hash_seed() const { return hash_seed_; }
  uint32_t partitions() const { return static_cast<uint32_t>(plan_.size()); }
  const std::vector<MemberRecord>& members() const { return members_; }
  // Null: never heard of.
  const MemberRecord* find(NodeId node) const;
  const std::vector<PlannedPartition>& plan() const { return plan_; }
  // Counts its changes, and how often it became due.
  uint64_t plan_version() const { return plan_version_; }
  // By hand it stays until REBALANCE, or until it is due by a change of members.
  PlanFit plan_fit() const { return plan_fit_; }
  // Whether another one may come in the place of this member (meta::Replace), as the plan is now: the error says why the member may be the
  // only one that holds what was acknowledged.
  Status may_replace(NodeId former) const;
  // The plan names this node.
  bool is_planned(NodeId node) const;
  // Members that were given up, by id (meta::GiveUp).
  const std::vector<NodeId>& given_up() const { return given_up_; }
  bool is_given_up(NodeId node) const;
  // All of these that are or were members.
  bool are_given_up(std::span<const NodeId> nodes) const;
  // Members that were silent for node-dead-after (meta::SetDead), who died first first.
  const std::vector<NodeId>& dead() const { return dead_; }
  bool is_dead(NodeId node) const;
  // Those of the dead that get nothing any more, others do in their place: as many as leave replication-n active ones.  Where fewer would be
  // left a voter stays, dead or not, and with it the quorums of what it votes in (REPLICATION 7).
  std::vector<NodeId> replaced() const;
  // Empty: not set.
  std::string_view setting(std::string_view name) const;
  // replication-n: how many copies are wanted; 3 if it is not set or no number.
  uint32_t replication() const;
  // commit-quorum: how many voters of a partition commit; where half of them (rounded up) are no more, that, and 0 says so: as it is if it
  // is not set, or no number.
  uint32_t commit_quorum() const;
  // appendonly and appendfsync: what it means in this cluster that something is stored (REPLICATION 5).  Nothing: a cluster of before, in which
  // nobody has said so; every node's own settings hold.
  std::optional<raft::Durability> mode() const { return mode_; }
  // Counts what mode() says anew, and leaps when members are given up.  0: it has said nothing yet.
  uint64_t mode_version() const { return mode_version_; }
  // state-check-seconds, in microseconds: in so long every partition's copies are compared once; 0: never, also if it is not set.
  int64_t state_check_us() const;
  // node-dead-after, in microseconds: who is silent for so long has its copies made elsewhere; ten minutes if it is not set, at least a
  // second; 0: never.
  int64_t dead_after_us() const;
  const std::map<std::string, std::string, std::less<>>& settings() const { return settings_; }

  // Proposals of a member are taken in their order, each once: whether this is the next of `origin`, and if so that it was taken.  Of others
  // none is.  (REPLICATION 8: contiguous, the leader accepts only the next.)
  bool take_next(NodeId origin, uint64_t incarnation, uint64_t token);
  // The last that was taken of this start of the member; 0: none.
  uint64_t last_taken(NodeId origin, uint64_t incarnation) const;

  // What placement::propose asks for, without its options.
  const std::vector<placement::Member>& placement_members() const { return placement_members_; }
  placement::Plan placement_plan() const;

  void encode(Buffer& out) const;
  static Result<ClusterState> decode(std::string_view bytes);

 private:
  Status found(const meta::Found& command);
  Status enrol(const meta::Enrol& command);
  Status replace(const meta::Replace& command);
  Status set_state(const meta::SetState& command);
  Status give_up(const meta::GiveUp& command);
  Status set_dead(const meta::SetDead& command);
  // Who was removed is not waited for.
  void bury_removed();
  void begin_anew(uint32_t partition);
  Status check_given_up() const;
  Status set_settings(std::span<const meta::SetSetting> settings);
  Status set_plan(const meta::SetPlan& command);
  Status take(const meta::Command& command);
  Status move(const meta::Move& command);
  Status check_target(NodeId node) const;
  bool plan_covers_members() const;
  size_t zones_of(const PlannedPartition& planned) const;
  Status rebalance();
  // Another one is to be made.  One of before stays that until it is rebalanced.
  void plan_is_due();
  std::vector<placement::Member> members_to_place() const;
  Status check_plan() const;

  ClusterId cluster_{};
  uint64_t hash_seed_ = 0;
  std::vector<MemberRecord> members_;
  std::vector<NodeId> given_up_;
  std::vector<NodeId> dead_;
  std::vector<PlannedPartition> plan_;
  uint64_t plan_version_ = 0;
  PlanFit plan_fit_ = PlanFit::kMade;
  uint64_t next_replica_ = 1;
  std::vector<placement::Member> placement_members_;   // follows from the members; as the last command has left it
  struct Taken {
    uint64_t incarnation = 0;
    uint64_t token = 0;
  };
  std::map<NodeId, Taken> taken_;   // of members: the last
  std::map<std::string, std::string, std::less<>> settings_;
  std::optional<raft::Durability> mode_;   // follows from settings_
  uint64_t mode_version_ = 0;
};

// The 40 hexadecimal digits by which Redis' cluster commands name a node; the first 16 are the id.
std::string node_name(NodeId node);
// Nothing for what is no such name.
std::optional<NodeId> node_by_name(std::string_view name);

}  // namespace quorate
