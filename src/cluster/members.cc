// Applying and encoding what the meta group replicates; docs/FORMATS.md has the grammar.
#include "cluster/members.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "util/check.h"
#include "util/hash.h"
#include "util/number.h"
#include "util/varint.h"

namespace quorate {

namespace {

// 1: without who was given up, and partitions that have begun anew.  2: without who is dead.  3: without whose plan it is, and the version of the mode.
// 4: without the seed of hashes.
constexpr uint8_t kStateVersion = 5;
constexpr int64_t kReplicationDefault = 3;
// More decisions about the mode than are ever lost with the members that are given up.
constexpr uint64_t kLostModesMax = uint64_t{1} << 20;
constexpr uint64_t kNameSeed = 0x6e6f64656e616d65;

enum class Tag : uint8_t { kFound = 1, kEnrol = 2, kSetState = 3, kSetSetting = 4, kSetPlan = 5, kSetSettings = 6, kGiveUp = 7, kSetDead = 8, kMove = 9, kRebalance = 10, kReplace = 11 };

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "members: " + std::string(what)); }
Error refused(std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)); }

// ---- members -----------------------------------------------------------------------------------------

void append_member(Buffer& out, const MemberRecord& member) {
  append_little<uint64_t>(out, member.id);
  append_sized(out, member.host);
  for (const uint16_t port : {member.port, member.cluster_port, member.client_port, member.http_port}) {
    append_varint(out, port);
  }
  append_sized(out, member.zone);
  append_varint(out, member.weight);
  append_varint(out, static_cast<uint64_t>(member.state));
}

bool take_text(std::string_view& bytes, std::string& text) {
  std::string_view found;
  if (!take_sized(bytes, found) || found.size() > ClusterState::kTextMax) return false;
  text = found;
  return true;
}

template <class T>
bool take_number(std::string_view& bytes, T& number, uint64_t max) {
  uint64_t value = 0;
  if (!take_varint(bytes, value) || value > max) return false;
  number = static_cast<T>(value);
  return true;
}

bool take_member(std::string_view& bytes, MemberRecord& member) {
  if (!take_little<uint64_t>(bytes, member.id) || !take_text(bytes, member.host)) return false;
  for (uint16_t* port : {&member.port, &member.cluster_port, &member.client_port, &member.http_port}) {
    if (!take_number(bytes, *port, UINT16_MAX)) return false;
  }
  return take_text(bytes, member.zone) && take_number(bytes, member.weight, placement::kWeightMax) &&
         take_number(bytes, member.state, static_cast<uint64_t>(MemberState::kRemoved));
}

Status check_member(const MemberRecord& member) {
  if (member.id == 0) return refused("a node needs an id");
  if (member.host.empty()) return refused("a node needs a host");
  if (member.weight == 0) return refused("the weight of a node is at least 1");
  return done();
}

// ---- plans -------------------------------------------------------------------------------------------

void append_plan(Buffer& out, const placement::Plan& plan) {
  append_varint(out, plan.size());
  for (const placement::PartitionPlan& partition : plan) {
    append_varint(out, partition.voters);
    append_varint(out, partition.replicas.size());
    for (const NodeId node : partition.replicas) append_little<uint64_t>(out, node);
  }
}

bool take_plan(std::string_view& bytes, placement::Plan& plan) {
  uint64_t count = 0;
  if (!take_varint(bytes, count) || count > placement::kPartitionsMax) return false;
  plan.resize(static_cast<size_t>(count));
  for (placement::PartitionPlan& partition : plan) {
    uint64_t replicas = 0;
    if (!take_number(bytes, partition.voters, ClusterState::kMembersMax)) return false;
    if (!take_varint(bytes, replicas) || replicas > ClusterState::kMembersMax) return false;
    partition.replicas.resize(static_cast<size_t>(replicas));
    for (NodeId& node : partition.replicas) {
      if (!take_little<uint64_t>(bytes, node)) return false;
    }
  }
  return true;
}

void append_nodes(Buffer& out, std::span<const NodeId> nodes) {
  append_varint(out, nodes.size());
  for (const NodeId node : nodes) append_little<uint64_t>(out, node);
}

