// From a partition's configuration to the plan, step by step: who learns, who votes, who leads, who goes.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/partitions_parts.h"
#include "util/varint.h"

namespace quorate {

namespace {

using partitions_parts::damaged;
using partitions_parts::leads;

// How far behind a learner may be when it is made a voter.
constexpr uint64_t kCaughtUpWithin = 64;

std::vector<raft::NodeId> nodes_of(const PlannedPartition& planned) {
  std::vector<raft::NodeId> nodes;
  for (const PlannedReplica& each : planned.replicas) nodes.push_back({each.node});
  return nodes;
}

// 0: as usual.  More than that would leave room for two leaders.
uint32_t lower_commit_quorum(size_t voters, uint32_t wanted) {
  const uint32_t usual = raft::quorums_of(voters, 0).value().commit;
  return wanted < usual ? wanted : 0;
}

}  // namespace

// All that the plan wants, in its order, as far as that is known now.  A node that left the plan and came back before its replica had gone is
// taken with the replica that it has, unless that was a learner and the node says that it has a newer one.
raft::Configuration Partitions::planned_configuration(const raft::Core& own, const PlannedPartition& planned) const {
  const raft::Configuration& current = own.configuration();
  const std::map<NodeId, raft::ReplicaId>& newer = replicas_[partition_of(own.options().group)].newer;
  const auto has_gone = [&](const raft::Member& member) {
    const auto known = newer.find(member.node.value);
    return known != newer.end() && member.replica < known->second && !current.is_voter(member.replica);
  };
  const auto planned_member = [&](const PlannedReplica& each) {
    for (const raft::Member& member : current.members()) {
      if (member.node.value == each.node && !has_gone(member)) return member;
    }
    return raft::Member{.replica = {each.replica}, .node = {each.node}};
  };
  raft::Configuration target = current;
  target.incoming.voters.clear();
  target.learners.clear();
  for (size_t index = 0; index < planned.replicas.size(); ++index) {
    std::vector<raft::Member>& list = index < planned.voters ? target.incoming.voters : target.learners;
    list.push_back(planned_member(planned.replicas[index]));
  }
  target.incoming.commit_quorum = lower_commit_quorum(target.incoming.voters.size(), commit_quorum_);
  return target;
}

// Nobody is given votes who has not caught up, or is about to end.  Fewer or other voters must be able to go on by themselves.
bool Partitions::can_vote(const raft::Core& own, const std::vector<raft::Member>& voters) const {
  const std::vector<raft::Member>& current = own.configuration().incoming.voters;
  const bool are_fewer = voters.size() < current.size();
  return std::all_of(voters.begin(), voters.end(), [&](const raft::Member& member) {
    if (!are_fewer && own.configuration().incoming.has(member.replica)) return true;
    return member.node.value == options_.self || groups_.could_succeed(own, member, kCaughtUpWithin);
  });
}

// The next step from the configuration to the plan: first every planned replica learns, then, once those that shall vote have caught up, the
// voters change in one joint step, and who is not planned goes.
std::optional<raft::Configuration> Partitions::next_configuration(const raft::Core& own,
                                                                  const PlannedPartition& planned) const {
  const raft::Configuration& current = own.configuration();
  raft::Configuration target = planned_configuration(own, planned);
  if (!can_vote(own, target.incoming.voters)) {
    std::vector<raft::Member> learners;
    for (const std::vector<raft::Member>& list : {target.incoming.voters, target.learners}) {
      for (const raft::Member& member : list) {
        if (!current.incoming.has(member.replica)) learners.push_back(member);
      }
    }
    target.incoming = current.incoming;
    target.learners = std::move(learners);
  }
  set_mode(own, target);
  if (target == current) return std::nullopt;
  return target;
}

void Partitions::follow_plan(Instant now, uint32_t partition, const PlannedPartition& planned) {
  const raft::GroupId group = group_of_partition(partition);
  const raft::Core& own = *groups_.find(group);
  if (own.role_state().serving != raft::Serving::kYes || own.configuration().joint()) return;
  if (const auto target = next_configuration(own, planned)) {
    if (own.change_refusal(*target) == raft::ChangeRefusal::kNone) {
      groups_.step(now, group, raft::in::ChangeConfiguration{*target});
    }
    return;
  }
  hand_over(now, partition, planned);
}

void Partitions::prefer(uint32_t partition, NodeId node) {
  Replica& replica = replicas_[partition];
  const NodeId before = std::exchange(replica.preferred, node);
  if (before == 0 || before == node) return;
  replica.next_transfer_us = INT64_MIN;
  replica.transfer_wait_us = 0;
}

// To the preferred leader, if it can take over at once.  One that does not is asked less and less often.
void Partitions::hand_over(Instant now, uint32_t partition, const PlannedPartition& planned) {
  Replica& replica = replicas_[partition];
  const NodeId preferred = planned.replicas.front().node;
  if (preferred == options_.self || now.steady_us < replica.next_transfer_us) return;
  if (!groups_.hand_over_to(now, group_of_partition(partition), {preferred})) return;
  replica.transfer_wait_us = replica.transfer_wait_us == 0 ? options_.transfer_us
                                                           : std::min(replica.transfer_wait_us * 2, options_.transfer_us_max);
  replica.next_transfer_us = now.steady_us + replica.transfer_wait_us;
}

// To the first in the plan's order that can lead at once: so what this node has led is spread over the others.
bool Partitions::leave(Instant now, uint32_t partition, const PlannedPartition& planned) {
  Replica& replica = replicas_[partition];
  if (core(partition)->role_state().serving != raft::Serving::kYes) return true;
  // Only for its own last attempt: not for the minute of CLUSTER FAILOVER, nor for the next time at which a preferred leader is asked.
  const int64_t wait_us = replica.next_transfer_us - std::min(now.steady_us, replica.next_transfer_us);
  if (wait_us > 0 && wait_us <= options_.draining_transfer_us) return true;
  if (!groups_.hand_over(now, group_of_partition(partition), nodes_of(planned))) return false;
  replica.next_transfer_us = now.steady_us + options_.draining_transfer_us;
  return true;
}

bool Partitions::is_about_to_share_votes(uint32_t partition, const PlannedPartition& planned) const {
  const raft::Core& own = *core(partition);
  if (!leads(own) || own.configuration().incoming.voters.size() != 1 || own.configuration().joint()) return false;
  const auto next = next_configuration(own, planned);
  if (!next) return false;
  const std::vector<raft::Member>& voters = next->incoming.voters;
  return voters.size() > 1 && std::any_of(voters.begin(), voters.end(), [&](const raft::Member& each) {
    return groups_.could_succeed(own, each, kCaughtUpWithin);
  });
}

size_t Partitions::count_to_hand_over() const {
  size_t count = 0;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const raft::Core* const own = core(partition);
    if (own == nullptr) continue;
    const raft::GroupId group = group_of_partition(partition);
    const bool is_open = leads(*own) ? groups_.has_successor(group) || replicas_[partition].shares_votes_next : groups_.is_waited_for(group);
    if (is_open) ++count;
  }
  return count;
}

