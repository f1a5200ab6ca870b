// The commands of interaction scripts, and the hand-driven world behind them.
//
//   option NAME VALUE            before `group`: a field of raft::Options, times as 100ms
//   mistake NAME                 before `group`: switches on a planted mistake
//   group 1 2 3 [learners 4] [commit-quorum C]    a new group, everybody started
//   replica 4                    an empty replica, which knows nothing
//   advance 100ms                time passes; each deadline on the way is a Timeout
//   clock 100ms                  time passes for everybody, but nobody is told (a pause)
//   deliver [1->2 | 1 | all] [once] [round]       what is on the way arrives; without `once` until
//   nothing is drop [1->2], duplicate [1->2], queue          what is on the way is lost, doubled,
//   shown cut 1 [2], heal              what 1 sends or is sent (to or from 2) from now on is lost
//   beat 1 [2]                   node 1 sends a beat (to node 2); echoes are on the way like
//   messages silent 2 1 [closed|restarted|leads-no-longer]   node 2 hears node 1 no more connected
//   1 2                a new stream from 1 to 2
//   nudge 1 [2]                  a read at 1 has met the copy of 2, or asks several
//   disk 1 hold|release|finish   writes wait; all are
//   done and no longer wait; the oldest one is done crash 1, restart 1 [forgot N|forgot all|lost N]
//   `lost`: the disk lied, and nobody knows propose 1 TEXT, read 1 TOKEN [VOTERS], forget-reads 1 VOTERS, transfer 1 2, drain 1, keeps 1 os,
//   give-up 1 2 3 [decree TEXT] (replica 1: an operator has given up nodes 2 and 3; none: they count again),
//   change 1 voters 1 2 4 [learners 3] [commit-quorum C] [mode synced 2] snapshot 1 4 [at INDEX] [of TERM] replica
//   1 sends 4 a snapshot if it may leave corrupt 1 INDEX TEXT         replica 1's disk holds other
//   bytes (takes effect at restart) status [1], log 1, lease 1, copies 1 W quietly COMMAND what it
//   shows is left out (for the way to where a story begins) anew                         forgets
//   everything: another story
#include "tests/interaction/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "cluster/raft/message_codec.h"
#include "tests/interaction/print.h"
#include "util/number.h"

namespace quorate::interaction {

namespace {

constexpr int kDeliveriesMax = 10000;

[[noreturn]] void give_up(const std::string& text) {
  std::fprintf(stderr, "interaction script: %s\n", text.c_str());
  std::exit(2);
}

uint64_t number_from(const std::string& word) {
  const auto value = parse_unsigned(word);
  if (!value) give_up("not a number: '" + word + "'");
  return *value;
}

int64_t time_from(const std::string& word) {
  const size_t unit = word.find_first_not_of("0123456789");
  if (unit == std::string::npos) give_up("a time needs a unit: '" + word + "'");
  const auto value = static_cast<int64_t>(number_from(word.substr(0, unit)));
  const std::string name = word.substr(unit);
  if (name == "us") return value;
  if (name == "ms") return value * 1000;
  if (name == "s") return value * 1'000'000;
  give_up("unknown unit: '" + word + "'");
}

std::string id_text(uint64_t id) { return std::to_string(id); }

raft::Member member(uint64_t id) { return {.replica = {id}, .node = {id}}; }

raft::Durability mode_from(const std::string& word) {
  for (const auto mode : {raft::Durability::kMemory, raft::Durability::kOs, raft::Durability::kSynced}) {
    if (raft::name_of(mode) == word) return mode;
  }
  give_up("no mode: '" + word + "'");
}

}  // namespace

std::string World::run(std::string_view line) {
  static const std::map<std::string, void (World::*)(const Words&)> kCommands = {
      {"option", &World::do_option},
      {"mistake", &World::do_mistake},
      {"group", &World::do_group},
      {"replica", &World::do_replica},
      {"advance", &World::do_advance},
      {"clock", &World::do_advance},
      {"deliver", &World::do_deliver},
      {"drop", &World::do_drop},
      {"duplicate", &World::do_duplicate},
      {"queue", &World::do_queue},
      {"cut", &World::do_cut},
      {"heal", &World::do_heal},
      {"beat", &World::do_beat},
      {"silent", &World::do_silent},
      {"connected", &World::do_connected},
      {"nudge", &World::do_nudge},
      {"disk", &World::do_disk},
      {"crash", &World::do_crash},
      {"restart", &World::do_restart},
      {"propose", &World::do_propose},
      {"read", &World::do_read},
      {"forget-reads", &World::do_forget_reads},
      {"transfer", &World::do_transfer},
      {"drain", &World::do_drain},
      {"keeps", &World::do_keeps},
      {"give-up", &World::do_give_up},
      {"change", &World::do_change},
      {"snapshot", &World::do_snapshot},
      {"corrupt", &World::do_corrupt},
      {"status", &World::do_status},
      {"log", &World::do_log},
      {"lease", &World::do_lease},
      {"copies", &World::do_copies}};
  std::istringstream in{std::string(line)};
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.at(0) == "anew") {
    *this = World();
    return {};
  }
  if (words[0] == "quietly") {
    run(line.substr(line.find(words.at(1))));
    return {};
  }
  const auto command = kCommands.find(words.at(0));
  if (command == kCommands.end()) give_up("unknown command: '" + std::string(line) + "'");
  (this->*command->second)(words);
  return std::exchange(shown_, {});
}