bool take_nodes(std::string_view& bytes, std::vector<NodeId>& nodes) {
  uint64_t count = 0;
  if (!take_number(bytes, count, ClusterState::kMembersMax)) return false;
  nodes.resize(static_cast<size_t>(count));
  for (NodeId& node : nodes) {
    if (!take_little<uint64_t>(bytes, node)) return false;
  }
  return true;
}

bool has_begun_anew(const PlannedPartition& planned) { return planned.first_replica != 0; }

bool take_give_up(std::string_view& bytes, meta::GiveUp& lost) {
  uint64_t count = 0;
  if (!take_nodes(bytes, lost.nodes) || !take_varint(bytes, count) || count > bytes.size()) return false;
  lost.empty.resize(static_cast<size_t>(count));
  for (uint32_t& partition : lost.empty) {
    if (!take_number(bytes, partition, UINT32_MAX)) return false;
  }
  return std::is_sorted(lost.empty.begin(), lost.empty.end());
}

bool all_distinct(std::vector<NodeId> nodes) {
  std::sort(nodes.begin(), nodes.end());
  return std::adjacent_find(nodes.begin(), nodes.end()) == nodes.end();
}

// A visitor made of functions, one an alternative.
template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

}  // namespace

// ---- commands ----------------------------------------------------------------------------------------

void meta::encode(const Command& command, Buffer& out) {
  const auto tag = [&](Tag value) { out.push_back(static_cast<char>(value)); };
  std::visit(Overloaded{
                 [&](const Found& found) {
                   tag(Tag::kFound);
                   out.append({found.cluster.data(), found.cluster.size()});
                   append_varint(out, found.partitions);
                   append_member(out, found.first);
                   append_little<uint64_t>(out, found.hash_seed);
                 },
                 [&](const Enrol& enrol) {
                   tag(Tag::kEnrol);
                   append_member(out, enrol.member);
                 },
                 [&](const SetState& set) {
                   tag(Tag::kSetState);
                   append_little<uint64_t>(out, set.node);
                   append_varint(out, static_cast<uint64_t>(set.state));
                 },
                 [&](const SetSetting& set) {
                   tag(Tag::kSetSetting);
                   append_sized(out, set.name);
                   append_sized(out, set.value);
                 },
                 [&](const SetPlan& set) {
                   tag(Tag::kSetPlan);
                   append_varint(out, set.based_on);
                   append_plan(out, set.plan);
                 },
                 [&](const SetSettings& set) {
                   tag(Tag::kSetSettings);
                   append_varint(out, set.all.size());
                   for (const SetSetting& each : set.all) {
                     append_sized(out, each.name);
                     append_sized(out, each.value);
                   }
                 },
                 [&](const GiveUp& lost) {
                   tag(Tag::kGiveUp);
                   append_nodes(out, lost.nodes);
                   append_varint(out, lost.empty.size());
                   for (const uint32_t partition : lost.empty) append_varint(out, partition);
                 },
                 [&](const SetDead& dead) {
                   tag(Tag::kSetDead);
                   append_nodes(out, dead.nodes);
                 },
                 [&](const Move& move) {
                   tag(Tag::kMove);
                   append_varint(out, move.partition);
                   append_little<uint64_t>(out, move.from);
                   append_little<uint64_t>(out, move.to);
                 },
                 [&](const Rebalance&) { tag(Tag::kRebalance); },
                 [&](const Replace& replace) {
                   tag(Tag::kReplace);
                   append_little<uint64_t>(out, replace.former);
                   append_member(out, replace.member);
                 },
             },
             command);
}

