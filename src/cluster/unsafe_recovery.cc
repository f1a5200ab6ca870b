// Asking the others, letting the meta group go on, and deciding.
#include "cluster/unsafe_recovery.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cluster/raft/configuration.h"
#include "cluster/wire.h"
#include "util/check.h"
#include "util/varint.h"

namespace quorate {

namespace {

enum class Said : uint8_t { kAsks = 1, kAnswers = 2, kGoOn = 3, kDecide = 4, kRefuses = 5 };

// Of partitions in what an operator is told.
constexpr size_t kNamedMax = 8;

Error refused(std::string why) { return Error(ErrorCode::kInvalidArgument, std::move(why)); }
Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "unsafe recovery: " + std::string(what)); }

Result<meta::GiveUp> give_up_from(std::string_view bytes) {
  TRY(meta::Command command, meta::decode(bytes));
  auto* const given_up = std::get_if<meta::GiveUp>(&command);
  if (given_up == nullptr) return damaged("another command");
  return std::move(*given_up);
}

std::string names_of(const std::vector<uint32_t>& partitions) {
  std::string names;
  for (size_t index = 0; index < std::min(partitions.size(), kNamedMax); ++index) {
    names += (index == 0 ? "" : ", ") + std::to_string(partitions[index]);
  }
  return names + (partitions.size() > kNamedMax ? ", ..." : "");
}

// What stands in the way of going on without these nodes in a group that this node has a copy of.
Status check_group(const raft::Core& core, const std::vector<raft::NodeId>& gone, const std::string& name) {
  if (core.configuration().unknown() || raft::can_elect_without(core.configuration(), gone)) return done();
  if (core.failed()) return refused(name + " has stopped by a contradiction: start that node again, or name it too");
  return done();
}

bool contains(const std::vector<raft::NodeId>& nodes, raft::NodeId node) { return std::find(nodes.begin(), nodes.end(), node) != nodes.end(); }

// `leader`: who is heard to lead a group.
bool is_led(std::optional<raft::NodeId> leader, const std::vector<raft::NodeId>& gone) { return leader && !contains(gone, *leader); }

// A voter that does not vote: it has stopped, or may have forgotten what it acknowledged and knows of no leader who could tell it that.
bool is_mute(const raft::Core& core, std::optional<raft::NodeId> leader, const std::vector<raft::NodeId>& gone) {
  if (!core.configuration().is_voter(core.options().self.replica)) return false;
  return core.failed() || (core.standing() == raft::Standing::kRecovering && !is_led(leader, gone));
}

}  // namespace

// ---- what must be so ---------------------------------------------------------------------------------------

bool UnsafeRecovery::is_heard(NodeId node) const { return groups_.hears({node}); }

Status UnsafeRecovery::check_silent(const std::vector<NodeId>& nodes) const {
  for (const NodeId node : nodes) {
    if (node != options_.self && !is_heard(node)) continue;
    return refused("node " + node_name(node) + " is heard of by " + node_name(options_.self) + ", so it is not lost");
  }
  return done();
}

std::vector<NodeId> UnsafeRecovery::others_without(const std::vector<NodeId>& nodes) const {
  std::vector<NodeId> others;
  // Right after a start without a quorum nobody knows what is committed: who may be a member is one.
  for (const MemberRecord& member : meta_.address_book().members()) {
    const bool is_left = member.state != MemberState::kRemoved && member.id != options_.self;
    if (is_left && !placement::contains(nodes, member.id)) others.push_back(member.id);
  }
  return others;
}

Status UnsafeRecovery::check_own_groups(const std::vector<NodeId>& nodes) const {
  Status status = done();
  groups_.for_each([&](raft::GroupId group, const raft::Core& core) {
    const bool is_meta = group == meta_.group();
    const std::string what = is_meta ? "its copy of the members" : "its copy of partition " + std::to_string(group.value - 1);
    const std::string name = "node " + node_name(options_.self) + ": " + what;
    if (status.ok()) status = check_group(core, typed(nodes), name);
  });
  return status;
}

