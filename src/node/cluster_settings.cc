// Between CONFIG and the meta group.
#include "node/cluster_settings.h"

#include <string>
#include <utility>

#include "cluster/cluster_node.h"
#include "commands/errors.h"
#include "node/company.h"
#include "node/host.h"
#include "node/upkeep.h"
#include "node/wishes.h"

namespace quorate {

namespace {

// Of a node that differs the data could not be held.
constexpr std::string_view kAgreed[] = {"databases"};

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
  const Status set = configuration.set(own, &cx.node.host);
  if (!set.ok()) return errors::config_set(set.error().detail());
  if (shared.empty()) return false;
  TRY(wish(cx, meta::SetSettings{std::move(shared)}));
  return true;
}

void propose_own_settings(NodeState& node) {
  ClusterNode& cluster = node.company.cluster();
  for (const meta::SetSetting& own : founding_settings(node.configuration)) {
    if (cluster.state().setting(own.name) != own.value) cluster.propose(own);
  }
}

void follow_settings(NodeState& node) {
  ClusterNode& cluster = node.company.cluster();
  Configuration& configuration = node.configuration;
  const uint64_t version = cluster.meta().version();
  if (cluster.membership() != Membership::kMember || configuration.followed_version() == version) return;
  configuration.set_followed_version(version);
  bool has_changed = false;
  for (const auto& [name, value] : cluster.state().settings()) {
    if (!is_cluster_wide(name) || configuration.value(name) == value) continue;
    const SettingPair pair(name, value);
    const Status set = configuration.set({&pair, 1}, &node.host);
    has_changed = true;
    node.host.log(set.ok() ? LogLevel::kNotice : LogLevel::kWarning,
                  set.ok() ? "setting of the cluster -> " + name + " is '" + value + "'"
                           : "setting of the cluster: " + std::string(set.error().detail()));
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