Result<meta::Command> meta::decode(std::string_view bytes) {
  uint8_t tag = 0;
  if (!take_little<uint8_t>(bytes, tag)) return damaged("no command");
  Command command;
  bool is_whole = false;
  switch (tag) {
    case static_cast<uint8_t>(Tag::kFound): {
      Found& found = command.emplace<Found>();
      if (bytes.size() < found.cluster.size()) break;
      std::memcpy(found.cluster.data(), bytes.data(), found.cluster.size());
      bytes.remove_prefix(found.cluster.size());
      is_whole = take_number(bytes, found.partitions, placement::kPartitionsMax) && take_member(bytes, found.first) &&
                 take_little<uint64_t>(bytes, found.hash_seed);
      break;
    }
    case static_cast<uint8_t>(Tag::kEnrol):
      is_whole = take_member(bytes, command.emplace<Enrol>().member);
      break;
    case static_cast<uint8_t>(Tag::kSetState): {
      SetState& set = command.emplace<SetState>();
      is_whole = take_little<uint64_t>(bytes, set.node) &&
                 take_number(bytes, set.state, static_cast<uint64_t>(MemberState::kRemoved));
      break;
    }
    case static_cast<uint8_t>(Tag::kSetSetting): {
      SetSetting& set = command.emplace<SetSetting>();
      is_whole = take_text(bytes, set.name) && take_text(bytes, set.value);
      break;
    }
    case static_cast<uint8_t>(Tag::kSetPlan): {
      SetPlan& set = command.emplace<SetPlan>();
      is_whole = take_varint(bytes, set.based_on) && take_plan(bytes, set.plan);
      break;
    }
    case static_cast<uint8_t>(Tag::kSetSettings): {
      SetSettings& set = command.emplace<SetSettings>();
      uint64_t count = 0;
      is_whole = take_number(bytes, count, ClusterState::kSettingsMax);
      for (uint64_t number = 0; is_whole && number < count; ++number) {
        SetSetting& each = set.all.emplace_back();
        is_whole = take_text(bytes, each.name) && take_text(bytes, each.value);
      }
      break;
    }
    case static_cast<uint8_t>(Tag::kGiveUp):
      is_whole = take_give_up(bytes, command.emplace<GiveUp>());
      break;
    case static_cast<uint8_t>(Tag::kSetDead):
      is_whole = take_nodes(bytes, command.emplace<SetDead>().nodes);
      break;
    case static_cast<uint8_t>(Tag::kMove): {
      Move& move = command.emplace<Move>();
      is_whole = take_number(bytes, move.partition, UINT32_MAX) && take_little<uint64_t>(bytes, move.from) &&
                 take_little<uint64_t>(bytes, move.to);
      break;
    }
    case static_cast<uint8_t>(Tag::kRebalance):
      command.emplace<Rebalance>();
      is_whole = true;
      break;
    case static_cast<uint8_t>(Tag::kReplace): {
      Replace& replace = command.emplace<Replace>();
      is_whole = take_little<uint64_t>(bytes, replace.former) && take_member(bytes, replace.member);
      break;
    }
    default: break;
  }
  if (!is_whole || !bytes.empty()) return damaged("a command is cut off or unknown");
  return command;
}

raft::Durability mode_of(bool appends, bool syncs_always) {
  if (!appends) return raft::Durability::kMemory;
  return syncs_always ? raft::Durability::kSynced : raft::Durability::kOs;
}

std::optional<raft::Durability> mode_of(std::string_view appendonly, std::string_view appendfsync) {
  if (appendonly.empty() || appendfsync.empty()) return std::nullopt;
  return mode_of(appendonly != "no", appendfsync == "always");
}

Status ClusterState::apply(const meta::Command& command) {
  const bool was_founded = is_founded();
  if (!was_founded && !std::holds_alternative<meta::Found>(command)) return refused("the cluster is not founded");
  const uint32_t copies = replication();
  const uint64_t version = plan_version_;
  TRY(take(command));
  const std::vector<placement::Member> members = std::exchange(placement_members_, members_to_place());
  // A plan that is being made for those of before must not count as one for these.
  const bool has_changed = placement_members_ != members || replication() != copies;
  if (was_founded && has_changed && plan_version_ == version && plan_fit_ != PlanFit::kOfBefore) plan_is_due();
  return done();
}