const raft::Core* World::core(uint64_t id) const {
  const auto found = replicas_.find(id);
  return found == replicas_.end() ? nullptr : found->second.core.get();
}

// ---- who is there

void World::do_option(const Words& words) {
  const std::map<std::string, int64_t raft::Options::*> times = {
      {"lease", &raft::Options::lease_us},         {"drift", &raft::Options::drift_us},
      {"suspicion", &raft::Options::suspicion_us}, {"yield", &raft::Options::yield_us},
      {"retry", &raft::Options::retry_us},         {"transfer", &raft::Options::transfer_us},
      {"nudge", &raft::Options::nudge_us},
      {"settle", &raft::Options::transfer_settle_us}};
  const std::map<std::string, size_t raft::Options::*> sizes = {
      {"window", &raft::Options::window_bytes_max},
      {"append", &raft::Options::append_bytes_max},
      {"slow", &raft::Options::slow_bytes},
      {"in-flight", &raft::Options::in_flight_bytes_max}};
  if (const auto found = times.find(words.at(1)); found != times.end()) {
    options_.*found->second = time_from(words.at(2));
  } else if (const auto size = sizes.find(words.at(1)); size != sizes.end()) {
    options_.*size->second = number_from(words.at(2));
  } else if (words.at(1) == "all-present") {
    options_.recover_when_all_present = words.at(2) == "yes";
  } else if (words.at(1) == "checks-left-out") {
    options_.checks_left_out = words.at(2) == "yes";
  } else if (words.at(1) == "can-undo") {
    options_.can_undo = words.at(2) == "yes";
  } else {
    give_up("unknown option: '" + words.at(1) + "'");
  }
}

void World::do_mistake(const Words& words) {
  const std::map<std::string, bool raft::Mistakes::*> known = {
      {"no-no-op", &raft::Mistakes::no_no_op},
      {"commit-old-terms-by-count", &raft::Mistakes::commit_old_terms_by_count},
      {"vote-while-recovering", &raft::Mistakes::vote_while_recovering},
      {"forget-recovering-flag", &raft::Mistakes::forget_recovering_flag},
      {"election-quorum-one-short", &raft::Mistakes::election_quorum_one_short},
      {"lease-longer-than-promise", &raft::Mistakes::lease_longer_than_promise},
      {"vote-right-after-restart", &raft::Mistakes::vote_right_after_restart},
      {"timeout-now-under-lease", &raft::Mistakes::timeout_now_under_lease},
      {"single-step-membership", &raft::Mistakes::single_step_membership},
      {"lone-voter-restarts-all", &raft::Mistakes::lone_voter_restarts_all},
      {"snapshot-before-commit", &raft::Mistakes::snapshot_before_commit},
      {"unsafe-recovery-keeps-epoch", &raft::Mistakes::unsafe_recovery_keeps_epoch},
      {"restarts-without-need", &raft::Mistakes::restarts_without_need}};
  const auto found = known.find(words.at(1));
  if (found == known.end()) give_up("unknown mistake: '" + words.at(1) + "'");
  mistakes_.*found->second = true;
}

raft::Configuration World::configuration_from(const Words& words, size_t at) const {
  raft::Configuration configuration;
  std::vector<raft::Member>* list = &configuration.incoming.voters;
  for (; at < words.size(); ++at) {
    if (words[at] == "voters") {
      list = &configuration.incoming.voters;
    } else if (words[at] == "learners") {
      list = &configuration.learners;
    } else if (words[at] == "commit-quorum") {
      configuration.incoming.commit_quorum = static_cast<uint32_t>(number_from(words.at(++at)));
    } else if (words[at] == "mode") {
      configuration.durability = mode_from(words.at(++at));
      configuration.mode_version = number_from(words.at(++at));
    } else {
      list->push_back(member(number_from(words[at])));
    }
  }
  return configuration;
}

