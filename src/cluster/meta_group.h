// This node's replica of the meta group: every member has one, so every member knows members, plan and settings.  Commands are proposed from
// any node and take effect when they are applied; who proposed learns the outcome from its own replica.  On the leader it also keeps the
// group's own configuration: some members vote, the others learn.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group_record.h"
#include "cluster/groups.h"
#include "cluster/members.h"
#include "cluster/peers.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

// The name by which a proposer knows its proposal; drawn by MetaGroup.
using ProposalToken = uint64_t;

struct MetaGroupOptions {
  NodeId self = 0;
  raft::Incarnation incarnation;
  uint32_t partitions = 0;
  int64_t repeat_us = 200'000;       // a proposal that is not applied by then is sent again
  size_t proposals_max = 1024;       // that wait here
  int64_t look_us = 50'000;          // between two looks at the group's configuration
  int64_t ask_us = 500'000;          // between two questions for the members, while no leader is heard
};

// Owned by ClusterNode, which passes on what Groups and links tell about the meta group.  Calls: begin or restore once; then events in any
// order, and work() before the turn ends.
// A proposal is sent until it is applied, and applied once: the state takes those of a member in their order (ClusterState::take_next).
class MetaGroup {
 public:
  // Messages of links that are for this class.
  static constexpr auto kProposal = static_cast<uint64_t>(PeerMessageKind::kOfNode);
  static constexpr auto kSnapshot = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 1;
  // Also between nodes that do not know each other as members, if they say that they are of one cluster.
  static constexpr auto kBook = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 80;

  MetaGroup(const MetaGroupOptions& options, Groups& groups);

  // What `state` will be if all of `tail`, which follows it in the log, is committed.
  static ClusterState state_behind(ClusterState state, std::span<const raft::Entry> tail);

  raft::GroupId group() const { return meta_group(options_.partitions); }
  // The replica's id is the node's: an id that was removed never comes back, so neither is used twice.
  raft::ReplicaId own_replica() const { return {options_.self}; }

  // The first member of a new cluster; `state` is founded.
  void begin(Instant now, ClusterState state);
  // A node that has just been let in, and was told `state`; the replica gets its own by snapshot.
  void begin_empty(Instant now, ClusterState state);
  // What was on disk.  `state` is what the base of `restored` stands for.
  void restore(Instant now, raft::Restored restored, ClusterState state);
  bool is_started() const { return groups_.find(group()) != nullptr; }

  // What the next record of the log must begin with (group_record.h); the caller resets it when that record is made.
  std::optional<GroupBase>& base_to_store() { return base_to_store_; }
  const std::optional<GroupBase>& base_to_store() const { return base_to_store_; }

  const ClusterState& state() const { return state_; }
  // state() and where the log stands that it stands for.  Nothing: the log does not know any more.  Requires: is_started().
  std::optional<GroupBase> base() const;
  // Whom to connect with: state(), but right after a start what the log says beyond what is known to be committed: without the others
  // nobody could tell what is.
  const ClusterState& address_book() const { return expected_ ? *expected_ : state_; }
  // The members of address_book().  Who was away while the group moved on, and hears none of those that lead it now, connects with whom
  // others have told it as well, and hears their beats.  Nobody is left out because of it.
  std::vector<MemberRecord> members_to_call() const;
  // state() is older than what this node knew before it was started, or before it got a state in the place of its log: nothing may be done by
  // it that was not done then.
  bool is_catching_up() const { return expected_.has_value() || behind_.has_value(); }
  // This node leads the group and is its only voter, and others are about to be voters, one of which could lead then.
  bool is_about_to_share_votes() const;
  // Grows with every change of members_to_call() and of state().
  uint64_t version() const { return version_; }

  // Asks for a command to be applied.  0: too many wait.  Requires: neither GiveUp nor SetDead.
  ProposalToken propose(const meta::Command& command);
  // GiveUp or SetDead on the leader, now or never: what was right a moment ago may not be when a proposal that waits is sent.  It is known to be decided when
  // state() says so; once more it does no harm.  Requires: may_decree().
  void decree(Instant now, const meta::Command& command);
  // This replica leads, and what it appends is committed without these nodes.
  bool may_decree(const std::vector<NodeId>& without) const;
  struct Outcome {
    ProposalToken token = 0;
    Status status;
    // False: it was taken, but this replica got its effect by a snapshot and cannot tell whether it was refused.
    bool is_known = true;
  };
  // Of proposals made here, in the order they were applied; the caller empties it.
  std::vector<Outcome>& outcomes() { return outcomes_; }