void Partitions::hand_over_soon() {
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    replicas_[partition].next_transfer_us = INT64_MIN;
    replicas_[partition].transfer_wait_us = 0;
    look_soon(partition);
  }
}

//   take over = varint group, u64 replica of the sender
size_t Partitions::take_over(Instant now, Peers& peers) {
  size_t asked = 0;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    const raft::Core* const own = core(partition);
    if (own == nullptr || leads(*own)) continue;
    const raft::ReplicaId replica = own->options().self.replica;
    const auto leader = own->role_state().leader;
    Link* const link = leader ? peers.link(leader->node.value, PeerLane::kData) : nullptr;
    if (link == nullptr || !own->configuration().incoming.has(replica)) continue;
    Buffer bytes;
    append_varint(bytes, group_of_partition(partition).value);
    append_little<uint64_t>(bytes, replica.value);
    link->add(kTakeOver, bytes.view());
    replicas_[partition].next_transfer_us = now.steady_us + options_.transfer_us_max;
    ++asked;
  }
  return asked;
}

// A replica that the plan does not name may still have to vote.  It goes when somebody who leads the partition says that it is no member any
// more.  One that is planned, and that nobody has told anything, says that it is here.
//
//   may drop, drop = varint group, u64 replica, varint term of the sender        here = varint group, u64 replica
void Partitions::tell_of_own(uint64_t kind, uint32_t partition, const PlannedPartition& planned, Peers& peers) {
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  Buffer bytes;
  append_varint(bytes, group_of_partition(partition).value);
  append_little<uint64_t>(bytes, own.options().self.replica.value);
  if (kind == kMayDrop) append_varint(bytes, own.term().value);
  const auto ask = [&](uint64_t node) {
    if (Link* const link = peers.link(node, PeerLane::kData)) link->add(kind, bytes.view());
  };
  for (const PlannedReplica& each : planned.replicas) ask(each.node);
  // Who leads may have to go as well, and cannot before the copy that is planned here has come in the place of this one.
  const std::optional<raft::NodeId> leader = groups_.known_leader(group_of_partition(partition));
  const bool is_planned = leader && std::any_of(planned.replicas.begin(), planned.replicas.end(),
                                                [&](const PlannedReplica& each) { return each.node == leader->value; });
  if (leader && !is_planned) ask(leader->value);
}

