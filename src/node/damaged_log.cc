// Who may retire: whose every promise others have kept as well.
#include "node/damaged_log.h"

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cluster/cluster_node.h"
#include "node/host.h"
#include "node/state.h"
#include "persist/log_format.h"
#include "persist/rejoin.h"

namespace quorate {

namespace {

// The former one among them.
constexpr size_t kMembersMin = 3;

Error cannot(std::string why) { return Error(ErrorCode::kInvalidArgument, std::move(why)); }

// What the cluster was, as far as it can be read: the members, committed or not.
struct Known {
  std::map<raft::GroupId, GroupRecovery::Found> groups;
  ClusterState state;
};

Result<Known> known_of(std::optional<GroupRecovery> readable, uint32_t partitions) {
  if (!readable) return cannot("nothing that can be read says who the members are");
  TRY(std::optional<RestoredCluster> restored, restored_cluster(*readable, partitions));
  if (!restored) return cannot("nothing that can be read says who the members are");
  const std::vector<raft::Entry>& tail = restored->groups.at(meta_group(partitions)).restored.entries;
  ClusterState state = MetaGroup::state_behind(std::move(restored->state), tail);
  return Known{.groups = std::move(restored->groups), .state = std::move(state)};
}

// Alone it may have committed something, or elected somebody.
bool is_enough_alone(const raft::Half& half, raft::ReplicaId replica) { return half.has(replica) && half.quorums().commit < 2; }

// Each of its copies is one of several that had to agree to whatever was acknowledged.
Status check_groups(const Known& known, NodeId self) {
  for (const auto& [group, found] : known.groups) {
    const raft::Configuration& configuration = found.restored.hard_state.configuration.configuration;
    if (configuration.unknown()) continue;
    const bool is_alone = is_enough_alone(configuration.incoming, found.replica) ||
                          (configuration.joint() && is_enough_alone(*configuration.outgoing, found.replica));
    const std::array<raft::NodeId, 1> without{raft::NodeId{self}};
    if (!is_alone && raft::can_elect_without(configuration, without)) continue;
    const bool is_meta = group == meta_group(known.state.partitions());
    return cannot((is_meta ? std::string("the members' own group") : "partition " + std::to_string(group.value - 1)) +
                  " may have needed no other copy than the one here, as far as that can be read");
  }
  return done();
}

Result<std::vector<Rejoin::Address>> others(const Known& known, NodeId self) {
  const MemberRecord* const own = known.state.find(self);
  if (own == nullptr || own->state == MemberState::kRemoved) return cannot("it is no member of its cluster");
  std::vector<Rejoin::Address> addresses;
  for (const MemberRecord& member : known.state.members()) {
    if (member.id == self || member.state == MemberState::kRemoved) continue;
    addresses.push_back({.host = member.host, .port = member.cluster_port});
  }
  if (addresses.size() + 1 < kMembersMin) return cannot("with fewer than three members the others cannot do without it, as far as that can be read");
  return addresses;
}

// A disk that damages one log after the other is looked at by somebody, and nothing that was set aside is written over.
Status check_first(Disk& disk) {
  constexpr std::string_view kIdentity = "node.identity.";
  TRY(const std::vector<std::string> files, disk.list());
  for (const std::string& file : files) {
    if (file.starts_with(kIdentity) && file.ends_with(kDamagedSuffix)) {
      return cannot("a node has retired here before (" + file + "): look at the disk, and put away what was set aside");
    }
  }
  return done();
}

Result<Rejoin> retirement(NodeState& node, Disk& disk, std::optional<GroupRecovery> readable) {
  const NodeId self = node.identity.id;
  if (self == 0) return cannot("it is only read here");
  TRY(check_first(disk));
  TRY(const Known known, known_of(std::move(readable), node.store.partition_count()));
  if (known.groups.at(meta_group(node.store.partition_count())).replica.value != self) return cannot("the log belongs to another node than node.identity says");
  TRY(std::vector<Rejoin::Address> members, others(known, self));
  TRY(check_groups(known, self));
  uint64_t id = node.store.random().next() | 1;
  if (id == self) id ^= 2;
  return Rejoin{.former = self, .node = id, .members = std::move(members)};
}

Error refusal(const Error& damage, std::string_view what_can_be_done) {
  return Error(ErrorCode::kCorrupt, std::string(damage.detail()) + std::string(what_can_be_done));
}

}  // namespace

Error answer_damage(NodeState& node, Disk& disk, std::optional<GroupRecovery> readable, const Error& damage) {
  constexpr std::string_view kByRejoining = "Restore the directory from a copy of the time when the node ended, or start it with --log-repair rejoin: then it comes back as a "
                                            "new member in its own place, if the others can do without what it holds";
  switch (node.settings.log_repair) {
    case LogRepair::kRefuse: return refusal(damage, "log-repair is refuse. " + std::string(kByRejoining));
    case LogRepair::kCut:
      return refusal(damage, "This is a member of a cluster: a log that is cut forgets votes and copies that were promised, so --log-repair cut is not for it. " +
                                 std::string(kByRejoining));
    case LogRepair::kRejoin: break;
  }
  const Result<Rejoin> rejoin = retirement(node, disk, std::move(readable));
  if (!rejoin.ok()) {
    return refusal(damage, "It does not come back as another node by itself (log-repair rejoin), since " + std::string(rejoin.error().detail()) +
                               ". Restore the directory from a copy of the time when the node ended. If the others hold all that it held, remove this node there "
                               "(QUORUM REMOVE, or QUORUM UNSAFE-RECOVER if they wait for it), and let it join anew with an empty directory");
  }
  if (const Status written = write_rejoin(disk, rejoin.value()); !written.ok()) {
    return refusal(damage, "To come back as another node it must write " + std::string(kRejoinFile) + ": " + std::string(written.error().detail()));
  }
  node.persistence.has_retired = true;
  return refusal(damage, "The others can do without it -> what " + node_name(rejoin.value().former) + " has written is set aside, and " +
                             node_name(rejoin.value().node) + " joins in its place");
}

}  // namespace quorate
