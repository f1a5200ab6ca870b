// How the interaction scripts show terms, messages and states.
#include "tests/interaction/print.h"

#include <type_traits>
#include <variant>

#include "cluster/raft/message_codec.h"

namespace quorate::interaction {

namespace {

template <class Tag>
std::string number(raft::Tagged<Tag> value) {
  return std::to_string(value.value);
}

std::string place(raft::Index index, raft::Term term) { return number(index) + "/" + number(term); }

std::string position_of(const raft::Position& position) {
  const std::string epoch = position.epoch.none() ? "" : "e" + number(position.epoch) + ":";
  return epoch + place(position.index, position.term);
}

std::string configuration_of(const raft::StoredConfiguration& stored) {
  return position_of(stored.at) + " {" + raft::describe(stored.configuration) + "}";
}

std::string kind_name(raft::VoteKind kind) {
  switch (kind) {
    case raft::VoteKind::kPreVote:
      return "pre-vote";
    case raft::VoteKind::kVote:
      return "vote";
    case raft::VoteKind::kRecoveryPreVote:
      return "recovery-pre-vote";
    case raft::VoteKind::kRecoveryVote:
      return "recovery-vote";
  }
  return "?";
}

std::string result_name(raft::VoteResult result) {
  switch (result) {
    case raft::VoteResult::kGranted:
      return "granted";
    case raft::VoteResult::kHearsLeader:
      return "hears-leader";
    case raft::VoteResult::kPromised:
      return "promised";
    case raft::VoteResult::kQuiet:
      return "quiet";
    case raft::VoteResult::kRecovering:
      return "recovering";
    case raft::VoteResult::kBetterLog:
      return "better-log";
    case raft::VoteResult::kVotedForOther:
      return "voted-for-other";
    case raft::VoteResult::kOldTerm:
      return "old-term";
    case raft::VoteResult::kNewerConfiguration:
      return "newer-configuration";
    case raft::VoteResult::kNotGivenUp:
      return "not-given-up";
    case raft::VoteResult::kBetterCandidate:
      return "better-candidate";
  }
  return "?";
}

std::string body(const raft::Append& append) {
  std::string text = "append after " + place(append.prev_index, append.prev_term) + " commit " +
                     number(append.commit);
  if (!append.entries.empty()) text += ":";
  for (const raft::Entry& entry : append.entries.view()) text += " " + show(entry);
  return text;
}

std::string body(const raft::AppendAnswer& answer) {
  if (answer.result == raft::AppendResult::kStored) return "stored " + number(answer.match);
  return "mismatch at " + number(answer.rejected) + " hint " + place(answer.hint, answer.hint_term);
}

std::string body(const raft::CommitNotice& notice) { return "commit " + number(notice.commit); }

std::string body(const raft::RequestVote& request) {
  std::string text = "request " + kind_name(request.kind) + " t" + number(request.proposed) +
                     " log " + position_of(request.position);
  if (request.standing == raft::Standing::kRecovering) text += " recovering";
  if (!request.is_loaded) text += " loading";
  if (!request.transfer_mark.none()) text += " mark t" + number(request.transfer_mark);
  if (is_of_recovery(request.kind)) text += " " + configuration_of(request.configuration);
  return text;
}

std::string body(const raft::VoteAnswer& answer) {
  std::string text =
      kind_name(answer.kind) + " t" + number(answer.proposed) + " " + result_name(answer.result);
  if (answer.wait_ms != 0) text += " wait " + std::to_string(answer.wait_ms) + "ms";
  text += " log " + position_of(answer.position);
  if (answer.standing == raft::Standing::kRecovering) text += " recovering";
  if (answer.result == raft::VoteResult::kNewerConfiguration)
    text += " " + configuration_of(answer.configuration);
  return text;
}

std::string body(const raft::TimeoutNow&) { return "timeout-now"; }
std::string body(const raft::TransferRefused&) { return "transfer-refused"; }
// Nonces come from chance: not shown.
std::string body(const raft::RecoveryRequest&) { return "recovery-request"; }
std::string body(const raft::RecoveryAnswer& answer) {
  return "recovery-answer up to " + number(answer.last_index);
}

}  // namespace

std::string show(const raft::Entry& entry) {
  const std::string at = place(entry.index, entry.term) + " ";
  switch (entry.kind) {
    case raft::EntryKind::kNoOp:
      return at + "no-op";
    case raft::EntryKind::kCommand:
      return at + "\"" + std::string(entry.payload.view()) + "\"";
    case raft::EntryKind::kConfiguration: {
      const auto configuration = raft::decode_configuration(entry.payload.view());
      return at + "{" +
             (configuration.ok() ? raft::describe(configuration.value()) : "unreadable") + "}";
    }
    case raft::EntryKind::kMarker:
      return at + "marker";
  }
  return "?";
}

std::string show(const raft::Message& message) {
  std::string head = number(message.from.replica) + "->" + number(message.to.replica) + " t" +
                     number(message.term);
  if (!message.epoch.none()) head += " e" + number(message.epoch);
  return head + " " + std::visit([](const auto& one) { return body(one); }, message.body);
}

std::string show(const raft::RoleState& state) {
  std::string text;
  switch (state.role) {
    case raft::RoleName::kFollower:
      text = "follower";
      break;
    case raft::RoleName::kPreCandidate:
      text = "pre-candidate";
      break;
    case raft::RoleName::kCandidate:
      text = "candidate";
      break;
    case raft::RoleName::kLeader:
      text = "leader";
      break;
  }
  text += " t" + number(state.term);
  if (state.role != raft::RoleName::kLeader) {
    return state.leader ? text + " of " + number(state.leader->replica) : text;
  }
  switch (state.serving) {
    case raft::Serving::kNo:
      text += " not serving";
      break;
    case raft::Serving::kStarting:
      text += " starting";
      break;
    case raft::Serving::kYes:
      text += " serving";
      break;
    case raft::Serving::kSuspended:
      text += " suspended";
      break;
    case raft::Serving::kHandingOver:
      text += " handing over";
      break;
  }
  return text;
}

std::string show(raft::Failure::Kind kind) {
  switch (kind) {
    case raft::Failure::Kind::kDivergence:
      return "divergence";
    case raft::Failure::Kind::kCommittedConflict:
      return "committed-conflict";
    case raft::Failure::Kind::kTwoLeaders:
      return "two-leaders";
    case raft::Failure::Kind::kBadEntry:
      return "bad-entry";
  }
  return "?";
}

std::string show(raft::ChangeRefusal refusal) {
  switch (refusal) {
    case raft::ChangeRefusal::kNone:
      return "none";
    case raft::ChangeRefusal::kNotLeader:
      return "not-leader";
    case raft::ChangeRefusal::kStarting:
      return "starting";
    case raft::ChangeRefusal::kInProgress:
      return "in-progress";
    case raft::ChangeRefusal::kInvalid:
      return "invalid";
    case raft::ChangeRefusal::kNoChange:
      return "no-change";
    case raft::ChangeRefusal::kHandingOver:
      return "handing-over";
  }
  return "?";
}

std::string show(const raft::Core& core) {
  std::string text = show(core.role_state());
  if (!core.epoch().none()) text += " e" + number(core.epoch());
  text += ", log " + number(core.log().base().index) + ".." +
          place(core.last_index(), core.log().last_term());
  text += ", commit " + number(core.commit_index());
  if (core.stored_index() != core.last_index()) text += ", stored " + number(core.stored_index());
  if (core.standing() == raft::Standing::kRecovering) text += ", recovering";
  if (core.failed()) text += ", failed";
  return text + ", " + raft::describe(core.configuration());
}

}  // namespace quorate::interaction
