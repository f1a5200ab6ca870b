// Levels of writes and reads in company: what a reply waits for, and when a command is refused because its level cannot be met.
#include <algorithm>
#include <utility>

#include "commands/errors.h"
#include "commands/keys.h"
#include "node/command_index.h"
#include "node/company.h"
#include "node/host.h"
#include "node/origin_rows.h"
#include "node/output.h"
#include "node/state.h"
#include "node/zones.h"
#include "util/check.h"

namespace quorate {

namespace {

using Kind = ReadLevel::Kind;

constexpr Levels kPlain{.write = {WriteLevel::kQuorum}, .read = {.kind = Kind::kLease}};

// Of both halves while the voters change.
template <class OfHalf>
std::pair<uint32_t, uint32_t> least_and_most(const raft::Configuration& configuration, OfHalf&& of_half) {
  const uint32_t incoming = of_half(configuration.incoming);
  if (!configuration.joint()) return {incoming, incoming};
  const uint32_t outgoing = of_half(*configuration.outgoing);
  return std::minmax(incoming, outgoing);
}

// How many copies the level means now.  Two nodes have one voter, and the other one's copy counts (REPLICATION 7).
uint32_t copies_wanted(const raft::Configuration& configuration, WriteLevel level) {
  const bool is_of_all = level.copies == WriteLevel::kAll;
  if (!is_of_all && level.copies != WriteLevel::kQuorum) return level.copies;
  return least_and_most(configuration, [&](const raft::Half& half) {
           const auto voters = static_cast<uint32_t>(half.voters.size());
           if (!is_of_all) return voters / 2 + 1;
           return voters == 1 && !configuration.learners.empty() ? 2 : voters;
         }).second;
}

uint64_t match_of(const raft::Core& leader, const raft::Member& member) {
  for (const raft::Progress& progress : leader.progress()) {
    if (progress.member() == member) return progress.match().value;
  }
  return 0;
}

bool is_synced_mode(const raft::Configuration& configuration) {
  return configuration.mode_version != 0 && configuration.durability == raft::Durability::kSynced;
}

uint32_t confirmations_wanted(const raft::Configuration& configuration) {
  return least_and_most(configuration, [](const raft::Half& half) { return half.quorums().confirmation; }).second;
}

// The log holds the very entry that was meant.  Terms of entries before the base are forgotten; but a leader's entries follow one another, so
// that the base is of the same leadership vouches for all of it that is before.
bool has_place(const raft::Log& log, const LogPlace& place) {
  const raft::Index index = std::max(raft::Index{place.index}, log.base().index);
  const auto term = log.term_at(index);
  return term && term->value == place.term;
}

}  // namespace

// ---- what is asked -----------------------------------------------------------------------------------------

Levels Company::levels_of(const Session& session, std::string_view key) const {
  const Levels asked = session.once_levels.or_else(session.levels);
  const Levels initial{.write = node_.settings.write_quorum, .read = node_.settings.read_quorum};
  if (node_.settings.quorum_policies.empty()) [[likely]]
    return asked.or_else(initial);
  const QuorumPolicy* const policy = policy_of(node_.settings.quorum_policies, key);
  return asked.or_else(policy == nullptr ? initial : policy->levels.or_else(initial));
}

// Only those with policies of their own are worth the search.
std::vector<std::string_view> Company::level_keys(const Command& row, Args args) const {
  if (row.has_one_key || node_.settings.quorum_policies.empty()) [[likely]]
    return {};
  return names_of_keys(*row.spec, args);
}

void Company::level_settings_changed() {
  const Levels now{.write = node_.settings.write_quorum, .read = node_.settings.read_quorum};
  levels_are_plain_ = now == kPlain && node_.settings.quorum_policies.empty();
  const bool has_as_many_zones = std::exchange(min_zones_, node_.settings.min_zones) == node_.settings.min_zones;
  if (std::exchange(default_levels_, now) == now && has_as_many_zones) [[likely]]
    return;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) {
    states_[partition].needs_at = {};
    on_copies(partition);
  }
}

// A member may be in another zone than before.
void Company::follow_zones() {
  const uint64_t version = cluster_->meta().version();
  if (min_zones_ <= 1 || std::exchange(zones_version_, version) == version) [[likely]]
    return;
  for (uint32_t partition = 0; partition < states_.size(); ++partition) on_copies(partition);
}

