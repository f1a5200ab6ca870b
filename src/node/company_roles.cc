// Who serves which partition: from roles to serving and back, and what is told of a leader that begins.
#include "node/company.h"

#include <string>
#include <utility>

#include "commands/errors.h"
#include "node/forward.h"
#include "node/host.h"
#include "node/origin_rows.h"
#include "node/routing.h"
#include "node/state.h"
#include "util/check.h"

namespace quorate {

namespace {

bool may_serve(const raft::RoleState& role, const NodeMistakes& mistakes) {
  if (role.serving == raft::Serving::kYes) return true;
  return mistakes.serves_before_applied && role.serving == raft::Serving::kStarting;
}

}  // namespace

void Company::on_role(uint32_t partition, const raft::RoleState& role) {
  if (!may_serve(role, node_.mistakes)) {
    stop_serving(partition);
  } else if (!states_[partition].may_serve_soon) {
    states_[partition].may_serve_soon = true;
    ready_.push_back(partition);
  }
  if (role.role != raft::RoleName::kLeader) {
    lose_reads(partition);
    lose_copies(partition);
  } else {
    states_[partition].needs_at = {};
    on_copies(partition);
  }
}

void Company::serve_who_is_ready() {
  if (ready_.empty()) [[likely]]
    return;
  look_at_clocks();
  std::erase_if(ready_, [&](uint32_t partition) {
    PartitionState& state = states_[partition];
    const raft::Core* const core = cluster_->partitions().core(partition);
    const bool is_still = core != nullptr && may_serve(core->role_state(), node_.mistakes);
    const bool must_apply = is_still && !node_.mistakes.serves_before_applied;
    if (must_apply && cluster_->partitions().state_index(partition) < core->last_index()) return false;
    state.may_serve_soon = false;
    if (is_still && !serves_no_more_) serve(partition);
    return true;
  });
}

// REPLICATION 5: an all-present restart, of all copies or of those that an operator has not given up, may discard what was acknowledged,
// so it is said.
void Company::note_restart_together(uint32_t partition) {
  const raft::Core& core = *cluster_->partitions().core(partition);
  const raft::RoleState role = core.role_state();
  PartitionState& state = states_[partition];
  const bool is_without_some = role.takeover == raft::Takeover::kUnsafeRecovery;
  if (role.takeover != raft::Takeover::kAllPresentRestart && !is_without_some) return;
  if (std::exchange(state.restart_told_term, role.term.value) == role.term.value) return;
  losses_.add({.kind = is_without_some ? Loss::Kind::kRecovery : Loss::Kind::kRestart,
               .partition = partition,
               .term = role.term.value,
               .last_index = core.last_index().value,
               .unix_ms = node_.now.unix_ms});
  loss_file_.want();
  if (is_without_some) {
    ++restarts_.given_up;
    return;
  }
  ++restarts_.partitions;
  // Its first entries say who leads, and who belongs to it.
  constexpr uint64_t kOwnEntries = 2;
  if (core.last_index().value <= kOwnEntries) ++restarts_.empty;
}

void Company::on_begun_anew(uint32_t partition) {
  losses_.add({.kind = Loss::Kind::kRecovery,
               .partition = partition,
               .term = cluster_->partitions().core(partition)->term().value,
               .unix_ms = node_.now.unix_ms});
  loss_file_.want();
  ++restarts_.begun_anew;
}

void Company::tell_restarts_together() {
  const RestartsTogether restarts = std::exchange(restarts_, {});
  if (restarts.begun_anew != 0) {
    node_.host.log(LogLevel::kWarning, "nobody who is left has a copy of " + std::to_string(restarts.begun_anew) +
                                           " partitions, and an operator wants them empty -> they begin with nothing; all that was in them is lost");
  }
  if (restarts.given_up != 0) {
    node_.host.log(LogLevel::kWarning,
                   std::to_string(restarts.given_up) + " partitions have too few voters that remember all without the nodes that an operator has given up -> they "
                   "go on with what the fullest copy left holds; what was acknowledged beyond that is lost");
  }
  if (restarts.partitions == 0) return;
  node_.host.log(LogLevel::kWarning,
                 "too few copies of " + std::to_string(restarts.partitions) + " partitions are certain to remember all -> they go on with what "
                 "the fullest copy holds; what was acknowledged beyond that is lost" +
                     (restarts.empty == 0 ? std::string() : ", and " + std::to_string(restarts.empty) + " of them begin with nothing"));
}

// What the leader before has acknowledged weakly, and nobody else has, is gone.  It has done so only if its log says that it would.
void Company::note_takeover(uint32_t partition, raft::Takeover takeover) {
  const uint64_t term = states_[partition].term;
  const uint64_t weak_term = rows_[partition].weak_term();
  if (weak_term == 0 || weak_term >= term) return;
  // With this leadership that is over: the next entry says so.
  rows_[partition].begin_term(term);
  if (takeover != raft::Takeover::kElection) return;
  losses_.add({.kind = Loss::Kind::kTakeover, .partition = partition, .term = term, .unix_ms = node_.now.unix_ms});
  loss_file_.want();
}

void Company::serve(uint32_t partition) {
  note_restart_together(partition);
  PartitionState& state = states_[partition];
  // What the log holds and is not committed yet was executed elsewhere: of unknown keys.
  state.all_keys_write = state.last_write = cluster_->partitions().state_index(partition).value;
  state.key_writes.fill(0);
  const raft::Core& core = *cluster_->partitions().core(partition);
  if (std::exchange(state.term, core.term().value) != core.term().value) {
    state.weak_index = state.weak_noted = state.weak_said = 0;
    state.unacknowledged.clear();
    note_takeover(partition, core.role_state().takeover);
  }
  state.serves = true;
  count_uncommitted(partition);
  ++serving_version_;
  state.trusted_until_us = INT64_MIN;
  key_versions_.begin(partition, state.term);
  node_.store.set_led(partition, Led::kYes);
}

void Company::stop_serving(uint32_t partition) {
  PartitionState& state = states_[partition];
  if (!std::exchange(state.serves, false)) return;
  count_uncommitted(partition);
  ++serving_version_;
  CHECK(!state.is_touched);
  // What no entry says may have been run by what was old already.
  rows_[partition].forget_news();
  key_versions_.end(partition);
  node_.store.set_led(partition, Led::kNo);
  node_.forwarding->on_stop_serving(partition);
  partition_is_left(node_, partition);
}

void Company::count_uncommitted(uint32_t partition) {
  PartitionState& state = states_[partition];
  const uint64_t bytes = state.serves ? cluster_->partitions().core(partition)->log().uncommitted_bytes() : 0;
  uncommitted_bytes_ += bytes - std::exchange(state.uncommitted_bytes, bytes);
}

bool Company::is_trusted_again(uint32_t partition, int64_t now_us) {
  if (node_.mistakes.read_without_lease) return true;
  PartitionState& state = states_[partition];
  state.trusted_until_us = cluster_->partitions().core(partition)->unrivalled_until_us();
  return now_us < state.trusted_until_us;
}

void Company::set_draining(Draining draining) {
  if (std::exchange(is_silent_, false)) mark_.go_on();
  propose();
  if (draining == Draining::kNo && serves_no_more_) {
    serves_no_more_ = false;
    for (uint32_t partition = 0; partition < states_.size(); ++partition) {
      if (const raft::Core* const core = cluster_->partitions().core(partition)) on_role(partition, core->role_state());
    }
  }
  beats::Health health = cluster_->groups().health();
  health.is_draining = draining == Draining::kYes;
  cluster_->set_health(wall_now(), health);
}

void Company::tell_health(const beats::Health& health) {
  propose();
  cluster_->set_health(wall_now(), health);
}

std::optional<Error> Company::exclusion() const {
  if (!in_company_ || cluster_->membership() == Membership::kMember) [[likely]]
    return std::nullopt;
  if (cluster_->membership() == Membership::kJoining) return errors::not_joined_yet(cluster_->seed_names());
  if (cluster_->was_removed()) return errors::node_was_removed();
  return errors::cluster_refuses_node(cluster_->refusal());
}

void Company::stop_serving_all() {
  propose();
  serves_no_more_ = true;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) stop_serving(partition);
}

}  // namespace quorate
