// From members, beats and cores to the view.
#include "node/cluster_facts.h"

#include <algorithm>

#include "cluster/cluster_node.h"
#include "node/company.h"
#include "node/config.h"
#include "util/check.h"

namespace quorate {

namespace {

// A copy that lacks more entries than that is not ready.
constexpr uint64_t kReadyWithin = 1024;

bool is_heard(const ClusterNode& cluster, NodeId node) {
  return node == cluster.own().id || cluster.groups().hears({node});
}

// ---- nodes -----------------------------------------------------------------------------------------------

// "127.0.0.1:7001" and "[::1]:7001" without the port; of a Unix socket this machine.
std::string host_reached(const Session& session) {
  if (session.peer.is_unix_socket) return "127.0.0.1";
  std::string_view host = session.peer.local_address;
  host = host.substr(0, host.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host.empty() ? std::string_view("127.0.0.1") : host);
}

NodeView own_view(const NodeState& node, const Session& session) {
  NodeView own{.record = node.company.cluster().own(), .is_self = true, .kept = node.company.kept_mode()};
  const bool is_announced = !node.process_settings.cluster_announce_ip.empty() || !node.process_settings.cluster_announce_hostname.empty();
  if (!is_announced) own.record.host = host_reached(session);
  if (own.record.port == 0) own.record.port = static_cast<uint16_t>(node.process_settings.port);
  return own;
}

NodeView node_view(const NodeState& node, const MemberRecord& record) {
  const ClusterNode& cluster = node.company.cluster();
  NodeView view{.record = record, .is_self = record.id == cluster.own().id};
  if (view.is_self) {
    view.kept = node.company.kept_mode();
    return view;
  }
  view.is_live = is_heard(cluster, record.id);
  view.is_linked = cluster.peers().is_up(record.id, PeerLane::kData);
  const beats::Pair* const pair = cluster.groups().pair({record.id});
  if (pair != nullptr && pair->received_us() != INT64_MIN) {
    view.heard_unix_ms = node.now.unix_ms - (node.now.steady_us - pair->received_us()) / 1000;
  }
  view.kept = cluster.groups().kept_by({record.id});
  return view;
}

// ---- partitions ------------------------------------------------------------------------------------------

// The members of a partition: as the newest configuration says that is known here, else as planned.
struct Copies {
  std::vector<raft::Member> members;   // the preferred leader first
  const raft::Core* core = nullptr;    // null: they are only planned
  uint32_t planned_voters = 0;
};

Copies copies_of(const ClusterNode& cluster, uint32_t partition) {
  Copies copies{.members = {}, .core = cluster.partitions().core(partition)};
  const PlannedPartition& planned = cluster.state().plan()[partition];
  copies.planned_voters = planned.voters;
  for (const PlannedReplica& each : planned.replicas) copies.members.push_back({.replica = {each.replica}, .node = {each.node}});
  if (copies.core != nullptr && copies.core->configuration().unknown()) copies.core = nullptr;
  if (copies.core == nullptr) return copies;
  std::vector<raft::Member> current = copies.core->configuration().members();
  const auto place = [&](const raft::Member& member) {
    return std::find_if(copies.members.begin(), copies.members.end(), [&](const raft::Member& each) { return each.node == member.node; });
  };
  std::stable_sort(current.begin(), current.end(),
                   [&](const raft::Member& left, const raft::Member& right) { return place(left) < place(right); });
  copies.members = std::move(current);
  return copies;
}

bool leads(const raft::Core& core) { return core.role() == raft::RoleName::kLeader; }

NodeId leader_of(const ClusterNode& cluster, uint32_t partition) {
  const raft::Core* const core = cluster.partitions().core(partition);
  if (core != nullptr && leads(*core)) {
    return core->role_state().serving == raft::Serving::kSuspended ? 0 : cluster.own().id;
  }
  const auto leader = cluster.groups().known_leader(group_of_partition(partition));
  return leader ? leader->value : 0;
}

bool is_ready(const ClusterNode& cluster, const Copies& copies, const raft::Member& member) {
  if (!is_heard(cluster, member.node.value)) return false;
  if (copies.core == nullptr) return member.node.value != cluster.own().id;
  if (leads(*copies.core)) return is_ready_to_vote(*copies.core, member, kReadyWithin);
  return member.replica != copies.core->options().self.replica || copies.core->standing() == raft::Standing::kFull;
}

// A copy that is planned to vote counts once it does, and no configuration before that has a say any more: until then a
// partition that has all its data in three places can stand still with the one node that votes alone.
bool has_planned_role(const PlannedPartition& planned, const Copies& copies, const raft::Member& member) {
  if (copies.core == nullptr) return true;
  const auto end = planned.replicas.begin() + planned.voters;
  const bool is_to_vote =
      std::any_of(planned.replicas.begin(), end, [&](const PlannedReplica& each) { return each.node == member.node.value; });
  const raft::Configuration& committed = copies.core->committed_configuration().configuration;
  return !is_to_vote || (!committed.joint() && committed.is_voter(member.replica));
}

PartitionView partition_view(const ClusterNode& cluster, uint32_t partition) {
  PartitionView view{.leader = leader_of(cluster, partition), .copies = {}};
  const Copies copies = copies_of(cluster, partition);
  const PlannedPartition& planned = cluster.state().plan()[partition];
  for (const raft::Member& member : copies.members) {
    view.copies.push_back(member.node.value);
    if (has_planned_role(planned, copies, member) && is_ready(cluster, copies, member)) ++view.ready;
  }
  return view;
}

// ---- the whole -------------------------------------------------------------------------------------------

ClusterView view_alone(const NodeState& node, const Session& session, Membership membership) {
  ClusterView view{.epoch = 0, .copies_wanted = 1, .nodes = {own_view(node, session)}, .partitions = {}};
  PartitionView partition;
  if (membership == Membership::kAlone) {
    const NodeId own = view.nodes.front().record.id;
    partition = {.leader = own, .copies = {own}, .ready = 1};
  }
  view.partitions.assign(node.store.partition_count(), partition);
  return view;
}

ClusterView view_of_member(const NodeState& node, const Session& session) {
  const ClusterNode& cluster = node.company.cluster();
  const ClusterState& state = cluster.state();
  ClusterView view{.epoch = state.plan_version(), .copies_wanted = 1, .nodes = {}, .partitions = {}};
  uint32_t active = 0;
  for (const MemberRecord& member : state.members()) {
    if (member.state == MemberState::kActive) ++active;
    // This node was removed, but it still has to say who it is.
    if (member.state != MemberState::kRemoved || member.id == cluster.own().id) view.nodes.push_back(node_view(node, member));
  }
  if (view.find(cluster.own().id) == nullptr) {
    const auto place = std::find_if(view.nodes.begin(), view.nodes.end(),
                                    [&](const NodeView& each) { return each.record.id > cluster.own().id; });
    view.nodes.insert(place, own_view(node, session));
  }
  view.copies_wanted = std::max(1u, std::min(state.replication(), active));
  for (uint32_t partition = 0; partition < state.partitions(); ++partition) {
    view.partitions.push_back(partition_view(cluster, partition));
  }
  return view;
}

}  // namespace

ClusterView cluster_view(const NodeState& node, const Session& session) {
  const ClusterNode& cluster = node.company.cluster();
  const bool is_founded = cluster.state().is_founded();
  ClusterView view = is_founded ? view_of_member(node, session) : view_alone(node, session, cluster.membership());
  view.announced = node.settings.cluster_redirect == ClusterRedirect::kAuto ? ClusterView::Announced::kClusterDoor
                                                                            : ClusterView::Announced::kMainDoor;
  view.refused_connections = cluster.peers().refusals();
  return view;
}

namespace {

uint64_t commit_quorum_of(const raft::Configuration& configuration) {
  if (configuration.unknown()) return 0;
  const uint32_t incoming = configuration.incoming.quorums().commit;
  return configuration.outgoing ? std::max(incoming, configuration.outgoing->quorums().commit) : incoming;
}

}  // namespace

PartitionDetails partition_details(const NodeState& node, const ClusterView& view, uint32_t partition) {
  const ClusterNode& cluster = node.company.cluster();
  PartitionDetails details{.partition = partition, .leader = view.partitions[partition].leader, .log = {}, .copies = {}};
  if (!cluster.state().is_founded()) {
    for (const NodeId copy : view.partitions[partition].copies) details.copies.push_back({.node = copy, .role = CopyRole::kLeader, .last_index = {}, .lag = {}});
    return details;
  }
  const Copies copies = copies_of(cluster, partition);
  if (copies.core != nullptr) {
    details.log = {.term = copies.core->term().value,
                   .last_index = copies.core->last_index().value,
                   .commit_index = copies.core->commit_index().value,
                   .commit_quorum = commit_quorum_of(copies.core->configuration())};
    const raft::Configuration& committed = copies.core->committed_configuration().configuration;
    if (!committed.unknown() && committed.mode_version != 0) details.log->mode = committed.durability;
  }
  for (size_t index = 0; index < copies.members.size(); ++index) {
    const raft::Member& member = copies.members[index];
    const bool votes = copies.core == nullptr ? index < copies.planned_voters : copies.core->configuration().is_voter(member.replica);
    CopyView copy{.node = member.node.value,
                  .role = votes ? CopyRole::kFollower : CopyRole::kLearner,
                  .is_live = is_heard(cluster, member.node.value),
                  .last_index = {},
                  .lag = {}};
    if (copy.node == details.leader) copy.role = CopyRole::kLeader;
    if (copies.core != nullptr && member == copies.core->options().self) copy.last_index = details.log->last_index;
    details.copies.push_back(copy);
  }
  if (copies.core == nullptr) return details;
  for (const raft::Progress& progress : copies.core->progress()) {
    for (CopyView& copy : details.copies) {
      if (copy.node != progress.member().node.value || copy.node == cluster.own().id) continue;
      // A new leader knows what a copy holds once that has answered.
      if (progress.match().value == 0) continue;
      copy.last_index = progress.match().value;
      copy.lag = details.log->last_index - progress.match().value;
    }
  }
  return details;
}

bool is_cluster(const NodeState& node) {
  const std::string_view setting = node.configuration.value("cluster-enabled");
  if (setting != "auto") return setting == "yes";
  const auto& members = node.company.cluster().state().members();
  const auto is_there = [](const MemberRecord& each) { return each.state != MemberState::kRemoved; };
  return std::count_if(members.begin(), members.end(), is_there) > 1;
}

}  // namespace quorate