Company::WriteNeeds Company::write_needs(const raft::Core& core, WriteLevel level) const {
  const raft::Configuration& configuration = core.configuration();
  const uint32_t wanted = copies_wanted(configuration, level);
  const auto [least, most] = least_and_most(configuration, [](const raft::Half& half) { return half.quorums().commit; });
  // What is committed has as many copies as a commit needs.
  const bool needs_commit = wanted >= most;
  const bool needs_copies = !needs_commit || wanted > least;
  return {.commit = needs_commit, .zones = min_zones_ > 1, .copies = static_cast<uint8_t>(needs_copies ? wanted : 0)};
}

// What the strictest of the keys wants.
Company::WriteNeeds Company::write_needs(const Session& session, uint32_t partition, std::string_view key, LevelKeys keys) const {
  if (!session.has(kHasLevels) && levels_are_plain_) [[likely]]
    return states_[partition].default_needs;
  WriteNeeds sum{.commit = false};
  each_levels(session, key, keys, [&](const Levels& levels) {
    const WriteNeeds needs = write_needs(*cluster_->partitions().core(partition), levels.write);
    sum.commit = sum.commit || needs.commit;
    sum.zones = sum.zones || needs.zones;
    sum.copies = std::max(sum.copies, needs.copies);
  });
  return sum;
}

// ---- what is refused ---------------------------------------------------------------------------------------

// Those whose beats are heard.  Of a half that is smaller all are enough, so that nothing is refused while voters come or go.
std::optional<uint32_t> Company::too_few_live(const raft::Core& core, Counted counted, uint32_t wanted) const {
  const Groups& groups = cluster_->groups();
  const raft::Configuration& configuration = core.configuration();
  const auto is_live = [&](const raft::Member& member) {
    return member == core.options().self || groups.hears(member.node);
  };
  const auto count = [&](const raft::Half& half, auto&& is_counted) {
    auto members = std::count_if(half.voters.begin(), half.voters.end(), is_counted);
    if (counted == Counted::kCopies && half.voters.size() == 1) {
      members += std::count_if(configuration.learners.begin(), configuration.learners.end(), is_counted);
    }
    return static_cast<uint32_t>(members);
  };
  const auto size_of = [&](const raft::Half& half) { return count(half, [](const raft::Member&) { return true; }); };
  const uint32_t most = least_and_most(configuration, size_of).second;
  const auto lacks = [&](const raft::Half& half) { return count(half, is_live) < (wanted > most ? wanted : std::min(wanted, size_of(half))); };
  if (lacks(configuration.incoming)) return count(configuration.incoming, is_live);
  if (configuration.joint() && lacks(*configuration.outgoing)) return count(*configuration.outgoing, is_live);
  return std::nullopt;
}

std::optional<uint32_t> Company::too_few_zones(const raft::Core* core) const {
  if (node_.settings.min_zones <= 1) return std::nullopt;
  const auto wanted = static_cast<uint32_t>(node_.settings.min_zones);
  if (core == nullptr) return 1;
  const auto is_live = [&](const raft::Member& member) -> uint64_t {
    return member == core->options().self || cluster_->groups().hears(member.node) ? 1 : 0;
  };
  const raft::Configuration& configuration = core->configuration();
  if (reached_in_zones(configuration, cluster_->state(), wanted, is_live) != 0) return std::nullopt;
  return values_of_zones(configuration, configuration.incoming, cluster_->state(), is_live).count_from(1);
}

std::optional<Error> Company::level_refusal(const Session& session, uint32_t command_flags, std::string_view key, LevelKeys keys,
                                            uint32_t partition) const {
  std::optional<Error> error;
  each_levels(session, key, keys, [&](const Levels& levels) {
    if (!error) error = level_refusal(levels, command_flags, partition);
  });
  return error;
}

std::optional<Error> Company::level_refusal(const Levels& levels, uint32_t command_flags, uint32_t partition) const {
  const raft::Core* const core = in_company_ ? cluster_->partitions().core(partition) : nullptr;
  const auto lacking = [&](Counted counted, uint32_t wanted) -> std::optional<uint32_t> {
    if (core != nullptr) return too_few_live(*core, counted, wanted);
    return wanted > 1 ? std::optional(1u) : std::nullopt;
  };
  if ((command_flags & kWrite) != 0) {
    const bool is_number = levels.write.copies <= WriteLevel::kCopiesMax;
    const uint32_t alone = is_number ? levels.write.copies : 1;
    const uint32_t wanted = core != nullptr ? copies_wanted(core->configuration(), levels.write) : alone;
    if (const auto live = lacking(Counted::kCopies, wanted)) return errors::too_few_copies(wanted, *live);
    if (const auto zones = too_few_zones(core)) return errors::too_few_zones(static_cast<uint32_t>(node_.settings.min_zones), *zones);
  }
  if ((command_flags & kReadonly) != 0 && levels.read.kind == Kind::kCount) {
    if (const auto live = lacking(Counted::kVoters, levels.read.number)) return errors::too_few_voters(levels.read.number, *live);
  }
  return std::nullopt;
}