namespace {

// By the word of a leader whose configuration is committed.
bool has_left(const raft::Core& own, raft::ReplicaId replica) {
  const raft::Configuration& committed = own.committed_configuration().configuration;
  const bool is_current = own.role_state().serving == raft::Serving::kYes && committed == own.configuration();
  return is_current && !committed.joint() && !committed.find(replica);
}

// A replica that had stood in vain when it was left out takes no leader's word of an earlier term, and nothing is sent to it any more that
// it could answer so: whoever leads after this has a later one.  Only the term counts.
raft::Message shown_term(const raft::Core& own, raft::Member from, raft::Term term) {
  return {.group = own.options().group,
          .from = from,
          .to = own.options().self,
          .term = term,
          .epoch = own.epoch(),
          .body = raft::AppendAnswer{.result = raft::AppendResult::kMismatch}};
}

}  // namespace

Status Partitions::receive(Instant now, NodeId from, uint64_t kind, std::string_view bytes) {
  if (kind == kSnapshot) return receive_piece(now, from, bytes);
  if (kind == kTaken) return receive_taken(now, from, bytes);
  if (kind == kSum) return receive_sum(from, bytes);
  if (kind == kDiffers) return receive_differs(from, bytes);
  if (kind == kNewest) return receive_newest(from, bytes);
  raft::GroupId group;
  raft::ReplicaId replica;
  raft::Term term;
  const std::string_view whole = bytes;
  const bool has_term = kind == kMayDrop || kind == kDrop || kind == kStartOver;
  const bool is_named = take_varint(bytes, group.value) && take_little<uint64_t>(bytes, replica.value);
  const std::string_view named = whole.substr(0, whole.size() - bytes.size());
  const bool is_whole = is_named && (!has_term || take_varint(bytes, term.value)) && bytes.empty();
  if (!is_whole || group.none() || group.value > options_.partitions) return damaged("a wish cannot be read");
  const raft::Core* const own = groups_.find(group);
  if (own == nullptr) return done();
  if (kind == kDrop) {
    // One of an older term may not know that it was added since.
    if (own->options().self.replica == replica && term >= own->term()) drop(now, partition_of(group));
  } else if (kind == kMayDrop) {
    if (has_left(*own, replica) && term > own->term()) {
      outgrow(now, *own, {.replica = replica, .node = {from}}, term);
    } else {
      answer_may_drop(from, *own, replica, named);
    }
  } else if (kind == kHere) {
    note_newer(from, *own, replica);
  } else if (kind == kMayStartOver) {
    answer_may_start_over(now, from, *own, replica, named);
  } else if (kind == kStartOver) {
    const Replica& asking = replicas_[partition_of(group)];
    const bool is_meant = own->options().self.replica == replica && term >= own->term() && !leads(*own);
    const bool is_wanted = asking.fault != Fault::kNone && asking.asked_to_start_over_us &&
                           now.steady_us < *asking.asked_to_start_over_us + options_.may_start_over_us;
    if (!is_meant || !is_wanted) return done();
    facts_.emplace_back(partition_of(group), "the others hold everything without this copy -> start over");
    ++started_over_;
    start_over(now, partition_of(group));
  } else if (own->may_transfer(replica) && own->configuration().find(replica)->node.value == from) {
    groups_.step(now, group, raft::in::TransferLeadership{replica});
  }
  return done();
}