void World::do_group(const Words& words) {
  const raft::Configuration configuration = configuration_from(words, 1);
  for (const raft::Member& one : configuration.members()) {
    start(one.replica.value, raft::bootstrap(configuration));
  }
}

void World::do_replica(const Words& words) {
  start(number_from(words.at(1)), raft::empty_replica());
}

World::Replica& World::replica(const std::string& word) {
  const auto found = replicas_.find(number_from(word));
  if (found == replicas_.end()) give_up("no replica " + word);
  return found->second;
}

void World::start(uint64_t id, raft::Restored restored) {
  Replica& one = replicas_[id];
  one.options = options_;
  one.options.group = {1};
  one.options.self = member(id);
  one.disk = {
      .hard_state = restored.hard_state, .base = restored.base, .entries = restored.entries};
  one.writes.clear();
  one.applied = restored.base.last.index;
  one.core = std::make_unique<raft::Core>(one.options, std::move(restored), id, mistakes_);
  step(id, raft::in::Start{});
}

// ---- outputs

void World::step(uint64_t id, const raft::Input& input) {
  Replica& one = replicas_.at(id);
  if (one.core == nullptr) return;
  raft::Output out;
  one.core->step(now(), input, out);
  perform(id, out);
}

void World::perform(uint64_t id, raft::Output& out) {
  Replica& one = replicas_.at(id);
  const std::string name = id_text(id);
  for (const std::string& fact : out.facts) say(name + ": " + fact);
  if (out.failure) say(name + " FAILED " + show(out.failure->kind));
  if (out.role) say(name + " is " + show(*out.role));
  if (out.log_archived) say(name + " archives its log");
  for (const raft::Entry& entry : out.truncated) say(name + " loses " + show(entry));
  if (out.install) {
    one.applied = out.install->last.index;
    say(name + " installs up to " + std::to_string(out.install->last.index.value));
  }
  for (const raft::ReadReady& read : out.reads) {
    const bool confirmed = read.verdict == raft::ReadVerdict::kConfirmed;
    say(name + " read " + std::to_string(read.token.value) + (confirmed ? " confirmed" : " lost"));
  }
  for (const raft::Member& wanting : out.snapshots_wanted) {
    say(name + " wants a snapshot for " + id_text(wanting.replica.value));
  }
  if (one.core->role() != raft::RoleName::kLeader && out.commit_index > one.applied) {
    for (raft::Index index = next(one.applied); index <= out.commit_index; index = next(index)) {
      say(name + " applies " + show(one.core->log().at(index)));
    }
    one.applied = out.commit_index;
    one.core->note_applied(one.applied);
  } else if (one.core->role() == raft::RoleName::kLeader && out.commit_index > one.applied) {
    say(name + " commits " + std::to_string(out.commit_index.value));
    one.applied = out.commit_index;
  }
  for (const raft::Message& message : out.send)
    post({.from = id, .to = message.to.node.value, .message = message});
  if (out.write.writes() || !out.write.then_send.empty()) {
    one.writes.push_back(out.write);
    if (!one.disk_is_held) finish_write(id);
  }
}

void World::finish_write(uint64_t id) {
  Replica& one = replicas_.at(id);
  if (one.writes.empty()) return;
  const raft::DurableWrite write = std::move(one.writes.front());
  one.writes.pop_front();
  store(id, write);
  one.is_unproven = false;
  for (const raft::Message& message : write.then_send) {
    post({.from = id, .to = message.to.node.value, .message = message});
  }
  if (!write.number.none()) step(id, raft::in::Persisted{write.number});
}

void World::store(uint64_t id, const raft::DurableWrite& write) {
  Stored& disk = replicas_.at(id).disk;
  if (write.hard_state) disk.hard_state = *write.hard_state;
  if (write.log_base) {
    disk.base = *write.log_base;
    disk.entries.clear();
  }
  for (const raft::Entry& entry : write.append) {
    std::erase_if(disk.entries, [&](const raft::Entry& old) { return old.index >= entry.index; });
    disk.entries.push_back(entry);
  }
}

// ---- time

