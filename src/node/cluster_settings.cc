// Between CONFIG and the meta group.
#include "node/cluster_settings.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "cluster/cluster_node.h"
#include "commands/errors.h"
#include "node/cluster_view.h"
#include "node/company.h"
#include "node/host.h"
#include "node/upkeep.h"
#include "node/wishes.h"

namespace quorate {

namespace {

// Of a node that differs the data could not be held.
constexpr std::string_view kAgreed[] = {"databases"};

// Together they are the mode (ClusterState::mode).
constexpr std::string_view kOfMode[] = {"appendonly", "appendfsync"};

bool is_of_mode(const meta::SetSetting& setting) {
  return std::find(std::begin(kOfMode), std::end(kOfMode), setting.name) != std::end(kOfMode);
}

// A cluster of before has decided neither; what one of them means alone would differ from node to node.
Status check_mode(const NodeState& node, const std::vector<meta::SetSetting>& shared) {
  if (std::none_of(shared.begin(), shared.end(), is_of_mode)) return done();
  for (const std::string_view name : kOfMode) {
    const bool is_there = std::any_of(shared.begin(), shared.end(), [&](const meta::SetSetting& each) { return each.name == name; });
    const bool is_decided = !node.company.cluster().state().setting(name).empty();
    if (!is_there && !is_decided) return errors::mode_undecided(name);
  }
  return done();
}

// A stricter mode could not be kept where the disk takes nothing; until it does, no partition with a copy there would go by it.
Status check_disks(const NodeState& node, const std::vector<meta::SetSetting>& shared) {
  const ClusterNode& cluster = node.company.cluster();
  const auto value_of = [&](std::string_view name) {
    const auto found = std::find_if(shared.begin(), shared.end(), [&](const meta::SetSetting& each) { return each.name == name; });
    return found == shared.end() ? cluster.state().setting(name) : std::string_view(found->value);
  };
  const auto wanted = mode_of(value_of(kOfMode[0]), value_of(kOfMode[1]));
  if (!wanted || *wanted <= node.company.members_mode()) return done();
  for (const MemberRecord& member : cluster.state().members()) {
    const Groups& groups = cluster.groups();
    const std::optional<beats::Health> health = member.id == cluster.own().id ? groups.health() : groups.health_of({member.id});
    if (health && !health->disk_is_healthy) return errors::mode_without_disk(address_text(member.host, member.port));
  }
  return done();
}

bool is_cluster_wide(std::string_view name) {
  const size_t index = find_setting(name);
  return index < setting_table().size() && setting_table()[index].is_cluster_wide;
}

}  // namespace

std::vector<meta::SetSetting> founding_settings(const Configuration& configuration) {
  std::vector<meta::SetSetting> settings;
  for (const std::string_view name : kAgreed) settings.push_back({std::string(name), std::string(configuration.value(name))});
  for (const Setting& row : setting_table()) {
    if (row.is_cluster_wide) settings.push_back({std::string(row.name), std::string(configuration.value(row.name))});
  }
  return settings;
}

Result<bool> set_in_company(NodeContext& cx, std::span<const SettingPair> pairs) {
  Configuration& configuration = cx.node.configuration;
  const auto canonical = configuration.canonical(pairs);
  if (!canonical.ok()) return errors::config_set(canonical.error().detail());
  std::vector<SettingPair> own;
  std::vector<meta::SetSetting> shared;
  for (const auto& [name, text] : canonical.value()) {
    if (is_cluster_wide(name)) {
      shared.push_back({.name = std::string(name), .value = text});
    } else {
      own.emplace_back(name, text);
    }
  }
  if (!shared.empty()) TRY(check_member(cx.node.company.cluster()));
  if (!shared.empty() && cx.node.in_transaction) return errors::not_in_transaction();
  if (!shared.empty()) {
    TRY(check_mode(cx.node, shared));
    TRY(check_disks(cx.node, shared));
  }
  const Status set = configuration.set(own, &cx.node.host);
  if (!set.ok()) return errors::config_set(set.error().detail());
  if (shared.empty()) return false;
  const WishEnd end = std::any_of(shared.begin(), shared.end(), is_of_mode) ? WishEnd::kModeIsKept : WishEnd::kDecided;
  TRY(wish(cx, meta::SetSettings{std::move(shared)}, end));
  return true;
}

void follow_settings(NodeState& node) {
  ClusterNode& cluster = node.company.cluster();
  Configuration& configuration = node.configuration;
  const uint64_t version = cluster.meta().version();
  if (cluster.membership() != Membership::kMember || configuration.followed_version() == version) return;
  const bool is_first = configuration.followed_version() == 0;
  configuration.set_followed_version(version);
  bool has_changed = false;
  for (const auto& [name, value] : cluster.state().settings()) {
    if (!is_cluster_wide(name) || configuration.value(name) == value) continue;
    const SettingPair pair(name, value);
    const std::string before(configuration.value(name));
    const Status set = configuration.set({&pair, 1}, &node.host);
    has_changed = true;
    if (!set.ok()) {
      node.host.log(LogLevel::kWarning, "setting of the cluster: " + std::string(set.error().detail()));
      continue;
    }
    // Whoever wrote another value for this node may believe that it holds.
    const bool is_overridden = is_first && configuration.was_loaded(name);
    node.host.log(is_overridden ? LogLevel::kWarning : LogLevel::kNotice,
                  "setting of the cluster -> " + name + " is '" + value + "'" +
                      (is_overridden ? ", not '" + before + "' as this node was started with; CONFIG SET changes it at all nodes" : std::string()));
  }
  if (has_changed) settings_changed(node);
}

Status check_agreement(const ClusterState& state, const Configuration& configuration) {
  for (const std::string_view name : kAgreed) {
    const std::string_view theirs = state.setting(name);
    if (theirs.empty() || theirs == configuration.value(name)) continue;
    return Error(ErrorCode::kInvalidArgument, std::string(name) + " is " + std::string(theirs) + " in the cluster and " +
                                                  std::string(configuration.value(name)) + " here");
  }
  return done();
}

}  // namespace quorate