  // The group waits neither for those that state() has given up any more (raft::in::GiveUp), nor for those of `allowed`, if there is one:
  // whoever is elected without these has decided it.
  void give_up(Instant now, const std::optional<meta::GiveUp>& allowed);

  // ---- events -----------------------------------------------------------------------------------------
  void on_role() {
    repeat_now_ = true;
    next_look_us_ = 0;
  }
  void on_commit(raft::Index commit) { committed_ = commit; }
  void on_install(const raft::SnapshotMark& mark);
  void on_snapshot_wanted(const raft::Member& to) { snapshots_wanted_.push_back(to); }
  Status receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes);
  // Who sent a message of kBook.
  enum class BookSource : uint8_t {
    kMember,     // one of address_book(), or it was called where an operator told us to look
    kStranger,   // it says that it is of our cluster; its addresses never replace one that is known
  };
  // A message of kBook from that connection, whose link it is.
  Status receive_book(Instant now, ConnectionId from, BookSource source, std::string_view bytes, Link& link);

  // Applies what is committed, sends proposals and snapshots, keeps the configuration.
  void work(Instant now, Peers& peers);
  int64_t deadline() const;

 private:
  struct Proposal {
    ProposalToken token = 0;
    SharedBytes payload;
    int64_t sent_us = INT64_MIN;
  };
  struct ReceivedSnapshot {
    raft::Index last;
    raft::Term term;   // of who sends it
    ClusterState state;
  };

  struct Book {
    raft::Position at;    // where it was committed
    int64_t told_us = 0;
    ClusterState state;
  };
  struct Answered {
    ConnectionId connection = 0;
    int64_t until_us = 0;   // no other answer before that
  };

  struct Payload;
  static SharedBytes encode_payload(const Payload& payload);
  static bool decode_payload(std::string_view bytes, Payload& payload);
  static bool takes(ClusterState& state, const Payload& payload, const meta::Command& command);
  SharedBytes encode_decree(const meta::Command& command) const;
  void store_base(const raft::SnapshotMark& mark, const ClusterState& state);
  void apply_committed();
  void apply(const raft::Entry& entry);
  void expect(std::span<const raft::Entry> tail);
  void drop_taken_proposals();
  void send_proposals(Instant now, Peers& peers);
  // False: it cannot be sent now.
  bool send_snapshot(const raft::Member& to, Peers& peers);
  Status receive_snapshot(Instant now, NodeId from, std::string_view bytes);
  raft::Position applied_position() const;
  raft::Position position_of_book() const;
  void ask_for_book(Instant now, Peers& peers);
  void answer_book(Instant now, ConnectionId from, BookSource asker, const raft::Position& at, Link& link);
  void take_book(Instant now, BookSource source, const raft::Position& at, ClusterState state);
  void drop_old_books(Instant now);
  // Of its own accord: this replica leads, and no change is under way.
  bool may_change_configuration() const;
  void keep_configuration(Instant now);
  std::optional<raft::Configuration> wanted_configuration() const;
  std::vector<raft::Member> wanted_voters() const;
  bool is_given_up(NodeId node) const;

  const MetaGroupOptions options_;
  Groups& groups_;
  ClusterState state_;
  std::optional<ClusterState> expected_;   // state_ with the tail that the log had at the start; until what is left of that is applied
  raft::Index expected_index_;
  // What was known when a state came that is older: until that is applied again, or all that its leader was elected with.
  struct Behind {
    raft::Index index;
    raft::Term term;   // of the leader
  };
  std::optional<Behind> behind_;
  std::optional<Book> told_by_member_;     // newer than both
  std::optional<Book> told_by_stranger_;   // newer than all three
  bool hears_leader_ = true;
  std::optional<uint64_t> hears_leader_at_;   // Groups::leaders_version() when that was found
  int64_t next_ask_us_ = 0;                // while it hears none
  std::vector<ConnectionId> asked_;        // last time, and they have not answered yet
  std::vector<Answered> answered_;         // lately
  uint64_t version_ = 0;
  raft::Index applied_;
  raft::Index committed_;
  ProposalToken next_token_ = 1;
  std::deque<Proposal> proposals_;
  std::vector<Outcome> outcomes_;
  bool repeat_now_ = false;
  bool is_stuck_ = false;           // an entry cannot be read: this replica applies no more
  int64_t next_look_us_ = 0;
  std::vector<NodeId> given_up_;    // as the core was told last
  SharedBytes decree_;              // likewise
  std::vector<raft::Member> snapshots_wanted_;
  std::optional<ReceivedSnapshot> received_;
  std::optional<GroupBase> base_to_store_;
};

}  // namespace quorate