Status ClusterState::take(const meta::Command& command) {
  return std::visit(Overloaded{
                        [&](const meta::Found& found_command) { return found(found_command); },
                        [&](const meta::Enrol& enrolled) { return enrol(enrolled); },
                        [&](const meta::SetState& set) { return set_state(set); },
                        [&](const meta::SetSetting& set) { return set_settings({&set, 1}); },
                        [&](const meta::SetPlan& set) { return set_plan(set); },
                        [&](const meta::SetSettings& set) { return set_settings(set.all); },
                        [&](const meta::GiveUp& lost) { return give_up(lost); },
                        [&](const meta::SetDead& dead) { return set_dead(dead); },
                        [&](const meta::Move& wanted) { return move(wanted); },
                        [&](const meta::Rebalance&) { return rebalance(); },
                        [&](const meta::Replace& replaced) { return replace(replaced); },
                    },
                    command);
}

Status ClusterState::found(const meta::Found& command) {
  if (is_founded()) return refused("the cluster is founded already");
  if (command.partitions == 0) return refused("a cluster needs partitions");
  TRY(check_member(command.first));
  cluster_ = command.cluster;
  hash_seed_ = command.hash_seed;
  members_.push_back(command.first);
  members_.front().state = MemberState::kActive;
  plan_.resize(command.partitions);
  for (PlannedPartition& partition : plan_) {
    partition.replicas.push_back({command.first.id, next_replica_++});
    partition.voters = 1;
  }
  plan_version_ = 1;
  return done();
}

Status ClusterState::enrol(const meta::Enrol& command) {
  const MemberRecord& member = command.member;
  TRY(check_member(member));
  const auto place = std::lower_bound(members_.begin(), members_.end(), member.id,
                                      [](const MemberRecord& each, NodeId id) { return each.id < id; });
  if (place != members_.end() && place->id == member.id) {
    if (place->state == MemberState::kRemoved) return refused("the node was removed from the cluster for good");
    const MemberState state = place->state;
    *place = member;
    place->state = state;
    return done();
  }
  if (members_.size() == kMembersMax) return refused("the cluster has as many nodes as it can");
  members_.insert(place, member)->state = MemberState::kActive;
  return done();
}

Status ClusterState::set_state(const meta::SetState& command) {
  const auto place = std::find_if(members_.begin(), members_.end(),
                                  [&](const MemberRecord& each) { return each.id == command.node; });
  if (place == members_.end()) return refused("no such node");
  if (place->state == MemberState::kRemoved) return refused("the node was removed from the cluster for good");
  if (command.state == MemberState::kRemoved && is_planned(command.node)) {
    return refused("the node still holds partitions: drain it first, or repeat this once QUORUM STATUS shows 0 copies of it");
  }
  const auto is_active = [](const MemberRecord& each) { return each.state == MemberState::kActive; };
  const auto active = std::count_if(members_.begin(), members_.end(), is_active);
  if (command.state != MemberState::kActive && is_active(*place) && active == 1) {
    return refused("the last node cannot leave");
  }
  place->state = command.state;
  bury_removed();
  return done();
}

Status ClusterState::set_dead(const meta::SetDead& command) {
  dead_.clear();
  for (const NodeId node : command.nodes) {
    if (!is_dead(node)) dead_.push_back(node);
  }
  bury_removed();
  return done();
}

void ClusterState::bury_removed() {
  std::erase_if(dead_, [&](NodeId node) {
    const MemberRecord* const member = find(node);
    return member == nullptr || member->state == MemberState::kRemoved;
  });
}