// Whoever is left must take part: nobody else could say what they hold.
Status UnsafeRecovery::check_rest(const std::vector<NodeId>& nodes) const {
  for (const NodeId node : nodes) {
    if (meta_.address_book().find(node) == nullptr) return refused("no such node");
  }
  for (const NodeId other : others_without(nodes)) {
    if (is_heard(other)) continue;
    return refused("node " + node_name(other) + " is neither named nor heard of: start it, or name it if it is lost for good too");
  }
  const raft::Configuration& known = groups_.find(meta_.group())->configuration();
  if (known.unknown() || !known.find(meta_.own_replica())) return refused("this node does not follow the members: ask another one");
  return done();
}

// By configurations, which tell more than the plan.  A replica that has stopped does not vote; but nothing begins without what it holds.
UnsafeRecovery::Answer UnsafeRecovery::own_answer(const std::vector<NodeId>& nodes) const {
  const std::vector<raft::NodeId> gone = typed(nodes);
  Answer answer;
  groups_.for_each([&](raft::GroupId group, const raft::Core& core) {
    const bool is_meta = group == meta_.group();
    if (is_meta) answer.newest = core.configuration_at();
    if (core.configuration().unknown()) return;
    const int64_t spare = raft::spare_electors(core.configuration(), gone);
    if (spare < 0) {
      answer.is_needed = true;
    } else if (raft::has_voter_on(core.configuration(), gone) && is_mute(core, groups_.known_leader(group), gone)) {
      answer.mutes.push_back({.group = group, .spare = static_cast<uint32_t>(spare)});
    }
    if (!is_meta && !core.position().index.none()) answer.copies.push_back(static_cast<uint32_t>(group.value - 1));
  });
  return answer;
}

// ---- asking ------------------------------------------------------------------------------------------------
//
//   message = u8 1 (asks), u64 nonce, GiveUp
//           | u8 2 (answers), u64 nonce, varint epoch, term, index of its newest configuration of the meta group, u8 1 if a group of its
//             own cannot elect without them, varint copies, varint partition *, varint copies of its that do not vote, (varint group, varint
//             how many voters an election can do without) *, text: why not
//           | u8 3 (go on without them), varint for how many ms, GiveUp
//           | u8 4 (decide), u64 nonce, GiveUp
//           | u8 5 (refuses), u64 nonce, text: why it was not decided

Status UnsafeRecovery::begin(Instant now, std::vector<NodeId> nodes, WithoutCopies without_copies, int64_t until_us, Peers& peers) {
  if (attempt_) return refused("another UNSAFE-RECOVER is under way");
  if (nodes.empty()) return refused("nobody is named");
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  TRY(check_silent(nodes));
  TRY(check_rest(nodes));
  TRY(check_own_groups(nodes));
  // Whoever has not heard yet that these were given up earlier is to leave them out as well.
  for (const NodeId node : meta_.state().given_up()) {
    if (!placement::contains(nodes, node)) nodes.push_back(node);
  }
  Attempt& attempt = attempt_.emplace();
  attempt.missing = others_without(nodes);
  attempt.nodes = std::move(nodes);
  attempt.without_copies = without_copies;
  attempt.nonce = next_nonce_++;
  attempt.until_us = until_us;
  attempt.answer_until_us = std::min(now.steady_us + options_.answer_us, until_us);
  attempt.has_copy.assign(options_.partitions, false);
  count(own_answer(attempt.nodes));
  Buffer bytes;
  wire::write_byte(Said::kAsks, bytes);
  append_little<uint64_t>(bytes, attempt.nonce);
  meta::encode(meta::GiveUp{.nodes = attempt.nodes}, bytes);
  send_to_rest(bytes.view(), peers);
  return done();
}

void UnsafeRecovery::send_to_rest(std::string_view bytes, Peers& peers) {
  for (const NodeId other : others_without(attempt_->nodes)) {
    if (Link* const link = peers.link(other, PeerLane::kData)) link->add(kKind, bytes);
  }
}

void UnsafeRecovery::end(Status outcome) {
  drop();
  outcome_ = std::move(outcome);
}

// The permission of another one who asks stays.
void UnsafeRecovery::drop() {
  if (attempt_ && attempt_->is_allowed) allowed_.reset();
  attempt_.reset();
}