// ---- what a reply waits for --------------------------------------------------------------------------------

LevelStreams& Company::level_streams(uint32_t partition) {
  std::unique_ptr<LevelStreams>& streams = states_[partition].levels;
  if (streams == nullptr) streams = std::make_unique<LevelStreams>(node_.streams);
  return *streams;
}

void Company::await_write(Session& session, uint32_t partition, uint64_t index, WriteNeeds needs) {
  if (needs.commit) await_commit(session, partition, index);
  if (needs.noted > loss_file_.durable()) {
    noted_wait_since_us_ = std::min(noted_wait_since_us_, node_.now.steady_us);
    await(node_, session, {losses_stream_, needs.noted});
  }
  if (needs.copies != 0) await_copies(session, partition, index, needs.copies);
  if (needs.zones) await_copies(session, partition, index, LevelStreams::kOfZones);
}

void Company::await_copies(Session& session, uint32_t partition, uint64_t index, uint32_t count) {
  LevelStreams& streams = level_streams(partition);
  const bool is_first = !streams.uses_copies(count);
  const Need need = streams.copies(count, index, node_.now.steady_us);
  // Copies that have it already are not told again.
  if (is_first) on_copies(partition);
  await(node_, session, need);
}

// While too much is not committed, nothing is acknowledged before it is.
Company::WriteNeeds Company::bounded(uint32_t partition, uint64_t index, WriteNeeds needs) {
  PartitionState& state = states_[partition];
  const NodeSettings& settings = node_.settings;
  const bool is_too_much =
      state.unacknowledged.is_beyond(node_.now.steady_us, settings.max_unacked_ms * 1000, settings.max_unacked_bytes);
  if (is_too_much || loss_file_.has_failed()) {
    needs.commit = true;
    return needs;
  }
  // Whoever leads next is to know that something may have been acknowledged so.
  if (state.weak_said == 0) {
    state.weak_said = index;
    rows_[partition].say_weak(state.term);
  }
  if (cluster_->partitions().commit_index(partition).value < state.weak_said) {
    needs.commit = true;
    return needs;
  }
  state.weak_index = index;
  // A start that finds these entries gone must know that they may have been acknowledged.
  if (state.weak_noted == 0) {
    losses_.note_weak(partition, state.term);
    state.weak_noted = loss_file_.want();
  }
  needs.noted = state.weak_noted;
  return needs;
}

// What the log still holds of the terms in which something was acknowledged weakly may yet be lost.
void Company::remember_weak() {
  for (const auto& [partition, term] : losses_.weak_terms()) {
    if (partition >= states_.size()) continue;
    const auto found = restored_->groups.find(group_of_partition(partition));
    if (found == restored_->groups.end()) continue;
    for (const raft::Entry& entry : found->second.restored.entries) {
      if (entry.term.value != term) continue;
      states_[partition].term = term;
      states_[partition].weak_index = entry.index.value;
    }
  }
}

void Company::on_losses_stored() {
  node_.streams.advance(losses_stream_, loss_file_.durable());
  if (loss_file_.is_settled()) noted_wait_since_us_ = kNever;
}

void Company::note_loss(uint32_t partition, std::span<const raft::Entry> entries) {
  PartitionState& state = states_[partition];
  // What was answered weakly is of the term in which it last served; what a snapshot replaces begins with older ones.
  const auto is_own = [&](const raft::Entry& entry) { return entry.term.value == state.term; };
  const auto first = std::find_if(entries.begin(), entries.end(), is_own);
  if (first == entries.end() || first->index.value > state.weak_index) return;
  const auto last = std::find_if(entries.rbegin(), entries.rend(), is_own);
  const Loss loss{.kind = Loss::Kind::kLost,
                  .partition = partition,
                  .term = state.term,
                  .first_index = first->index.value,
                  .last_index = std::min(state.weak_index, last->index.value),
                  .unix_ms = node_.now.unix_ms};
  losses_.add(loss);
  loss_noted_ = loss_file_.want();
  node_.host.log(LogLevel::kWarning, "partition " + std::to_string(partition) + ": entries " + std::to_string(loss.first_index) + " to " +
                                         std::to_string(loss.last_index) + " of term " + std::to_string(loss.term) +
                                         " were acknowledged before they were committed, and are lost");
}