// Whoever leads next has a later term.  Where one more is enough a hand-over brings it, and hardly anybody notices; who cannot hand over at this
// moment tries again when it is asked again, for a while.  Unless that has failed: else nobody serves the partition until there is another
// leader, so one goes after the other, and who is not dealt with asks again.
void Partitions::outgrow(Instant now, const raft::Core& own, raft::Member left_out, raft::Term term) {
  if (now.steady_us < next_outgrown_us_) return;
  const raft::GroupId group = own.options().group;
  const uint32_t partition = partition_of(group);
  const std::string fact = "a replica that was left out is in term " + std::to_string(term.value);
  Outgrowing& outgrowing = replicas_[partition].outgrowing;
  if (outgrowing.in != own.term()) outgrowing = {.in = own.term(), .hands_over_until_us = now.steady_us + options_.outgrow_patience_us};
  if (term == raft::next(own.term()) && !outgrowing.has_handed_over) {
    outgrowing.has_handed_over = groups_.hand_over(now, group, {});
    if (outgrowing.has_handed_over) facts_.emplace_back(partition, fact + " -> hand over to one that leads in it");
    if (outgrowing.has_handed_over || (groups_.has_successor(group) && now.steady_us < outgrowing.hands_over_until_us)) return;
  }
  next_outgrown_us_ = now.steady_us + options_.outgrow_us;
  facts_.emplace_back(partition, fact + " -> step down, and lead a later one");
  groups_.step(now, group, raft::in::Receive{shown_term(own, left_out, term)});
}

// The plan may have taken the partition from the node and given it back while the leader saw neither: then what the leader made a learner is
// not what the node has.  Ids only grow, so the older one never comes.
void Partitions::note_newer(NodeId node, const raft::Core& own, raft::ReplicaId replica) {
  const std::vector<raft::Member>& learners = own.configuration().learners;
  const bool is_newer = std::any_of(learners.begin(), learners.end(),
                                    [&](const raft::Member& each) { return each.node.value == node && each.replica < replica; });
  if (!is_newer) return;
  const uint32_t partition = partition_of(own.options().group);
  raft::ReplicaId& known = replicas_[partition].newer[node];
  known = std::max(known, replica);
  look_soon(partition);
}

void Partitions::answer_may_drop(NodeId from, const raft::Core& own, raft::ReplicaId replica, std::string_view bytes) {
  if (!has_left(own, replica)) return;
  Buffer answer;
  answer.append(bytes);
  append_varint(answer, own.term().value);
  answers_.push_back({from, kDrop, std::string(answer.view())});
}

namespace {

// All voters but that one hold what is committed and have confirmed the leader since then, and they can commit and elect without it.
bool others_hold_all(const raft::Core& leader, raft::ReplicaId replica, int64_t since_us) {
  const raft::Configuration& configuration = leader.configuration();
  if (leader.role_state().serving != raft::Serving::kYes || configuration.joint()) return false;
  const raft::Half& voters = configuration.incoming;
  const size_t others = voters.voters.size() - (voters.has(replica) ? 1 : 0);
  if (others < std::max(voters.quorums().commit, voters.quorums().election)) return false;
  return std::all_of(leader.progress().begin(), leader.progress().end(), [&](const raft::Progress& each) {
    if (!each.in_incoming || each.member().replica == replica || each.member() == leader.options().self) return true;
    const bool holds_all = each.state() == raft::Progress::State::kReplicate && each.match() >= leader.commit_index();
    return holds_all && !each.is_silent && each.heard_us > since_us;
  });
}

}  // namespace

// When it has asked twice, so that another one that has stopped as well is known by its silence.  One at a time; and what it has
// acknowledged so far counts no more.
void Partitions::answer_may_start_over(Instant now, NodeId from, const raft::Core& own, raft::ReplicaId replica,
                                       std::string_view bytes) {
  Replica& led = replicas_[partition_of(own.options().group)];
  const auto member = own.configuration().find(replica);
  // What a leader with a fault holds is wrong itself.
  if (!member || member->node.value != from || !leads(own) || led.fault != Fault::kNone) return;
  std::erase_if(led.asking_us, [&](const auto& each) { return each.second + 3 * options_.start_over_us < now.steady_us; });
  const auto [asking, is_first] = led.asking_us.try_emplace(replica, now.steady_us);
  if (is_first || !others_hold_all(own, replica, asking->second)) return;
  if (led.allowed_to_start_over_us && now.steady_us < *led.allowed_to_start_over_us + 2 * options_.may_start_over_us) return;
  led.allowed_to_start_over_us = now.steady_us;
  led.asking_us.erase(asking);
  Buffer answer;
  answer.append(bytes);
  append_varint(answer, own.term().value);
  groups_.step(now, own.options().group, raft::in::PeerRestarted{member->node});
  answers_.push_back({from, kStartOver, std::string(answer.view())});
}

}  // namespace quorate
