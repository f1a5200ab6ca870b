// The node's own work, in bounded steps: no turn may take long, whatever is to be done.
#include "node/upkeep.h"

#include <algorithm>
#include <utility>

#include "commands/errors.h"
#include "node/blocking.h"
#include "node/changes.h"
#include "node/execute.h"
#include "node/followers.h"
#include "node/forward.h"
#include "node/host.h"
#include "node/memory_limit.h"
#include "node/output.h"
#include "node/persistence.h"
#include "node/pubsub_links.h"
#include "util/block.h"
#include "util/memory.h"

namespace quorate {

namespace {

constexpr int64_t kUpkeepPeriodUs = 100'000;
constexpr int64_t kSecondUs = 1'000'000;
// What one slice may touch: some dozen microseconds each.  Where commands take longer than the pause a slice does as much
// more, up to the greatest.
constexpr size_t kFreeBudget = 200;
constexpr size_t kFreeBudgetMax = 1000;
constexpr size_t kExpireBudget = 250;
constexpr size_t kExpireBudgetMax = 3000;
// System calls that give empty pages of small blocks back, in a slice: a few microseconds each.  What is left never asks for
// another slice: when a node acts must not depend on what else the process has allocated.
constexpr size_t kReleaseCalls = 8;
// More than one expired key in ten looked at: the next slice follows soon (Redis' threshold).  Of the budget removing one
// takes as much as looking at eight.
constexpr size_t kExpireAgainPart = 18;
constexpr size_t kSessionsPerStep = 256;

// Of expiry and freeing, where the last slice left nothing: there is one every tenth of a second then.
constexpr size_t kSlicesOfUpkeep = 4;

// How many slices' work is due: a few, or as many as found no time since the last one if that left some.
size_t slices_due(const NodeState& node) {
  if (!node.background_work_left) return kSlicesOfUpkeep;
  const int64_t since_us = node.now.steady_us - node.slices_ended_us;
  return static_cast<size_t>(std::clamp<int64_t>(since_us / kSlicePauseUs, 1, INT32_MAX));
}

void expire_keys(NodeState& node, size_t slices) {
  if (!node.store_settings.active_expire || node.pause != PauseKind::kNone) return;
  bool wrapped = false;
  const auto effort = static_cast<size_t>(std::max<int64_t>(1, node.store_settings.active_expire_effort));
  const size_t budget = std::min(kExpireBudget * slices, kExpireBudgetMax) * effort;
  const size_t expired = node.store.expire_some(budget, wrapped);
  if (expired * kExpireAgainPart > budget && !wrapped) node.background_work_left = true;
  announce_changes(node);
}

void work_in_background(NodeState& node) {
  const size_t slices = slices_due(node);
  node.background_work_left = false;
  node.has_sliced = true;
  if (node.store.do_background_work(std::min(kFreeBudget * slices, kFreeBudgetMax))) node.background_work_left = true;
  block_release_some(kReleaseCalls);
  if (node.pause == PauseKind::kNone) relieve_memory(node);
  announce_changes(node);
  expire_keys(node, slices);
}

void check_session(NodeState& node, Session& session) {
  if (session.has(kClosing)) return;
  check_output_limit(node, session);
  const int64_t idle_us = node.now.steady_us - session.active_us;
  const int64_t timeout_us = node.settings.timeout * kSecondUs;
  if (timeout_us > 0 && idle_us > timeout_us &&
      !session.has(kBlocked | kBlockedElsewhere | kPostponed | kSubscribed | kMonitoring | kReplicaLink)) {
    close_session(node, session, CloseWhen::kNow);
  }
}

void sample_rates(NodeState& node) {
  Statistics& statistics = node.statistics;
  const int64_t now_us = node.now.steady_us;
  statistics.commands_rate.sample(statistics.commands_processed, now_us);
  statistics.received_rate.sample(statistics.bytes_received, now_us);
  statistics.sent_rate.sample(statistics.bytes_sent, now_us);
  statistics.memory_peak = std::max(statistics.memory_peak, mem_used());
}

// Once for each time of trouble: the log is tried again every second.
void tell_log_trouble(NodeState& node) {
  const bool refuses = node.durability.refuses_writes();
  if (refuses && !node.log_trouble_told) {
    node.host.log(LogLevel::kWarning, "the log can't be written (" + std::string(node.durability.failure_detail()) +
                                          ") -> writes are refused, and tried again every second");
    node.log_trouble_told = true;
  } else if (!refuses && node.log_trouble_told && !node.durability.has_pending()) {
    node.host.log(LogLevel::kWarning, "the log can be written again -> writes are accepted");
    node.log_trouble_told = false;
  }
}

void run_periodic(NodeState& node) {
  settings_changed(node);
  sample_rates(node);
  work_in_background(node);
  node.sessions.for_some(kSessionsPerStep, [&](Session& session) { check_session(node, session); });
  if (node.now.steady_us - node.last_second_us >= kSecondUs) {
    node.last_second_us = node.now.steady_us;
    node.durability.on_second();
    settings_changed(node);  // it may have begun to try again
  }
  node.company.look_at_disk();
  node.company.look_at_clocks();
  node.company.end_overdue();
  run_persistence(node);
  look_after_followers(node);
  node.next_upkeep_us = node.now.steady_us + kUpkeepPeriodUs;
}

}  // namespace

void run_upkeep(NodeState& node) {
  const int64_t now_us = node.now.steady_us;
  if ((node.flags & kNodeBusy) && now_us >= node.busy_until_us) end_busy(node);
  if (node.flags & kNodeBusy) return;
  if ((node.flags & kNodePaused) && now_us >= node.pause_until_us) end_pause(node);
  expire_waiting(node);
  if (node.forwarding != nullptr) node.forwarding->tick();
  if (node.pubsub != nullptr) node.pubsub->tick();
  if (now_us >= node.next_upkeep_us) {
    run_periodic(node);
  } else if (node.background_work_left) {
    work_in_background(node);
  }
  step_persistence(node);
  if (!node.ready_keys.empty()) serve_ready_keys(node);
}

int64_t upkeep_deadline(const NodeState& node) {
  if (node.flags & kNodeBusy) return node.busy_until_us;
  if (!node.to_resume.empty()) return node.now.steady_us;
  int64_t deadline = node.next_upkeep_us;
  if (node.flags & kNodePaused) deadline = std::min(deadline, node.pause_until_us);
  if (!node.block_deadlines.empty()) deadline = std::min(deadline, node.block_deadlines.begin()->first);
  deadline = std::min({deadline, node.waits.next_look_us, node.keyspace.next_look_us});
  if (node.forwarding != nullptr) deadline = std::min(deadline, node.forwarding->deadline());
  if (node.background_work_left) deadline = std::min(deadline, node.now.steady_us + kSlicePauseUs);
  return std::min(deadline, persistence_deadline(node));
}

void settings_changed(NodeState& node) {
  const auto set = [&](uint32_t bit, bool on) { node.flags = on ? node.flags | bit : node.flags & ~bit; };
  set(kNodeMemoryLimited, node.store_settings.maxmemory != 0);
  const int64_t slow_us = node.settings.slowlog_log_slower_than;
  set(kNodeExactTimes, (slow_us >= 0 && slow_us < 1000) || node.settings.latency_monitor_threshold > 0);
  node.slow_log.trim(node.settings.slowlog_max_len);
  node.company.level_settings_changed();
  node.company.follow_masterauth();
  node.company.follow_own_share();
  set(kNodeHasLevels, node.company.is_alone() && (!node.company.levels_are_plain() || node.settings.min_zones > 1));
  persistence_settings_changed(node);
  node.store.set_frozen(node.durability.refuses_writes());
  set(kNodeWritesRefused, refuses_writes(node));
  node.update_observed();
}

void on_disk_reply(NodeState& node, DiskReply&& reply) {
  if (node.durability.owns(reply.id)) {
    const bool refused = node.durability.refuses_writes();
    node.durability.on_reply(std::move(reply));
    if (!refused && node.durability.must_stop()) {
      node.company.distrust_disk();
      node.host.log(LogLevel::kWarning, "a sync of the log failed, so what the disk holds is unknown -> ending");
      node.host.end_process(ProcessEnd::kFailed);
    }
    if (refused != node.durability.refuses_writes()) settings_changed(node);
    tell_log_trouble(node);
    node.company.on_log_progress();
    release_held(node);
  } else if (node.company.mark().owns(reply.id)) {
    node.company.mark().on_reply(std::move(reply));
  } else if (node.company.loss_file().owns(reply.id)) {
    node.company.loss_file().on_reply(std::move(reply));
    node.company.on_losses_stored();
    release_held(node);
  } else {
    on_snapshot_reply(node, std::move(reply));
  }
}

Error write_refusal(const NodeState& node) {
  if (node.durability.refuses_writes()) {
    return errors::misconf_log(node.durability.failure_detail());
  }
  if (node.flags & kNodeWritesRefused) return errors::misconf_snapshot();
  const uint64_t limit = node.settings.max_uncommitted_bytes;
  return node.company.is_alone() ? errors::too_much_unwritten(limit) : errors::too_much_uncommitted(limit);
}

}  // namespace quorate
