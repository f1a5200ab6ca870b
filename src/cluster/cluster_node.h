// One node of a cluster: founding and joining, the connections with the other members, its replicas.  Alone it does nothing until the first
// other node knocks.  Pure: the node (src/node) and the simulator drive it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/dead_members.h"
#include "cluster/group_record.h"
#include "cluster/groups.h"
#include "cluster/members.h"
#include "cluster/meta_group.h"
#include "cluster/partitions.h"
#include "cluster/peers.h"
#include "cluster/refusal_notes.h"
#include "cluster/start_watch.h"
#include "cluster/unsafe_recovery.h"
#include "util/prng.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

// Where a node stands.
enum class Membership : uint8_t {
  kAlone,    // a cluster of one that has no groups yet
  kJoining,  // looks for the cluster that it was told of
  kMember,
  kRefused,  // the cluster will not have it; refusal() says why
};

std::string_view name_of(Membership membership);

struct ClusterNodeOptions {
  MemberRecord own;                    // id and where others reach it
  uint64_t incarnation = 1;
  uint32_t partitions = 128;
  std::vector<PeerAddress> join = {};  // empty: alone until somebody comes
  // It joins in the place of this member, which never acts again: its log is damaged.  0: of none.
  NodeId in_place_of = 0;
  // As they are now: of this node, and of the cluster if it founds one.  Nothing: it has none.
  std::function<std::vector<meta::SetSetting>()> settings = {};
  uint64_t hash_seed = 0;              // of this node's tables, and of all nodes' if it founds a cluster; 0: it has none to tell
  uint64_t seed = 1;
  std::optional<Bytes32> secret = {};  // link_secret() of what the other nodes have to know; nothing: none
  Bytes32 nonce_key = {};              // NonceSource
  raft::Options group = {};
  raft::Mistakes mistakes = {};        // of tests
  int64_t knock_us = 500'000;          // how often a joining node asks again
  int64_t meta_transfer_us = 50'000;   // between two attempts to hand the meta group over, while the node should not lead
  int64_t plan_us = 200'000;           // between two looks at the plan on the leader of the meta group
  StateOptions states = {};
};

// What was on disk.
struct RestoredCluster {
  ClusterState state;   // what the base of the meta group stands for
  // Of all groups; the states of partitions are given to the data before the node starts.
  std::map<raft::GroupId, GroupRecovery::Found> groups = {};
};
// From the records of the log.  Nothing: the directory belongs to no cluster.
Result<std::optional<RestoredCluster>> restored_cluster(GroupRecovery& recovery, uint32_t partitions);

// What a snapshot of all data of a node says of its groups, so that the log before it may go.
struct Checkpoint {
  Buffer record;   // group_record.h; the bases are what the data hold
  // Leaders' data that are ahead of what is committed.
  struct Ahead {
    uint32_t partition = 0;
    raft::ReplicaId replica;
    raft::Term term;
    raft::Index index;
  };
  std::vector<Ahead> ahead;
};

// Instant::unix_ms is what the wall clock says, whatever that is: beats carry it.
//
// Owned by the node.  Calls: start; then inputs in time order; at the end of a turn work(), then the record is written, if there is one
// (has_record, begin_record; stored at once or later), flush(), and peers_output() is carried out.
class ClusterNode final : private GroupsClient {
 public:
  // `data` is what the replicas of partitions hold.
  ClusterNode(const ClusterNodeOptions& options, PartitionData& data);
  ~ClusterNode() override;

  // Requires: `restored` is given if the directory belongs to a cluster.
  void start(Instant now, std::optional<RestoredCluster> restored);

  // ---- inputs: connections (cluster/peers.h), time, the disk -----------------------------------------------
  ConnectionId accepted(Instant now, const PeerAddress& from) { return peers_.accepted(now, from); }
  void dialled(Instant now, ConnectionId connection) { peers_.dialled(now, connection); }
  void closed(Instant now, ConnectionId connection) { peers_.closed(now, connection); }
  // What it brings is dealt with by take_messages(), or work() at the latest.
  void received(Instant now, ConnectionId connection, std::string_view bytes) { peers_.received(now, connection, bytes); }
  void take_messages(Instant now);
  void stored(Instant now, uint64_t record) { groups_.stored(now, record); }
  void tick(Instant now);
  int64_t deadline() const;

