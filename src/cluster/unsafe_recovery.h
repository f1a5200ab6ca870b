// Going on without members that an operator gives up for good, though too few are left to elect leaders (docs/CLUSTER.md, "Without
// nodes that are lost for good").  The node that is asked finds out whether that may be; the meta group, if it has lost its quorum
// itself, goes on with the members that are left, whose votes decide that the others are given up.  What follows for partitions is theirs
// (partitions.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/groups.h"
#include "cluster/meta_group.h"
#include "cluster/peers.h"
#include "util/result.h"
#include "util/time.h"

namespace quorate {

struct UnsafeRecoveryOptions {
  NodeId self = 0;
  uint32_t partitions = 0;
  uint64_t nonce = 1;                  // the first; one that no earlier start has used
  int64_t answer_us = 2'000'000;       // the others answer by then
  int64_t look_us = 20'000;            // between two looks at who leads the members
  int64_t repeat_us = 200'000;         // then the leader is asked again to decide
  int64_t allowed_us_max = 60'000'000; // whatever the node that was asked says
};

// What becomes of partitions of which only members that are given up have copies.
enum class WithoutCopies : uint8_t { kRefuse, kBeginEmpty };

// One a node; owned by ClusterNode.  Calls: inputs in any order, work() before the turn ends.
// Invariants: 1. The meta group's replica here waits for every member, except for those that the members have given up, and while an operator
// waits who has named them, for those; at once for all of these again when one of them is heard.  2. The node that was asked is one of those
// without whose vote the meta group does not go on: where it waits for all again, nothing more can be decided.
class UnsafeRecovery {
 public:
  static constexpr auto kKind = static_cast<uint64_t>(PeerMessageKind::kOfNode) + 15;

  UnsafeRecovery(const UnsafeRecoveryOptions& options, Groups& groups, MetaGroup& meta)
      : options_(options), groups_(groups), meta_(meta), next_nonce_(options.nonce) {}

  // An operator has asked this node, and waits until then; whatever is not decided by then is dropped.  An error says why it must not be.
  // Requires: this node is a member.
  Status begin(Instant now, std::vector<NodeId> nodes, WithoutCopies without_copies, int64_t until_us, Peers& peers);
  // What has become of begin(), once: done, or why it was refused, and then nothing is given up.  Nothing at all if nobody knows.
  std::optional<Status> take_outcome() { return std::exchange(outcome_, std::nullopt); }
  bool is_under_way() const { return attempt_.has_value(); }
  // The operator waits no more.
  void stop() { drop(); }
  // A message of kKind.
  Status receive(Instant now, NodeId from, std::string_view bytes, Peers& peers);
  void work(Instant now, Peers& peers);
  int64_t deadline() const;

 private:
  // Of a group: voters that are left and may not vote as they are, and how many an election can do without.
  struct Mutes {
    uint32_t count = 0;
    uint32_t spare = raft::kMembersMax;
    bool are_too_many() const { return count > spare; }
  };
  // What an operator has asked for, until it is decided.
  struct Attempt {
    std::vector<NodeId> nodes;
    WithoutCopies without_copies = WithoutCopies::kRefuse;
    uint64_t nonce = 0;
    int64_t until_us = 0;
    int64_t answer_until_us = 0;
    // While the others are asked.
    std::vector<NodeId> missing;         // have not answered
    bool is_needed = false;              // somebody has a group that cannot elect without them
    std::vector<bool> has_copy;          // by partition: somebody who is left has one
    std::map<raft::GroupId, Mutes> mutes;
    // From then on.
    bool is_agreed = false;
    meta::GiveUp command;
    bool is_allowed = false;             // the meta group goes on without them: votes may decide it at any moment
    int64_t next_ask_us = INT64_MIN;
    uint32_t asked = 0;                  // how often a leader was asked to decide
    bool may_be_decided() const { return is_allowed || asked != 0; }
  };
  // What one of those that are left says of itself.
  struct Answer {
    raft::Position newest;               // configuration of the meta group
    bool is_needed = false;
    std::vector<uint32_t> copies;        // partitions
    // Its copies that may not vote as they are, in groups of which enough voters are left, and how many of those an election can do without.
    struct Mute {
      raft::GroupId group;
      uint32_t spare = 0;
    };
    std::vector<Mute> mutes = {};
  };

  bool is_heard(NodeId node) const;
  // Why these cannot be given up, as far as this node knows.
  Status check_silent(const std::vector<NodeId>& nodes) const;
  Status check_rest(const std::vector<NodeId>& nodes) const;
  // What stands in the way of going on in groups that this node has copies of.
  Status check_own_groups(const std::vector<NodeId>& nodes) const;
  Answer own_answer(const std::vector<NodeId>& nodes) const;
  std::vector<NodeId> others_without(const std::vector<NodeId>& nodes) const;
  void end(Status outcome);
  void drop();
  void refuse(Status why);
  void count(const Answer& answer);
  Status take_answer(NodeId from, std::string_view bytes);
  Status take_refusal(std::string_view bytes);
  Status answer_question(NodeId from, std::string_view bytes, Peers& peers);
  Status take_permission(Instant now, std::string_view bytes);
  Status take_request(Instant now, NodeId from, std::string_view bytes, Peers& peers);
  Status decide(Instant now, NodeId from, uint64_t nonce, const meta::GiveUp& command);
  void go_on(Instant now, Peers& peers);
  void agree(Instant now, Peers& peers);
  bool votes_decide() const;
  void ask_leader(Instant now, Peers& peers);
  void send_to_rest(std::string_view bytes, Peers& peers);
  void allow(meta::GiveUp named, int64_t until_us);

  const UnsafeRecoveryOptions options_;
  Groups& groups_;
  MetaGroup& meta_;
  uint64_t next_nonce_;
  std::optional<Attempt> attempt_;
  std::optional<Status> outcome_;
  std::optional<meta::GiveUp> allowed_;  // an operator has named them, and until then they are not waited for
  int64_t allowed_until_us_ = kNever;
  // What this node has decreed last, and in which term: who asked may ask again.
  struct Decreed {
    NodeId from = 0;
    uint64_t nonce = 0;
    raft::Term term;
  };
  Decreed decreed_;
};

}  // namespace quorate