// What may have been decided all the same is not refused.
void UnsafeRecovery::refuse(Status why) {
  if (attempt_->may_be_decided()) {
    drop();
  } else {
    end(std::move(why));
  }
}

void UnsafeRecovery::count(const Answer& answer) {
  attempt_->is_needed = attempt_->is_needed || answer.is_needed;
  for (const uint32_t partition : answer.copies) attempt_->has_copy[partition] = true;
  for (const Answer::Mute& mute : answer.mutes) {
    Mutes& all = attempt_->mutes[mute.group];
    ++all.count;
    all.spare = std::min(all.spare, mute.spare);
    attempt_->is_needed = attempt_->is_needed || all.are_too_many();
  }
}

Status UnsafeRecovery::answer_question(NodeId from, std::string_view bytes, Peers& peers) {
  wire::Reader reader(bytes);
  const uint64_t nonce = reader.fixed64();
  if (!reader.good()) return damaged("a question is cut off");
  TRY(const meta::GiveUp asked, give_up_from(reader.rest()));
  Link* const link = peers.link(from, PeerLane::kData);
  if (link == nullptr) return done();
  const Answer own = own_answer(asked.nodes);
  Buffer bytes_out;
  wire::write_byte(Said::kAnswers, bytes_out);
  append_little<uint64_t>(bytes_out, nonce);
  wire::write(own.newest.epoch, bytes_out);
  wire::write(own.newest.term, bytes_out);
  wire::write(own.newest.index, bytes_out);
  append_little<uint8_t>(bytes_out, own.is_needed ? 1 : 0);
  append_varint(bytes_out, own.copies.size());
  for (const uint32_t partition : own.copies) append_varint(bytes_out, partition);
  append_varint(bytes_out, own.mutes.size());
  for (const Answer::Mute& mute : own.mutes) {
    wire::write(mute.group, bytes_out);
    append_varint(bytes_out, mute.spare);
  }
  Status agreed = check_silent(asked.nodes);
  if (agreed.ok()) agreed = check_own_groups(asked.nodes);
  if (!agreed.ok()) bytes_out.append(agreed.error().detail());
  link->add(kKind, bytes_out.view());
  return done();
}

Status UnsafeRecovery::take_answer(NodeId from, std::string_view bytes) {
  wire::Reader reader(bytes);
  const uint64_t nonce = reader.fixed64();
  Answer answer;
  reader.read(answer.newest.epoch);
  reader.read(answer.newest.term);
  reader.read(answer.newest.index);
  answer.is_needed = reader.flag();
  for (size_t left = reader.count(1); left > 0; --left) {
    const uint64_t partition = reader.varint_at_most(options_.partitions - 1);
    answer.copies.push_back(static_cast<uint32_t>(partition));
  }
  for (size_t left = reader.count(2); left > 0; --left) {
    Answer::Mute& mute = answer.mutes.emplace_back();
    mute.group.value = reader.varint_at_most(meta_.group().value);
    mute.spare = static_cast<uint32_t>(reader.varint_at_most(raft::kMembersMax));
  }
  if (!reader.good()) return damaged("an answer is cut off");
  if (!attempt_ || attempt_->is_agreed || nonce != attempt_->nonce) return done();
  if (!reader.rest().empty()) {
    end(refused(std::string(reader.rest())));
    return done();
  }
  if (answer.newest > groups_.find(meta_.group())->configuration_at()) {
    end(refused("node " + node_name(from) + " knows newer members: ask that one"));
    return done();
  }
  if (std::erase(attempt_->missing, from) != 0) count(answer);
  return done();
}

// ---- deciding ----------------------------------------------------------------------------------------------

// On the leader: all that must be so is looked at once more, and what may not be decided now never is.
Status UnsafeRecovery::decide(Instant now, NodeId from, uint64_t nonce, const meta::GiveUp& command) {
  // Who asks asks again until it has seen it.
  if (meta_.state().are_given_up(command.nodes) || !meta_.may_decree(command.nodes)) return done();
  const raft::Term term = groups_.find(meta_.group())->term();
  const bool was_decreed = decreed_.from == from && decreed_.nonce == nonce;
  if (was_decreed && decreed_.term == term) return done();
  // What was decreed in an earlier term may yet be committed, so it is not refused any more.
  if (Status silent = check_silent(command.nodes); !silent.ok()) return was_decreed ? done() : std::move(silent);
  decreed_ = {.from = from, .nonce = nonce, .term = term};
  meta_.decree(now, command);
  return done();
}