  // ---- outputs ----------------------------------------------------------------------------------------
  // Everything that is to be done before the turn's record is made.
  void work(Instant now);
  bool has_record() const;
  // Appends what the record `record` of the log must hold, perhaps nothing; says whether it must be synced before it counts as stored,
  // whatever the mode: terms, votes, replicas, and the meta group's log, which so never forgets.
  enum class RecordNeeds : uint8_t { kMode, kSync };
  RecordNeeds begin_record(uint64_t record, Buffer& out, Keeping keeping = Keeping::kAll);
  // Puts what may leave on the links, what waited for a record that is stored included.
  void flush(Instant now);
  // Of the data as they are now.  Nothing: some replica's data do not stand for its log now; try again later.
  std::optional<Checkpoint> checkpoint(Keeping keeping = Keeping::kAll) const;
  // May a snapshot count (REPLICATION 3)?  kNo: what it holds may have been lost.
  enum class Verdict : uint8_t { kYes, kNotYet, kNo };
  Verdict may_count(const Checkpoint& checkpoint) const;
  // Why checkpoint() gives nothing, or one that cannot count, by partition.
  struct HeldUp {
    uint32_t partition = 0;
    Obstacle by = Obstacle::kNotCommitted;
  };
  std::vector<HeldUp> held_up(Keeping keeping) const;
  // Why may_count() does not say kYes.
  std::vector<HeldUp> held_up(const Checkpoint& checkpoint) const;
  // work() and flush(): for a turn whose record is stored later.
  void end_turn(Instant now) {
    work(now);
    flush(now);
  }
  PeersOutput& peers_output() { return peers_.output(); }
  Outgoing& output_of(ConnectionId connection) { return peers_.output_of(connection); }
  // Messages that are the node's own (kinds from kFirstOfOwner on) of members.  An error: they cannot be read, the link is refused.
  static constexpr uint64_t kFirstOfOwner = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 16;
  using OnMessage = std::function<Status(NodeId from, uint64_t kind, std::string_view bytes)>;
  void set_on_message(OnMessage on_message) { on_message_ = std::move(on_message); }
  // A connection with another node is there, or lost with what was on its way.
  enum class LinkChange : uint8_t { kUp, kDown };
  using OnLink = std::function<void(NodeId node, PeerLane lane, LinkChange change)>;
  void set_on_link(OnLink on_link) { on_link_ = std::move(on_link); }

  // ---- facts and wishes -----------------------------------------------------------------------------------
  Membership membership() const { return membership_; }
  std::string_view refusal() const { return refusal_; }
  // kRefused, since the members have removed it.
  bool was_removed() const;
  const MemberRecord& own() const { return options_.own; }
  const ClusterState& state() const { return meta_.state(); }
  MetaGroup& meta() { return meta_; }
  Partitions& partitions() { return partitions_; }
  const Partitions& partitions() const { return partitions_; }
  Groups& groups() { return groups_; }
  const Groups& groups() const { return groups_; }
  Peers& peers() { return peers_; }
  const Peers& peers() const { return peers_; }
  // ---- what an operator wants ------------------------------------------------------------------------------
  // Looks for a cluster at this address and joins it.  What the node holds is lost then.
  // Requires: may_join().
  void join(Instant now, const PeerAddress& address);
  // Nobody has let it in anywhere.  Who comes in the place of a member belongs to that one's cluster and no other.
  bool may_join() const {
    return membership_ == Membership::kAlone || (membership_ == Membership::kJoining && options_.in_place_of == 0);
  }
  // Whom it asks to be let in, for people.
  std::string_view seed_names() const { return seed_names_; }
  // Proposes a command; take_outcomes() tells what has become of it, sooner or later.  0: too many wait.
  // Requires: membership() == kMember.
  ProposalToken propose(const meta::Command& command);
  // Goes on without these members, that are lost for good, though that may lose what was acknowledged.  An error says why it must not be;
  // else take_outcomes() tells what has become of it, before `until_us`; nothing is decided later unless it was being decided then, and then
  // it tells nothing.  Requires: membership() == kMember.
  Result<ProposalToken> recover_without(Instant now, std::vector<NodeId> nodes, WithoutCopies without_copies, int64_t until_us);
  // Whoever asked for recover_without() waits no more: it ends, unless it is decided already.  Of another token: nothing.
  void forget_recovery(ProposalToken token);
  // Of propose() and recover_without(), since the last call.
  std::vector<MetaGroup::Outcome> take_outcomes() { return std::exchange(outcomes_, {}); }
  // Asks the leaders of all partitions of which this node has a voter to hand them over to it.  How many were asked.
  size_t take_over(Instant now) { return partitions_.take_over(now, peers_); }
  // What the others are told of this node.  While it is not as it should be, what is led here goes to nodes that are fit; one that drains is
  // going to end, and takes no leadership any more.
  void set_health(Instant now, const beats::Health& health);
  // What it means that something is stored here, for all groups; the others are told.
  void set_kept_mode(Instant now, raft::Durability kept);
  // Groups whose leadership this node still has to hand over (Partitions::count_to_hand_over), the members' own included.  While it drains
  // they become fewer.
  size_t count_to_hand_over() const;
  // This node is in another zone, or is to have another share: the members hear of it.
  void set_own_share(std::string_view zone, uint32_t weight);
  // All members look again whether the plan fits them, and hand over to preferred leaders without waiting.
  void rebalance();

  // Facts and decisions since the last call, for the log.
  std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