Status ClusterState::give_up(const meta::GiveUp& command) {
  const auto is_named = [&](NodeId node) {
    return placement::contains(command.nodes, node);
  };
  if (!command.empty.empty() && command.empty.back() >= partitions()) return refused("no such partition");
  const bool is_anybody_left = std::any_of(members_.begin(), members_.end(), [&](const MemberRecord& each) {
    return each.state != MemberState::kRemoved && !is_named(each.id);
  });
  if (!is_anybody_left) return refused("the last node cannot leave");
  if (are_given_up(command.nodes)) return done();
  for (MemberRecord& member : members_) {
    if (!is_named(member.id)) continue;
    member.state = MemberState::kRemoved;
    const auto place = std::lower_bound(given_up_.begin(), given_up_.end(), member.id);
    if (place == given_up_.end() || *place != member.id) given_up_.insert(place, member.id);
  }
  // If all that are left were to be emptied, there is nobody to take it.
  const bool is_anybody_active =
      std::any_of(members_.begin(), members_.end(), [](const MemberRecord& each) { return each.state == MemberState::kActive; });
  for (MemberRecord& member : members_) {
    if (!is_anybody_active && member.state == MemberState::kDraining) member.state = MemberState::kActive;
  }
  bury_removed();
  // Partitions may go by decisions that were lost with them: they are told again what holds, and every later one is above those.
  if (mode_version_ != 0) mode_version_ += kLostModesMax;
  for (const uint32_t partition : command.empty) begin_anew(partition);
  if (!command.empty.empty()) plan_is_due();
  return done();
}

// At one of those that are left; the next plan gives it the copies that it should have.  They take turns.
void ClusterState::begin_anew(uint32_t partition) {
  std::vector<NodeId> active;
  for (const MemberRecord& member : members_) {
    if (member.state == MemberState::kActive) active.push_back(member.id);
  }
  CHECK(!active.empty());
  PlannedPartition& planned = plan_[partition];
  planned.first_replica = next_replica_++;
  planned.replicas = {{.node = active[partition % active.size()], .replica = planned.first_replica}};
  planned.voters = 1;
}

Status ClusterState::set_settings(std::span<const meta::SetSetting> settings) {
  size_t count = settings_.size();
  for (const meta::SetSetting& each : settings) {
    if (each.name.empty()) return refused("a setting needs a name");
    if (settings_.find(each.name) == settings_.end() && ++count > kSettingsMax) return refused("too many settings");
  }
  for (const meta::SetSetting& each : settings) settings_[each.name] = each.value;
  const std::optional<raft::Durability> mode = mode_of(setting("appendonly"), setting("appendfsync"));
  if (std::exchange(mode_, mode) != mode) ++mode_version_;
  return done();
}

Status ClusterState::set_plan(const meta::SetPlan& command) {
  if (command.based_on != plan_version_) return refused("the plan has changed meanwhile");
  if (command.plan.size() != plan_.size()) return refused("the number of partitions is fixed");
  for (const placement::PartitionPlan& partition : command.plan) {
    if (partition.voters == 0 || partition.voters > partition.replicas.size()) return refused("a partition needs voters");
    if (!all_distinct(partition.replicas)) return refused("a node holds a partition once");
    for (const NodeId node : partition.replicas) {
      if (find(node) == nullptr) return refused("the plan names an unknown node");
    }
  }
  for (size_t index = 0; index < plan_.size(); ++index) {
    const placement::PartitionPlan& wanted = command.plan[index];
    PlannedPartition& planned = plan_[index];
    std::vector<PlannedReplica> replicas;
    for (const NodeId node : wanted.replicas) {
      const auto known = std::find_if(planned.replicas.begin(), planned.replicas.end(),
                                      [&](const PlannedReplica& each) { return each.node == node; });
      replicas.push_back(known != planned.replicas.end() ? *known : PlannedReplica{node, next_replica_++});
    }
    planned.replicas = std::move(replicas);
    planned.voters = wanted.voters;
  }
  if (plan_fit_ != PlanFit::kOfBefore) plan_fit_ = PlanFit::kMade;
  ++plan_version_;
  return done();
}

// ---- facts -------------------------------------------------------------------------------------------

const MemberRecord* ClusterState::find(NodeId node) const {
  const auto place = std::lower_bound(members_.begin(), members_.end(), node,
                                      [](const MemberRecord& each, NodeId id) { return each.id < id; });
  return place != members_.end() && place->id == node ? &*place : nullptr;
}

bool ClusterState::are_given_up(std::span<const NodeId> nodes) const {
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeId node) { return find(node) == nullptr || is_given_up(node); });
}

bool ClusterState::is_given_up(NodeId node) const { return std::binary_search(given_up_.begin(), given_up_.end(), node); }