void World::do_advance(const Words& words) {
  const int64_t end_us = now_us_ + time_from(words.at(1));
  while (words.at(0) == "advance") {
    uint64_t first = 0;
    int64_t due_us = end_us;
    for (const auto& [id, one] : replicas_) {
      const int64_t deadline = one.core == nullptr ? kNever : one.core->deadline();
      if (deadline > end_us || (first != 0 && deadline >= due_us)) continue;
      first = id;
      due_us = deadline;
    }
    if (first == 0) break;
    now_us_ = std::max(now_us_, due_us);
    step(first, raft::in::Timeout{});
    const int64_t again = replicas_.at(first).core->deadline();
    if (again <= now_us_)
      give_up("replica " + id_text(first) + " has a deadline that does not move");
  }
  now_us_ = end_us;
}

// ---- the network

void World::post(Packet packet) {
  if (cut_.contains({packet.from, packet.to})) return;
  network_.push_back(std::move(packet));
}

std::string World::describe(const Packet& packet) const {
  if (packet.message) return show(*packet.message);
  const std::string head = id_text(packet.from) + "->" + id_text(packet.to) + " ";
  if (packet.snapshot)
    return head + "snapshot up to " + std::to_string(packet.snapshot->mark.last.index.value);
  const Beat& beat = *packet.beat;
  const std::string which =
      " " + std::to_string(beat.number.value) + " t" + std::to_string(beat.term.value);
  switch (beat.kind) {
    case Beat::Kind::kBeat:
      return head + "beat" + which;
    case Beat::Kind::kConfirmed:
      return head + "echo" + which + " confirmed";
    case Beat::Kind::kRefused:
      return head + "echo" + which + " NOT confirmed";
  }
  return head;
}

bool World::matches(const Packet& packet, const Words& words) const {
  if (words.size() < 2 || words[1] == "all" || words[1] == "once" || words[1] == "round")
    return true;
  const size_t arrow = words[1].find("->");
  if (arrow == std::string::npos) {
    const uint64_t id = number_from(words[1]);
    return packet.from == id || packet.to == id;
  }
  return packet.from == number_from(words[1].substr(0, arrow)) &&
         packet.to == number_from(words[1].substr(arrow + 2));
}

void World::do_deliver(const Words& words) {
  const bool once = words.back() == "once";
  size_t left = once ? 1 : kDeliveriesMax;
  if (words.back() == "round") left = network_.size();
  for (; left > 0; --left) {
    const auto found = std::find_if(network_.begin(), network_.end(),
                                    [&](const Packet& packet) { return matches(packet, words); });
    if (found == network_.end()) return;
    const Packet packet = std::move(*found);
    network_.erase(found);
    say(describe(packet));
    arrive(packet);
  }
}

void World::arrive(const Packet& packet) {
  const auto found = replicas_.find(packet.to);
  if (found == replicas_.end() || found->second.core == nullptr) return;
  if (packet.message) return step(packet.to, raft::in::Receive{*packet.message});
  if (packet.snapshot) return step(packet.to, *packet.snapshot);
  const Beat& beat = *packet.beat;
  if (beat.kind == Beat::Kind::kBeat) {
    step(packet.to,
         raft::in::LeaderHeard{.leader = beat.leader, .term = beat.term, .received_us = now_us_});
    Beat echo = beat;
    const bool confirms = found->second.core->confirms(beat.leader, beat.term);
    echo.kind = confirms ? Beat::Kind::kConfirmed : Beat::Kind::kRefused;
    post({.from = packet.to, .to = packet.from, .beat = echo});
  } else if (beat.kind == Beat::Kind::kConfirmed) {
    step(packet.to, raft::in::LeadershipConfirmed{.voter = {packet.from},
                                                  .term = beat.term,
                                                  .beat = beat.number,
                                                  .sent_us = beat.sent_us});
  } else {
    step(packet.to, raft::in::LeadershipRefused{.voter = {packet.from}, .term = beat.term});
  }
}

void World::do_drop(const Words& words) {
  std::erase_if(network_, [&](const Packet& packet) { return matches(packet, words); });
}

void World::do_duplicate(const Words& words) {
  const std::deque<Packet> before = network_;
  for (const Packet& packet : before) {
    if (matches(packet, words)) network_.push_back(packet);
  }
}

void World::do_queue(const Words&) {
  for (const Packet& packet : network_) say(describe(packet));
}

void World::do_cut(const Words& words) {
  const uint64_t id = number_from(words.at(1));
  for (const auto& [other, one] : replicas_) {
    if (words.size() > 2 && other != number_from(words[2])) continue;
    cut_.insert({id, other});
    cut_.insert({other, id});
  }
  std::erase_if(network_, [&](const Packet& packet) {
    return cut_.contains({packet.from, packet.to});
  });
}