Company::ReadNeeds Company::read_needs(uint32_t partition, ReadLevel level) const {
  switch (level.kind) {
    case Kind::kUnset:
    case Kind::kLease:
    case Kind::kBounded:  // by the leader it is answered as it is now
      break;
    case Kind::kLocal:
      return {.commit = false};
    case Kind::kQuorum:
      return {.round = 1};
    case Kind::kCount: {
      const raft::Core* const core = cluster_->partitions().core(partition);
      if (core != nullptr && level.number < confirmations_wanted(core->configuration())) return {.commit = false};
      return {.round = static_cast<uint8_t>(level.number)};
    }
  }
  return {.lease = true};
}

// What the strictest of the keys wants.
Company::ReadNeeds Company::read_needs(const Session& session, uint32_t partition, std::string_view key, LevelKeys keys) const {
  ReadNeeds sum{.commit = false};
  each_levels(session, key, keys, [&](const Levels& levels) {
    const ReadNeeds needs = read_needs(partition, levels.read);
    sum.commit = sum.commit || needs.commit;
    sum.lease = sum.lease || needs.lease;
    sum.round = std::max(sum.round, needs.round);
  });
  return sum;
}

void Company::await_round(Session& session, uint32_t partition, uint32_t voters) {
  PartitionState& state = states_[partition];
  LevelStreams& streams = level_streams(partition);
  if (!state.is_read && !streams.has_rounds_of_turn()) read_.push_back(partition);
  await(node_, session, streams.round(voters));
}

// ---- copies --------------------------------------------------------------------------------------------------

// Also: the members or the settings have changed.
void Company::on_copies(uint32_t partition) {
  PartitionState& state = states_[partition];
  const raft::Core* const core = cluster_->partitions().core(partition);
  if (core == nullptr || core->role() != raft::RoleName::kLeader || core->configuration().unknown()) return;
  if (state.needs_at != core->configuration_at()) {
    state.needs_at = core->configuration_at();
    state.default_needs = write_needs(*core, default_levels_.write);
  }
  if (state.levels == nullptr || !state.levels->uses_any_copies()) [[likely]]
    return;
  // What can be counted only up to fewer copies says nothing about more.
  const uint32_t possible = std::min(core->copies_possible(), LevelStreams::kCountMax);
  for (uint32_t count = 1; count <= possible; ++count) {
    if (!state.levels->uses_copies(count)) continue;
    raft::Index index = core->copies(count);
    if (node_.mistakes.counts_itself_unstored && count == 1) index = core->last_index();
    state.levels->advance_copies(count, index.value, node_.now.steady_us);
  }
  if (!state.levels->uses_copies(LevelStreams::kOfZones)) return;
  state.levels->advance_copies(LevelStreams::kOfZones, index_in_zones(*core), node_.now.steady_us);
}

// Up to where copies in as many zones as there shall be hold the log.
uint64_t Company::index_in_zones(const raft::Core& core) const {
  const auto zones = static_cast<uint32_t>(std::max<int64_t>(min_zones_, 1));
  if (node_.mistakes.ignores_zones) return core.commit_index().value;
  return reached_in_zones(core.configuration(), cluster_->state(), zones, [&](const raft::Member& member) { return match_of(core, member); });
}

uint64_t Company::copies_told(uint32_t partition, uint32_t count) const {
  const std::unique_ptr<LevelStreams>& streams = states_[partition].levels;
  return streams == nullptr || !streams->uses_copies(count) ? 0 : streams->copies_told(count);
}

// Who holds anything of a partition holds what it began with; unless that was lost with those that were given up.
bool Company::has_written(const raft::Core& core, const LogPlace& place) const {
  const bool is_as_founded = core.epoch().none() && cluster_->state().plan()[place.partition].first_replica == 0;
  return (is_founding_place(place) && is_as_founded) || has_place(core.log(), place);
}

std::optional<Company::CopiesThere> Company::copies_there(const LogPlace& place) const {
  const raft::Core* const core = cluster_->partitions().core(place.partition);
  if (core == nullptr || core->role() != raft::RoleName::kLeader) return std::nullopt;
  const raft::Index index{place.index};
  if (!has_written(*core, place)) {
    // Once an entry of a newer leadership is committed, nobody's log will hold what this one's does not.
    const bool is_settled = core->term().value > place.term && core->role_state().serving == raft::Serving::kYes;
    return CopiesThere{.is_gone = is_settled};
  }
  CopiesThere there{.is_stored = core->stored_index() >= index};
  const bool has_one_voter = core->configuration().voters().size() == 1;
  // Whoever has stored the entry that says so has synced it, and all before it.
  there.is_synced = is_synced_mode(core->committed_configuration().configuration) && is_synced_mode(core->configuration());
  const raft::Index synced_from = core->configuration_at().index;
  for (const raft::Progress& progress : core->progress()) {
    const bool is_counted = has_one_voter || core->configuration().is_voter(progress.member().replica);
    if (!is_counted || progress.member() == core->options().self || progress.match() < index) continue;
    ++there.others;
    there.is_synced = there.is_synced && progress.match() >= synced_from;
  }
  // A cluster of before, whose members have not said what it means: it is believed to be what it means here.
  if (cluster_->state().mode_version() == 0) there.is_synced = kept_mode() == raft::Durability::kSynced;
  if (core->commit_index() < index) {
    const uint32_t commit = least_and_most(core->configuration(), [](const raft::Half& half) { return half.quorums().commit; }).second;
    there.others = std::min(there.others, std::max(commit, 2u) - 2);
  }
  return there;
}