bool ClusterState::is_dead(NodeId node) const { return placement::contains(dead_, node); }

std::vector<NodeId> ClusterState::replaced() const {
  const auto is_active = [](const MemberRecord& each) { return each.state == MemberState::kActive; };
  auto active = static_cast<size_t>(std::count_if(members_.begin(), members_.end(), is_active));
  std::vector<NodeId> found;
  for (const NodeId node : dead_) {
    if (!is_active(*find(node)) || active <= replication()) continue;
    --active;
    found.push_back(node);
  }
  return found;
}

bool ClusterState::is_planned(NodeId node) const {
  for (const PlannedPartition& partition : plan_) {
    for (const PlannedReplica& replica : partition.replicas) {
      if (replica.node == node) return true;
    }
  }
  return false;
}

std::string_view ClusterState::setting(std::string_view name) const {
  const auto found = settings_.find(name);
  return found == settings_.end() ? std::string_view() : std::string_view(found->second);
}

uint32_t ClusterState::replication() const {
  const int64_t wanted = parse_int(setting("replication-n")).value_or(kReplicationDefault);
  return static_cast<uint32_t>(std::clamp<int64_t>(wanted, 1, placement::kReplicationMax));
}

uint32_t ClusterState::commit_quorum() const {
  const int64_t wanted = parse_int(setting("commit-quorum")).value_or(0);
  return static_cast<uint32_t>(std::clamp<int64_t>(wanted, 0, placement::kReplicationMax));
}

int64_t ClusterState::dead_after_us() const {
  constexpr int64_t kDefaultMs = 600'000;
  constexpr int64_t kMsMin = 1'000;
  constexpr int64_t kMsMax = int64_t{1} << 31;
  const int64_t after_ms = parse_int(setting("node-dead-after")).value_or(kDefaultMs);
  return after_ms <= 0 ? 0 : std::clamp(after_ms, kMsMin, kMsMax) * 1'000;
}

int64_t ClusterState::state_check_us() const {
  constexpr int64_t kSecondsMax = int64_t{1} << 31;
  return std::clamp<int64_t>(parse_int(setting("state-check-seconds")).value_or(0), 0, kSecondsMax) * 1'000'000;
}

bool ClusterState::take_next(NodeId origin, uint64_t incarnation, uint64_t token) {
  if (find(origin) == nullptr) return false;
  Taken& last = taken_[origin];
  if (incarnation < last.incarnation) return false;
  const uint64_t expected = incarnation == last.incarnation ? last.token + 1 : 1;
  if (token != expected) return false;
  last = {.incarnation = incarnation, .token = token};
  return true;
}

uint64_t ClusterState::last_taken(NodeId origin, uint64_t incarnation) const {
  const auto last = taken_.find(origin);
  return last != taken_.end() && last->second.incarnation == incarnation ? last->second.token : 0;
}

std::vector<placement::Member> ClusterState::members_to_place() const {
  const std::vector<NodeId> others_have = replaced();
  std::vector<placement::Member> all;
  for (const MemberRecord& member : members_) {
    const bool is_replaced = placement::contains(others_have, member.id);
    all.push_back({.id = member.id,
                   .weight = member.weight,
                   .zone = member.zone,
                   .state = is_replaced ? MemberState::kRemoved : member.state});
  }
  return all;
}

placement::Plan ClusterState::placement_plan() const {
  placement::Plan plan(plan_.size());
  for (size_t index = 0; index < plan_.size(); ++index) {
    plan[index].voters = plan_[index].voters;
    for (const PlannedReplica& replica : plan_[index].replicas) plan[index].replicas.push_back(replica.node);
  }
  return plan;
}

// ---- the state as bytes ------------------------------------------------------------------------------