Status UnsafeRecovery::take_refusal(std::string_view bytes) {
  wire::Reader reader(bytes);
  const uint64_t nonce = reader.fixed64();
  if (!reader.good()) return damaged("a refusal is cut off");
  if (!attempt_ || !attempt_->is_agreed || nonce != attempt_->nonce) return done();
  // Who was asked once, and nobody else, has not decided it.
  const bool is_certain = attempt_->asked == 1 && !attempt_->is_allowed;
  if (is_certain) {
    end(refused(std::string(reader.rest())));
  } else {
    drop();
  }
  return done();
}

Status UnsafeRecovery::take_permission(Instant now, std::string_view bytes) {
  wire::Reader reader(bytes);
  const auto allowed_ms = static_cast<int64_t>(reader.varint_at_most(static_cast<uint64_t>(options_.allowed_us_max / 1000)));
  if (!reader.good()) return damaged("a permission is cut off");
  TRY(meta::GiveUp named, give_up_from(reader.rest()));
  if (check_silent(named.nodes).ok()) allow(std::move(named), now.steady_us + allowed_ms * 1000);
  return done();
}

Status UnsafeRecovery::take_request(Instant now, NodeId from, std::string_view bytes, Peers& peers) {
  wire::Reader reader(bytes);
  const uint64_t nonce = reader.fixed64();
  if (!reader.good()) return damaged("a request is cut off");
  TRY(const meta::GiveUp command, give_up_from(reader.rest()));
  const Status decided = decide(now, from, nonce, command);
  Link* const link = decided.ok() ? nullptr : peers.link(from, PeerLane::kData);
  if (link == nullptr) return done();
  Buffer refusal;
  wire::write_byte(Said::kRefuses, refusal);
  append_little<uint64_t>(refusal, nonce);
  refusal.append(decided.error().detail());
  link->add(kKind, refusal.view());
  return done();
}

Status UnsafeRecovery::receive(Instant now, NodeId from, std::string_view bytes, Peers& peers) {
  wire::Reader reader(bytes);
  const Said said = reader.one_of(Said::kAsks, Said::kRefuses);
  if (!reader.good()) return damaged("it cannot be read");
  if (!meta_.is_started()) return done();
  switch (said) {
    case Said::kAsks:
      return answer_question(from, reader.rest(), peers);
    case Said::kAnswers:
      return take_answer(from, reader.rest());
    case Said::kGoOn:
      return take_permission(now, reader.rest());
    case Said::kDecide:
      return take_request(now, from, reader.rest(), peers);
    case Said::kRefuses:
      return take_refusal(reader.rest());
  }
  CHECK(false);
}

// ---- going on ----------------------------------------------------------------------------------------------

// Everybody who is left has answered.
void UnsafeRecovery::agree(Instant now, Peers& peers) {
  Attempt& attempt = *attempt_;
  std::vector<uint32_t> empty;
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    if (!attempt.has_copy[partition]) empty.push_back(partition);
  }
  if (!attempt.is_needed && empty.empty()) {
    return end(refused("the other nodes are enough to go on without losing anything: QUORUM DRAIN and QUORUM REMOVE do it"));
  }
  if (!empty.empty() && attempt.without_copies == WithoutCopies::kRefuse) {
    return end(refused("nobody who is left has a copy of " + std::to_string(empty.size()) + " partitions (" + names_of(empty) +
                       "): they could only begin with nothing, for which UNSAFE-RECOVER EMPTY must be asked"));
  }
  const raft::Configuration& members = groups_.find(meta_.group())->configuration();
  if (votes_decide() && !raft::without_nodes(members, typed(attempt.nodes)).learners.empty()) {
    return end(refused("more nodes are left than can vote: nothing can be decided without a quorum of the members"));
  }
  attempt.is_agreed = true;
  attempt.command = {.nodes = attempt.nodes, .empty = std::move(empty)};
  if (!votes_decide()) return;
  attempt.is_allowed = true;
  const int64_t allowed_us = std::min(attempt.until_us - now.steady_us, options_.allowed_us_max);
  Buffer bytes;
  wire::write_byte(Said::kGoOn, bytes);
  append_varint(bytes, static_cast<uint64_t>(allowed_us / 1000));
  meta::encode(attempt.command, bytes);
  send_to_rest(bytes.view(), peers);
  allow(attempt.command, now.steady_us + allowed_us);
}