 private:
  static constexpr auto kJoin = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 2;
  static constexpr auto kWelcome = kJoin + 1;
  static constexpr auto kNotWelcome = kJoin + 2;
  static constexpr auto kRebalance = Partitions::kTakeOver + 1;
  // Names for what recover_without() has begun: those of proposals stay below.
  static constexpr ProposalToken kRecoveries = ProposalToken{1} << 63;
  // A guest that waits for the outcome of its enrolment.
  struct Knock {
    ConnectionId connection = 0;
    NodeId node = 0;
    ProposalToken token = 0;
  };

  void on_role(raft::GroupId group, const raft::RoleState& role) override;
  void on_truncated(raft::GroupId group, std::span<const raft::Entry> entries, Lost lost) override;
  void on_install(raft::GroupId group, const raft::SnapshotMark& mark) override;
  void on_commit(raft::GroupId group, raft::Index commit) override;
  void on_read(raft::GroupId group, raft::ReadToken token, raft::ReadVerdict verdict) override;
  void on_snapshot_wanted(raft::GroupId group, const raft::Member& to) override;
  void on_configuration(raft::GroupId group) override;
  void on_copies(raft::GroupId group) override;
  void on_fact(raft::GroupId group, std::string_view fact) override;
  void on_failure(raft::GroupId group, const raft::Failure& failure) override;

  Verdict may_count(const Checkpoint::Ahead& ahead) const;
  bool is_meta(raft::GroupId group) const { return group == meta_.group(); }
  void become_member(const ClusterId& cluster);
  void found(Instant now);
  void knock(Instant now);
  void take_events(Instant now);
  void tell_link(const PeerEvent& event);
  Status take_message(Instant now, const Peers::Incoming& incoming);
  Status on_join(Instant now, const Peers::Incoming& incoming);
  Status on_welcome(Instant now, const Peers::Incoming& incoming);
  void take_meta_outcomes();
  void answer_knock(const MetaGroup::Outcome& outcome);
  bool is_alive_beside(Instant now, NodeId node);
  Status may_be_replaced(NodeId former) const;
  void decide_place(Instant now, const meta::Replace& replace, Link* guest);
  void call_at(Instant now, NodeId node, const PeerAddress& address);
  void forget_moved(Instant now);
  void take_recovery_outcome();
  void note_given_up();
  void look_at_balance();
  void add_seed(Instant now, const PeerAddress& address);
  void leave_seeds();
  bool leads_meta_for_others() const;
  void hand_over_meta(Instant now);
  bool is_known_as_it_is() const;
  bool is_looking() const;
  bool has_arrived() const;
  void tell_address();
  void complain_of_silence(Instant now);
  void turn_away(const PeerEvent& event);
  Status on_not_welcome(const Peers::Incoming& incoming);
  void follow_members(Instant now);
  bool keep_unborn(const placement::Plan& current, placement::Plan& plan) const;
  void look_at_dead(Instant now);
  void keep_plan(Instant now);
  void note(std::string line) { notes_.push_back(std::move(line)); }

  ClusterNodeOptions options_;   // only `own` changes
  Prng random_;
  Peers peers_;
  Groups groups_;
  MetaGroup meta_;
  Partitions partitions_;
  StartWatch start_watch_;
  UnsafeRecovery recovery_;
  ProposalToken recovery_token_ = kRecoveries;  // of the last recover_without()
  size_t given_up_told_ = 0;                    // members
  ProposalToken address_token_ = 0;  // of our record, proposed because it has changed
  ProposalToken plan_token_ = 0;   // of a plan that was proposed and is not decided
  uint64_t planned_version_ = 0;   // of the members that the plan is known to fit
  int64_t next_plan_us_ = INT64_MIN;
  DeadMembers dead_{options_.mistakes};
  int64_t next_dead_look_us_ = kNever;   // kNever: it did not lead the meta group when it looked last
  int64_t next_meta_transfer_us_ = INT64_MIN;  // while this node drains
  Membership membership_ = Membership::kAlone;
  std::string refusal_;
  bool has_seeds_ = false;
  std::vector<ConnectionId> seed_connections_;
  int64_t next_knock_us_ = kNever;
  std::string seed_names_;                 // whom it was told to join
  int64_t next_complaint_us_ = kNever;     // that nobody answers there
  int64_t next_replace_note_us_ = INT64_MIN;   // why somebody may not come in another's place
  std::vector<Knock> knocks_;
  struct Moved {
    PeerAddress from;   // as the members know it
    PeerAddress to;
    int64_t until_us = 0;
  };
  std::map<NodeId, Moved> moved_;   // members that were found elsewhere lately
  struct Doubt {
    int64_t since_us = 0;
    int64_t asked_us = 0;   // the last time
  };
  std::map<NodeId, Doubt> doubted_;   // members whose id another process has
  std::vector<ProposalToken> wishes_;             // of propose(), not decided
  std::vector<MetaGroup::Outcome> outcomes_;      // of propose(), not taken
  std::optional<uint64_t> followed_version_ = 0;   // nothing: to be followed again
  size_t followed_others_ = 0;
  OnMessage on_message_;
  OnLink on_link_;
  RefusalNotes refusal_notes_;
  std::vector<std::string> notes_;
};

}  // namespace quorate
