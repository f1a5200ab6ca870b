// Partitions that lost too many voters for good: the members that are left go on without them.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/partitions_parts.h"
#include "cluster/wire.h"
#include "util/varint.h"

namespace quorate {

namespace {

using partitions_parts::damaged;

// Who knows the newest configuration of a partition?
//
//   newest = u8 1 (asks), varint group, varint when
//          | u8 2 (tells), the same, varint epoch, term, index of its newest configuration (0: it has none), varint the latest term it has seen, u8 1 if its replica has stopped
struct NewestMessage {
  enum class What : uint8_t { kAsks = 1, kTells = 2 };
  What what = What::kAsks;
  raft::GroupId group;
  int64_t asked_us = 0;
  raft::Position newest = {};
  raft::Term seen = {};
  bool has_stopped = false;
};

void encode(const NewestMessage& message, Buffer& out) {
  wire::write_byte(message.what, out);
  wire::write(message.group, out);
  append_varint(out, static_cast<uint64_t>(message.asked_us));
  if (message.what == NewestMessage::What::kAsks) return;
  wire::write(message.newest.epoch, out);
  wire::write(message.newest.term, out);
  wire::write(message.newest.index, out);
  wire::write(message.seen, out);
  append_little<uint8_t>(out, message.has_stopped ? 1 : 0);
}

Result<NewestMessage> decode_newest(std::string_view bytes, uint32_t partitions) {
  wire::Reader reader(bytes);
  NewestMessage message;
  message.what = reader.one_of(NewestMessage::What::kAsks, NewestMessage::What::kTells);
  message.group.value = reader.varint_at_most(partitions);
  message.asked_us = static_cast<int64_t>(reader.varint());
  if (message.what == NewestMessage::What::kTells) {
    reader.read(message.newest.epoch);
    reader.read(message.newest.term);
    reader.read(message.newest.index);
    reader.read(message.seen);
    message.has_stopped = reader.flag();
  }
  if (!reader.good() || !reader.rest().empty() || message.group.none()) return damaged("who knows the newest configuration cannot be read");
  return message;
}

}  // namespace

// Who was drawn for the partition when all its copies had been given up is all of it.
void Partitions::begin_anew(Instant now, uint32_t partition, raft::ReplicaId replica) {
  raft::Configuration configuration;
  configuration.incoming.voters = {{.replica = replica, .node = {options_.self}}};
  // It promises what this node keeps; the members' mode comes as anywhere else.
  const bool keeps_mode = mode_version_ != 0 && groups_.health().kept >= mode_;
  configuration.durability = keeps_mode ? mode_ : groups_.health().kept;
  configuration.mode_version = keeps_mode ? mode_version_ : 0;
  raft::Restored restored = raft::bootstrap(std::move(configuration));
  const raft::Index first = restored.base.last.index;
  add_empty(now, partition, replica, std::move(restored));
  // The log, or a snapshot, may hold what this node knew of the partition before it gave it away: it must not come back with a start.
  Buffer nothing;
  data_.encode(partition, nothing);
  bases_to_store_.back().state = std::string(nothing.view());
  replicas_[partition].state_index = first;
  facts_.emplace_back(partition, "all copies were given up -> begin anew with nothing");
  data_.on_begun_anew(partition);
}

// Some of its voters were given up, and those that are left cannot elect or have not.
bool Partitions::waits_for_given_up(uint32_t partition, const ClusterState& state) const {
  const raft::Core& own = *core(partition);
  if (state.given_up().empty() || own.failed() || own.configuration().unknown()) return false;
  const std::vector<raft::NodeId> gone = typed(state.given_up());
  if (!raft::has_voter_on(own.configuration(), gone)) return false;
  return !raft::can_elect_without(own.configuration(), gone) || !groups_.known_leader(group_of_partition(partition));
}

// Too few voters are left, or too few of them may vote (the core finds out), and the members have given up the others.  Those that are left
// may go on by themselves, unless there is a newer configuration, by which others are the members: so everybody is asked, and asked again
// until somebody leads.  One that its log has outlived does not count: whoever leads must hold the most, though not all that was committed
// with those that were given up.  A replica that has stopped says nothing in an election, and may hold the most: it is waited for.
void Partitions::go_on_without(Instant now, uint32_t partition, const ClusterState& state, Peers& peers) {
  const raft::GroupId group = group_of_partition(partition);
  Replica& replica = replicas_[partition];
  if (!waits_for_given_up(partition, state)) {
    replica.newest_asked_us.reset();
    if (std::exchange(replica.goes_on_without, false)) groups_.step(now, group, raft::in::GiveUp{});
    return;
  }
  const bool is_due = !replica.newest_asked_us || now.steady_us >= *replica.newest_asked_us + options_.newest_us;
  if (is_due) ask_for_newest(now, partition, state, peers);
  for (const MemberRecord& member : state.members()) {
    const bool is_other = member.state != MemberState::kRemoved && member.id != options_.self;
    if (is_other && !placement::contains(replica.newest_told, member.id)) return;
  }
  if (!replica.stopped.empty()) return;
  replica.goes_on_without = true;
  groups_.step(now, group, raft::in::GiveUp{.nodes = typed(state.given_up())});
}

void Partitions::ask_for_newest(Instant now, uint32_t partition, const ClusterState& state, Peers& peers) {
  Replica& replica = replicas_[partition];
  replica.newest_asked_us = now.steady_us;
  replica.newest_told.clear();
  replica.stopped.clear();
  Buffer bytes;
  encode(NewestMessage{.group = group_of_partition(partition), .asked_us = now.steady_us}, bytes);
  for (const MemberRecord& member : state.members()) {
    if (Link* const link = peers.link(member.id, PeerLane::kData)) link->add(kNewest, bytes.view());
  }
}

Status Partitions::receive_newest(NodeId from, std::string_view bytes) {
  TRY(NewestMessage message, decode_newest(bytes, options_.partitions));
  const raft::Core* const own = groups_.find(message.group);
  if (message.what == NewestMessage::What::kAsks) {
    message.what = NewestMessage::What::kTells;
    if (own != nullptr && !own->configuration().unknown()) message.newest = own->configuration_at();
    if (own != nullptr) message.seen = own->term();
    message.has_stopped = own != nullptr && own->failed();
    Buffer answer;
    encode(message, answer);
    answers_.push_back({from, kNewest, std::string(answer.view())});
    return done();
  }
  Replica& replica = replicas_[partition_of(message.group)];
  if (own == nullptr || replica.newest_asked_us != message.asked_us) return done();
  const bool knows_newer = message.newest > own->configuration_at() && !raft::has_outlived(own->position(), message.newest, message.seen);
  if (knows_newer) return done();
  if (!placement::contains(replica.newest_told, from)) replica.newest_told.push_back(from);
  if (message.has_stopped && !placement::contains(replica.stopped, from)) {
    replica.stopped.insert(std::lower_bound(replica.stopped.begin(), replica.stopped.end(), from), from);
  }
  look_soon(partition_of(message.group));
  return done();
}

}  // namespace quorate