// Nobody can lead the members as things stand: too few are left, or too few of them may vote.
bool UnsafeRecovery::votes_decide() const {
  const std::vector<raft::NodeId> gone = typed(attempt_->nodes);
  if (!raft::can_elect_without(groups_.find(meta_.group())->configuration(), gone)) return true;
  const auto mutes = attempt_->mutes.find(meta_.group());
  return !is_led(groups_.known_leader(meta_.group()), gone) && mutes != attempt_->mutes.end() && mutes->second.are_too_many();
}

void UnsafeRecovery::allow(meta::GiveUp named, int64_t until_us) {
  allowed_ = std::move(named);
  allowed_until_us_ = until_us;
}

// Whoever leads the members, as soon as somebody does.
void UnsafeRecovery::ask_leader(Instant now, Peers& peers) {
  Attempt& attempt = *attempt_;
  if (now.steady_us < attempt.next_ask_us) return;
  const auto leader = groups_.find(meta_.group())->role_state().leader;
  const bool is_own = leader && leader->node.value == options_.self;
  if (!leader || (is_own && !meta_.may_decree(attempt.nodes))) {
    attempt.next_ask_us = now.steady_us + options_.look_us;
    return;
  }
  attempt.next_ask_us = now.steady_us + options_.repeat_us;
  if (is_own) {
    Status decided = decide(now, options_.self, attempt.nonce, attempt.command);
    if (!decided.ok()) return refuse(std::move(decided));
    ++attempt.asked;
  } else if (Link* const link = peers.link(leader->node.value, PeerLane::kData)) {
    ++attempt.asked;
    Buffer bytes;
    wire::write_byte(Said::kDecide, bytes);
    append_little<uint64_t>(bytes, attempt.nonce);
    meta::encode(attempt.command, bytes);
    link->add(kKind, bytes.view());
  }
}

void UnsafeRecovery::go_on(Instant now, Peers& peers) {
  // A state that does not know them yet says nothing.
  if (!meta_.is_catching_up() && meta_.state().are_given_up(attempt_->nodes)) return end(done());
  if (Status silent = check_silent(attempt_->nodes); !silent.ok()) return refuse(std::move(silent));
  if (!attempt_->missing.empty()) {
    if (now.steady_us >= attempt_->answer_until_us) end(refused("node " + node_name(attempt_->missing.front()) + " has not answered"));
    return;
  }
  if (now.steady_us >= attempt_->until_us) return refuse(refused("nobody leads the members in time: nothing was given up by this request"));
  if (!attempt_->is_agreed) agree(now, peers);
  if (attempt_) ask_leader(now, peers);
}

void UnsafeRecovery::work(Instant now, Peers& peers) {
  if (!meta_.is_started()) return;
  if (attempt_) go_on(now, peers);
  if (allowed_ && (now.steady_us >= allowed_until_us_ || !check_silent(allowed_->nodes).ok())) allowed_.reset();
  if (!allowed_) allowed_until_us_ = kNever;
  meta_.give_up(now, allowed_);
}

int64_t UnsafeRecovery::deadline() const {
  int64_t deadline = allowed_until_us_;
  if (!attempt_) return deadline;
  deadline = std::min(deadline, attempt_->until_us);
  if (!attempt_->missing.empty()) return std::min(deadline, attempt_->answer_until_us);
  return attempt_->next_ask_us == INT64_MIN ? deadline : std::min(deadline, attempt_->next_ask_us);
}

}  // namespace quorate