void ClusterState::encode(Buffer& out) const {
  out.push_back(static_cast<char>(kStateVersion));
  out.append({cluster_.data(), cluster_.size()});
  append_varint(out, members_.size());
  for (const MemberRecord& member : members_) append_member(out, member);
  append_varint(out, plan_version_);
  append_varint(out, next_replica_);
  append_plan(out, placement_plan());
  for (const PlannedPartition& partition : plan_) {
    for (const PlannedReplica& replica : partition.replicas) append_varint(out, replica.replica);
  }
  append_varint(out, settings_.size());
  for (const auto& [name, value] : settings_) {
    append_sized(out, name);
    append_sized(out, value);
  }
  append_varint(out, taken_.size());
  for (const auto& [node, taken] : taken_) {
    append_little<uint64_t>(out, node);
    append_varint(out, taken.incarnation);
    append_varint(out, taken.token);
  }
  append_nodes(out, given_up_);
  append_varint(out, static_cast<uint64_t>(std::count_if(plan_.begin(), plan_.end(), has_begun_anew)));
  for (size_t index = 0; index < plan_.size(); ++index) {
    if (!has_begun_anew(plan_[index])) continue;
    append_varint(out, index);
    append_varint(out, plan_[index].first_replica);
  }
  append_nodes(out, dead_);
  append_varint(out, static_cast<uint64_t>(plan_fit_));
  append_varint(out, mode_version_);
  append_little<uint64_t>(out, hash_seed_);
}

// What apply() keeps true and bytes from outside may not.
Status ClusterState::check_plan() const {
  std::vector<uint64_t> replicas;
  for (const PlannedPartition& partition : plan_) {
    if (partition.voters == 0 || partition.voters > partition.replicas.size()) return damaged("a partition without voters");
    std::vector<NodeId> nodes;
    for (const PlannedReplica& replica : partition.replicas) {
      if (find(replica.node) == nullptr) return damaged("the plan names an unknown node");
      if (replica.replica == 0 || replica.replica >= next_replica_) return damaged("a replica id that was never given");
      nodes.push_back(replica.node);
      replicas.push_back(replica.replica);
    }
    if (!all_distinct(nodes)) return damaged("a node holds a partition twice");
  }
  if (!all_distinct(replicas)) return damaged("a replica id was given twice");
  return done();
}

Status ClusterState::check_given_up() const {
  for (size_t index = 0; index < given_up_.size(); ++index) {
    const MemberRecord* const member = find(given_up_[index]);
    const bool is_in_order = index == 0 || given_up_[index - 1] < given_up_[index];
    if (!is_in_order || member == nullptr || member->state != MemberState::kRemoved) return damaged("who was given up is no removed member");
  }
  for (const PlannedPartition& planned : plan_) {
    if (planned.first_replica >= next_replica_) return damaged("a replica id that was never given");
  }
  return done();
}

