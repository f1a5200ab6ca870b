// CONFIG: the settings of the running server (node/config.h has their table and rules).
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/cluster_settings.h"
#include "node/commands/node_families.h"
#include "node/config.h"
#include "node/context.h"
#include "node/info.h"

namespace quorate {

namespace {

// No setting, and told by its whole name only: so clients that ask for all settings see settings alone.
constexpr std::string_view kClusterWide = "cluster-wide-settings";

std::string cluster_wide_names() {
  std::vector<std::string_view> names;
  for (const Setting& row : setting_table()) {
    if (row.is_cluster_wide) names.push_back(row.name);
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : " ").append(name);
  return text;
}

Status config_get(NodeContext& cx) {
  const Args patterns = cx.args.subspan(2);
  const auto pairs = cx.node.configuration.get(patterns);
  const bool tells_which = std::any_of(patterns.begin(), patterns.end(), [](std::string_view each) { return same_word(each, kClusterWide); });
  cx.reply.map(pairs.size() + (tells_which ? 1 : 0));
  if (tells_which) {
    cx.reply.bulk(kClusterWide);
    cx.reply.bulk(cluster_wide_names());
  }
  for (const auto& [name, value] : pairs) {
    cx.reply.bulk(name);
    cx.reply.bulk(value);
  }
  return done();
}

Status config_set(NodeContext& cx) {
  if (cx.size() % 2 != 0) return errors::wrong_arity("config|set");
  std::vector<SettingPair> pairs;
  for (size_t i = 2; i < cx.size(); i += 2) pairs.emplace_back(cx[i], cx[i + 1]);
  if (cx.node.flags & kNodeInCompany) {
    TRY(const bool waits, set_in_company(cx, pairs));
    if (!waits) cx.reply.ok();
    return done();
  }
  const auto canonical = cx.node.configuration.canonical(pairs);
  if (!canonical.ok()) return errors::config_set(canonical.error().detail());
  const Status set = cx.node.configuration.set(pairs, &cx.node.host);
  if (!set.ok()) return errors::config_set(set.error().detail());
  cx.reply.ok();  // execute() calls settings_changed() after every admin command
  return done();
}

Status config_rewrite(NodeContext& cx) {
  const Status rewritten = cx.node.host.rewrite_config();
  if (!rewritten.ok()) {
    if (rewritten.error().code() == ErrorCode::kUnsupported) return errors::no_config_file();
    return errors::config_rewrite(rewritten.error().detail());
  }
  cx.reply.ok();
  return done();
}

Status config_resetstat(NodeContext& cx) {
  reset_statistics(cx.node);
  cx.reply.ok();
  return done();
}

constexpr uint32_t kFlags = kAdmin | kNoScript | kLoading | kStale;

constexpr CommandSpec kTable[] = {
    {.name = "config|get",
     .arity = -3,
     .flags = kFlags,
     .syntax = "parameter [parameter ...]",
     .summary = "Gives the settings whose names match the patterns, with their values.",
     .complexity = "O(N) in the number of settings",
     .since = "2.0.0",
     .history = "7.0.0: Added the ability to pass multiple pattern parameters in one call",
     .group = Group::kServer,
     .run_on_node = config_get},
    {.name = "config|help",
     .arity = 2,
     .flags = kLoading | kStale,
     .summary = "Lists the subcommands of CONFIG.",
     .complexity = "O(1)",
     .since = "5.0.0",
     .group = Group::kServer},
    {.name = "config|resetstat",
     .arity = 2,
     .flags = kFlags,
     .summary = "Sets the counters of INFO back to zero.",
     .complexity = "O(1)",
     .since = "2.0.0",
     .group = Group::kServer,
     .run_on_node = config_resetstat},
    {.name = "config|rewrite",
     .arity = 2,
     .flags = kFlags,
     .summary = "Writes the running settings into the configuration file.",
     .complexity = "O(1)",
     .since = "2.8.0",
     .group = Group::kServer,
     .run_on_node = config_rewrite},
    {.name = "config|set",
     .arity = -4,
     .flags = kFlags,
     .syntax = "<parameter value> ...",
     .summary = "Changes settings, all or none.",
     .complexity = "O(N) in the number of settings given",
     .since = "2.0.0",
     .history = "7.0.0: Added the ability to set multiple parameters in one call.",
     .group = Group::kServer,
     .tips = "request_policy:all_nodes,response_policy:all_succeeded",
     .run_on_node = config_set},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> config_commands() { return kTable; }

}  // namespace quorate