bool Company::has_stored(const LogPlace& place) const {
  const raft::Core* const core = cluster_->partitions().core(place.partition);
  return core != nullptr && has_written(*core, place) && core->stored_index() >= raft::Index{place.index};
}

// Learners count while there is one voter.
std::vector<NodeId> Company::counted_copies(uint32_t partition) const {
  std::vector<NodeId> nodes;
  const raft::Core* const core = cluster_->partitions().core(partition);
  if (core != nullptr && !core->configuration().unknown()) {
    const raft::Configuration& configuration = core->configuration();
    const bool has_one_voter = configuration.voters().size() == 1;
    for (const raft::Member& member : configuration.members()) {
      if (has_one_voter || configuration.is_voter(member.replica)) nodes.push_back(member.node.value);
    }
    return nodes;
  }
  const std::span<const PlannedPartition> plan = cluster_->state().plan();
  if (partition >= plan.size()) return nodes;
  const std::vector<PlannedReplica>& planned = plan[partition].replicas;
  const size_t count = plan[partition].voters == 1 ? planned.size() : plan[partition].voters;
  for (size_t index = 0; index < std::min(count, planned.size()); ++index) nodes.push_back(planned[index].node);
  return nodes;
}

void Company::ask_leader(uint32_t partition, uint64_t kind, std::string_view bytes) {
  const NodeId leader = leader_of(partition);
  if (leader != 0 && leader != own_id()) send(leader, kind, bytes, {});
}

uint32_t Company::others_wanted(WriteLevel level, std::optional<uint32_t> partition) const {
  if (!in_company_) return 0;
  const raft::Core* const core = partition ? cluster_->partitions().core(*partition) : nullptr;
  if (core != nullptr && !core->configuration().unknown()) return copies_wanted(core->configuration(), level) - 1;
  const ClusterState& state = cluster_->state();
  const auto members = std::count_if(state.members().begin(), state.members().end(),
                                     [](const MemberRecord& each) { return each.state != MemberState::kRemoved; });
  const uint32_t copies = std::max(1u, std::min(state.replication(), static_cast<uint32_t>(members)));
  return level.copies == WriteLevel::kAll ? copies - 1 : copies / 2;
}

// Nobody counts them any more.
void Company::lose_copies(uint32_t partition) {
  LevelStreams* const streams = states_[partition].levels.get();
  if (streams == nullptr) return;
  for (uint32_t count = 1; count <= LevelStreams::kOfZones; ++count) {
    if (!streams->waits_for_copies(count)) continue;
    lose_the_rest(streams->copies_stream(count), [](uint64_t) { return errors::uncertain_leader_lost(); });
  }
  streams->begin_anew();
}

// What is known of an entry that was executed here, when its time is over.
Error Company::uncertain_of(uint32_t partition, uint64_t index) const {
  const raft::Core* const core = cluster_->partitions().core(partition);
  if (core == nullptr) return errors::uncertain_leader_lost();
  uint32_t copies = 0;
  uint32_t voters = 0;
  for (const raft::Progress& progress : core->progress()) {
    const bool votes = core->configuration().is_voter(progress.member().replica);
    if (!votes && core->configuration().voters().size() > 1) continue;
    ++voters;
    if (progress.match().value >= index) ++copies;
  }
  const bool is_committed = core->commit_index().value >= index;
  if (is_committed && min_zones_ > 1 && index_in_zones(*core) < index) {
    const ZoneValues values = values_of_zones(core->configuration(), core->configuration().incoming, cluster_->state(),
                                              [&](const raft::Member& member) { return match_of(*core, member); });
    return errors::uncertain_in_zones(values.count_from(index), static_cast<uint32_t>(min_zones_));
  }
  if (is_committed) return errors::uncertain_committed(copies, voters);
  return errors::uncertain_stored(copies, voters);
}

}  // namespace quorate