Result<ClusterState> ClusterState::decode(std::string_view bytes) {
  ClusterState state;
  uint8_t version = 0;
  if (!take_little<uint8_t>(bytes, version) || bytes.size() < state.cluster_.size()) return damaged("cut off");
  if (version == 0 || version > kStateVersion) return damaged("version " + std::to_string(version) + " is not known");
  std::memcpy(state.cluster_.data(), bytes.data(), state.cluster_.size());
  bytes.remove_prefix(state.cluster_.size());
  uint64_t count = 0;
  if (!take_varint(bytes, count) || count > kMembersMax) return damaged("number of members");
  for (uint64_t index = 0; index < count; ++index) {
    MemberRecord& member = state.members_.emplace_back();
    if (!take_member(bytes, member)) return damaged("a member is cut off");
    TRY(check_member(member));
    if (index != 0 && state.members_[static_cast<size_t>(index) - 1].id >= member.id) return damaged("members are out of order");
  }
  placement::Plan plan;
  if (!take_varint(bytes, state.plan_version_) || !take_varint(bytes, state.next_replica_) || !take_plan(bytes, plan)) {
    return damaged("the plan is cut off");
  }
  state.plan_.resize(plan.size());
  for (size_t index = 0; index < plan.size(); ++index) {
    state.plan_[index].voters = plan[index].voters;
    for (const NodeId node : plan[index].replicas) {
      uint64_t replica = 0;
      if (!take_varint(bytes, replica)) return damaged("the replica ids are cut off");
      state.plan_[index].replicas.push_back({node, replica});
    }
  }
  TRY(state.check_plan());
  if (!take_varint(bytes, count) || count > kSettingsMax) return damaged("number of settings");
  for (uint64_t index = 0; index < count; ++index) {
    std::string name;
    std::string value;
    if (!take_text(bytes, name) || name.empty() || !take_text(bytes, value)) return damaged("a setting is cut off");
    if (!state.settings_.empty() && state.settings_.rbegin()->first >= name) return damaged("settings are out of order");
    state.settings_.emplace_hint(state.settings_.end(), std::move(name), std::move(value));
  }
  if (!take_varint(bytes, count) || count > kMembersMax) return damaged("number of proposers");
  for (uint64_t index = 0; index < count; ++index) {
    NodeId node = 0;
    Taken taken;
    if (!take_little<uint64_t>(bytes, node) || !take_varint(bytes, taken.incarnation) || !take_varint(bytes, taken.token)) {
      return damaged("a proposer is cut off");
    }
    const bool is_in_order = state.taken_.empty() || state.taken_.rbegin()->first < node;
    if (!is_in_order || state.find(node) == nullptr) return damaged("a proposer that is no member");
    state.taken_.emplace_hint(state.taken_.end(), node, taken);
  }
  if (version >= 2) {
    if (!take_nodes(bytes, state.given_up_) || !take_varint(bytes, count)) {
      return damaged("who was given up is cut off");
    }
    for (; count > 0; --count) {
      uint64_t partition = 0;
      uint64_t first_replica = 0;
      const bool is_there = take_varint(bytes, partition) && partition < state.plan_.size() && take_varint(bytes, first_replica);
      if (!is_there || first_replica == 0) return damaged("a partition that has begun anew is cut off");
      state.plan_[static_cast<size_t>(partition)].first_replica = first_replica;
    }
    TRY(state.check_given_up());
  }
  if (version >= 3 && !take_nodes(bytes, state.dead_)) return damaged("who is dead is cut off");
  const std::vector<NodeId> dead = state.dead_;
  if (!state.set_dead({.nodes = dead}).ok() || state.dead_ != dead) return damaged("who is dead is no member");
  if (version < 4) state.plan_fit_ = PlanFit::kOfBefore;
  if (version >= 4 && !take_number(bytes, state.plan_fit_, static_cast<uint64_t>(PlanFit::kOfBefore))) return damaged("whose plan it is is cut off");
  if (version >= 4 && !take_varint(bytes, state.mode_version_)) return damaged("the version of the mode is cut off");
  if (version >= 5 && !take_little<uint64_t>(bytes, state.hash_seed_)) return damaged("the seed of hashes is cut off");
  if (!bytes.empty()) return damaged("more than the end");
  state.mode_ = mode_of(state.setting("appendonly"), state.setting("appendfsync"));
  state.placement_members_ = state.members_to_place();
  return state;
}

// ---- names -------------------------------------------------------------------------------------------

std::string node_name(NodeId node) {
  constexpr char kHex[] = "0123456789abcdef";
  constexpr size_t kDigits = 40;
  constexpr size_t kDigitsOfWord = 16;
  std::string name;
  uint64_t word = node;
  for (size_t digit = 0; digit < kDigits; ++digit) {
    if (digit != 0 && digit % kDigitsOfWord == 0) {
      char bytes[sizeof word];
      store_little<uint64_t>(bytes, node + digit);
      word = hash64({bytes, sizeof bytes}, kNameSeed);
    }
    name.push_back(kHex[word >> 60]);
    word <<= 4;
  }
  return name;
}

std::optional<NodeId> node_by_name(std::string_view name) {
  NodeId node = 0;
  for (const char digit : name.substr(0, 16)) {
    const bool is_digit = digit >= '0' && digit <= '9';
    const bool is_letter = digit >= 'a' && digit <= 'f';
    if (!is_digit && !is_letter) return std::nullopt;
    node = node << 4 | static_cast<NodeId>(is_digit ? digit - '0' : digit - 'a' + 10);
  }
  if (node_name(node) != name) return std::nullopt;
  return node;
}

}  // namespace quorate