void World::do_heal(const Words&) { cut_.clear(); }

void World::do_beat(const Words& words) {
  Replica& one = replica(words.at(1));
  const uint64_t id = number_from(words[1]);
  if (one.core == nullptr || one.core->role() != raft::RoleName::kLeader)
    return say(words[1] + " leads nothing");
  one.last_beat = next(one.last_beat);
  for (const auto& [other, peer] : replicas_) {
    if (other == id || (words.size() > 2 && other != number_from(words[2]))) continue;
    const Beat beat{.from = id,
                    .to = other,
                    .leader = {id},
                    .term = one.core->term(),
                    .number = one.last_beat,
                    .sent_us = now_us_};
    post({.from = id, .to = other, .beat = beat});
  }
}

void World::do_silent(const Words& words) {
  raft::Silence reason = raft::Silence::kNoBeats;
  if (words.size() > 3 && words[3] == "closed") reason = raft::Silence::kClosed;
  if (words.size() > 3 && words[3] == "restarted") reason = raft::Silence::kRestarted;
  if (words.size() > 3 && words[3] == "leads-no-longer") reason = raft::Silence::kLeadsNoLonger;
  const raft::NodeId node{number_from(words.at(2))};
  if (reason == raft::Silence::kRestarted)
    return step(number_from(words.at(1)), raft::in::PeerRestarted{node});
  step(number_from(words.at(1)), raft::in::PeerSilent{.node = node, .reason = reason});
}

void World::do_connected(const Words& words) {
  step(number_from(words.at(1)), raft::in::PeerConnected{{number_from(words.at(2))}});
}

void World::do_nudge(const Words& words) {
  step(number_from(words.at(1)), raft::in::Nudge{words.size() > 2 ? raft::NodeId{number_from(words[2])} : raft::NodeId{}});
}

// ---- disks, crashes

void World::do_disk(const Words& words) {
  Replica& one = replica(words.at(1));
  const uint64_t id = number_from(words[1]);
  if (words.at(2) == "finish") return finish_write(id);
  one.disk_is_held = words[2] == "hold";
  while (!one.disk_is_held && !one.writes.empty()) finish_write(id);
}

void World::do_crash(const Words& words) {
  Replica& one = replica(words.at(1));
  one.core.reset();
  one.writes.clear();
  one.disk_is_held = false;
  const uint64_t id = number_from(words[1]);
  std::erase_if(network_, [&](const Packet& packet) { return packet.to == id; });
}

void World::do_restart(const Words& words) {
  Replica& one = replica(words.at(1));
  const uint64_t id = number_from(words[1]);
  raft::Restored restored{
      .hard_state = one.disk.hard_state, .base = one.disk.base, .entries = one.disk.entries};
  if (words.size() > 2) {
    if (words[2] == "forgot") restored.start = raft::StartKind::kMayHaveForgotten;
    if (words.at(3) == "all") {
      restored.base = {};
      restored.entries.clear();
    } else {
      const size_t lost = std::min<size_t>(number_from(words[3]), restored.entries.size());
      restored.entries.resize(restored.entries.size() - lost);
    }
  }
  if (one.is_unproven) restored.start = raft::StartKind::kMayHaveForgotten;
  const bool may_have_forgotten = restored.start == raft::StartKind::kMayHaveForgotten;
  start(id, std::move(restored));
  one.is_unproven = may_have_forgotten && !one.writes.empty();
  say(words[1] + " is " + show(*one.core));
}

void World::do_corrupt(const Words& words) {
  Stored& disk = replica(words.at(1)).disk;
  raft::Chain chain = disk.base.chain;
  for (raft::Entry& entry : disk.entries) {
    if (entry.index.value == number_from(words.at(2)))
      entry.payload = SharedBytes(std::string_view(words.at(3)));
    entry.chain = raft::chain_after(chain, entry);
    chain = entry.chain;
  }
}

// ---- what is asked of replicas

void World::do_propose(const Words& words) {
  Replica& one = replica(words.at(1));
  if (one.core == nullptr || !one.core->can_propose()) return say(words[1] + " cannot propose");
  step(number_from(words[1]), raft::in::Propose{SharedBytes(words.at(2))});
}

void World::do_read(const Words& words) {
  Replica& one = replica(words.at(1));
  if (one.core == nullptr || one.core->role() != raft::RoleName::kLeader)
    return say(words[1] + " leads nothing");
  const uint64_t voters = words.size() > 3 ? number_from(words[3]) : 0;
  step(number_from(words[1]), raft::in::ReadBarrier{.token = {number_from(words.at(2))},
                                                    .last_beat = one.last_beat,
                                                    .voters = static_cast<uint32_t>(voters)});
}

void World::do_forget_reads(const Words& words) {
  step(number_from(words.at(1)), raft::in::ForgetReads{static_cast<uint32_t>(number_from(words.at(2)))});
}

void World::do_change(const Words& words) {
  Replica& one = replica(words.at(1));
  const raft::Configuration target = configuration_from(words, 2);
  const raft::ChangeRefusal refusal = one.core->change_refusal(target);
  if (refusal != raft::ChangeRefusal::kNone) return say(words[1] + " refuses: " + show(refusal));
  step(number_from(words[1]), raft::in::ChangeConfiguration{target});
}

void World::do_transfer(const Words& words) {
  const raft::ReplicaId to{number_from(words.at(2))};
  if (!replica(words.at(1)).core->may_transfer(to))
    return say(words[1] + " may not transfer to " + words[2]);
  step(number_from(words[1]), raft::in::TransferLeadership{to});
}

// drain R [off]
void World::do_drain(const Words& words) {
  const bool is_off = words.size() > 2 && words[2] == "off";
  step(number_from(words.at(1)), raft::in::Draining{.is_draining = !is_off});
}

// keeps R memory|os|synced: what is stored there is as safe as that from now on; said by nobody: synced
void World::do_keeps(const Words& words) {
  step(number_from(words.at(1)), raft::in::Kept{.mode = mode_from(words.at(2))});
}

// give-up R [N ...] [decree TEXT]: nothing is expected of these nodes any more; none: they count again
void World::do_give_up(const Words& words) {
  raft::in::GiveUp input;
  for (size_t at = 2; at < words.size(); ++at) {
    if (words[at] == "decree") {
      input.decree = SharedBytes(words.at(at + 1));
      break;
    }
    input.nodes.push_back({number_from(words[at])});
  }
  step(number_from(words.at(1)), input);
}

void World::do_snapshot(const Words& words) {
  Replica& one = replica(words.at(1));
  const raft::Core& core = *one.core;
  raft::Index last = core.commit_index();
  raft::Term term = core.term();
  for (size_t at = 3; at + 1 < words.size(); at += 2) {
    if (words[at] == "at") last = {number_from(words[at + 1])};
    if (words[at] == "of") term = {number_from(words[at + 1])};
  }
  if (!core.snapshot_may_be_sent(term, last, {number_from(words.at(2))})) {
    return say(words[1] + " may not send a snapshot up to " + std::to_string(last.value));
  }
  const raft::SnapshotMark mark{
      .last = {.epoch = core.epoch(), .term = *core.log().term_at(last), .index = last},
      .chain = *core.log().chain_at(last),
      .configuration = core.configuration_at_index(last)};
  post({.from = number_from(words[1]),
        .to = number_from(words.at(2)),
        .snapshot = raft::in::SnapshotReceived{
            .from = member(number_from(words[1])), .term = term, .mark = mark}});
}

// ---- what is looked at

void World::do_status(const Words& words) {
  for (const auto& [id, one] : replicas_) {
    if (words.size() > 1 && id != number_from(words[1])) continue;
    say(id_text(id) + " " + (one.core == nullptr ? "is down" : show(*one.core)));
  }
}

void World::do_log(const Words& words) {
  const raft::Log& log = replica(words.at(1)).core->log();
  std::string text = words[1] + " behind " + std::to_string(log.base().index.value) + ":";
  for (raft::Index index = log.first_index(); index <= log.last_index(); index = next(index)) {
    text += " " + show(log.at(index));
  }
  say(text);
}

void World::do_lease(const Words& words) {
  const int64_t until_us = replica(words.at(1)).core->lease_until_us();
  if (until_us == INT64_MIN || until_us <= now_us_) return say(words[1] + " has no lease");
  if (until_us == kNever) return say(words[1] + " needs no lease");
  say(words[1] + " has a lease for " + std::to_string((until_us - now_us_) / 1000) + "ms");
}

void World::do_copies(const Words& words) {
  const auto level = static_cast<uint32_t>(number_from(words.at(2)));
  say(words[2] + " copies up to " + std::to_string(replica(words.at(1)).core->copies(level).value));
}

}  // namespace quorate::interaction
