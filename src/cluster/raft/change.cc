// Configurations: one change at a time, through a joint one whenever quorums differ, adopted on
// append (REPLICATION.md 7).
#include <algorithm>
#include <utility>

#include "cluster/raft/core.h"
#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate::raft {

ChangeRefusal Core::change_refusal(const Configuration& target) const {
  const Leader* const leading = leader();
  if (failed_ || leading == nullptr) return ChangeRefusal::kNotLeader;
  if (leading->transfer) return ChangeRefusal::kHandingOver;
  if (leading->no_op > commit_) return ChangeRefusal::kStarting;
  if (configuration().joint() || configuration_at().index > commit_)
    return ChangeRefusal::kInProgress;
  if (target.joint() || !validate(target).ok()) return ChangeRefusal::kInvalid;
  if (target == configuration()) return ChangeRefusal::kNoChange;
  return ChangeRefusal::kNone;
}

void Core::on(const in::ChangeConfiguration& input, Output& out) {
  CHECK(change_refusal(input.target) == ChangeRefusal::kNone);
  append_configuration(
      mistakes_.single_step_membership ? input.target : first_step(configuration(), input.target),
      out);
  advance_commit(out);
}

void Core::append_configuration(const Configuration& configuration, Output& out) {
  CHECK(configuration_at().index <= commit_);  // I9
  CHECK(leader()->no_op <= commit_);
  hard_changed_ = true;  // what is sent from here on tells of it
  const Index at = append_own(EntryKind::kConfiguration, encode_configuration(configuration), out);
  send_appends(out);  // to the members of before: who leaves hears of it
  adopt({.at = {.epoch = hard_.epoch, .term = hard_.term, .index = at},
         .configuration = configuration},
        out);
  send_appends(out);
}

void Core::restate_configuration(const Configuration& configuration, Output& out) {
  const Index at = append_own(EntryKind::kConfiguration, encode_configuration(configuration), out);
  adopt({.at = {.epoch = hard_.epoch, .term = hard_.term, .index = at},
         .configuration = configuration},
        out);
}

// The log's last entry brought a configuration.
void Core::adopt(StoredConfiguration configuration, Output& out) {
  CHECK(validate(configuration.configuration).ok());  // I8
  out.facts.push_back("configuration at " + std::to_string(configuration.at.index.value) + " -> " +
                      describe(configuration.configuration));
  std::optional<StoredConfiguration> remembered;
  if (remembers_) {
    remembered = std::move(configurations_.back());
    configurations_.pop_back();
  }
  while (!configurations_.empty() && configurations_.back().at.index >= configuration.at.index) {
    configurations_.pop_back();
  }
  configurations_.push_back(std::move(configuration));
  // A log that was forgotten comes back from its beginning: what it comes to may still be newer.
  remembers_ = remembered && !has_passed(position(), remembered->at);
  if (remembers_) configurations_.push_back(std::move(*remembered));
  configuration_is_another(out);
  if (leader() != nullptr) rebuild_progress();
}

// Who asks for an all-present restart, or is asked, is told of a configuration that it forgot or
// never had.  False: it is no news.
bool Core::remember(const StoredConfiguration& told, Output& out) {
  CHECK(leader() == nullptr);
  if (told.configuration.unknown() || told.at <= configuration_at()) return false;
  out.facts.push_back("told of the configuration at " + std::to_string(told.at.index.value) +
                      " -> remember " + describe(told.configuration));
  if (remembers_) configurations_.pop_back();
  configurations_.push_back(told);
  remembers_ = true;
  configuration_is_another(out);
  return true;
}

// What it remembers beyond its log has been passed by that of a leader: it never was committed.
void Core::forget_remembered(Output& out) {
  // The only one it knows is better than none.
  if (!remembers_ || configurations_.size() == 1) return;
  configurations_.pop_back();
  remembers_ = false;
  out.facts.push_back("configuration truncated -> back to " + describe(configuration()));
  configuration_is_another(out);
}

// The log lost what is behind `last`: the configuration before it holds again.
void Core::take_back_configurations(Index last, Output& out) {
  const size_t logged = configurations_.size() - (remembers_ ? 1 : 0);
  size_t kept = logged;
  while (kept > 0 && configurations_[kept - 1].at.index > last) --kept;
  if (kept == logged) return;
  if (kept == 0 && !remembers_) {
    // The log began with nothing and had said who belongs to the group only in what it lost.
    remembers_ = true;
    configurations_.erase(configurations_.begin(), configurations_.end() - 1);
    return;
  }
  configurations_.erase(configurations_.begin() + static_cast<ptrdiff_t>(kept),
                        configurations_.begin() + static_cast<ptrdiff_t>(logged));
  if (remembers_) return;
  out.facts.push_back("configuration truncated -> back to " + describe(configuration()));
  configuration_is_another(out);
}

// Everybody compares where configurations stand.  What the log holds is of the log's epoch, whenever it was written: who gets this log later, or
// reads it again, sees it there only.
void Core::date_logged_configurations() {
  const size_t logged = configurations_.size() - (remembers_ ? 1 : 0);
  for (size_t at = 0; at < logged; ++at) configurations_[at].at.epoch = hard_.epoch;
  hard_.configuration = configurations_.back();
  hard_changed_ = true;
}

void Core::configuration_is_another(Output& out) {
  hard_.configuration = configurations_.back();
  hard_changed_ = true;
  out.configuration_changed = true;
}

// Any leader finishes a joint configuration once it is committed; one outside the new set transfers
// first.
void Core::continue_change(Output& out) {
  Leader* const leading = leader();
  if (leading == nullptr || leading->transfer || leading->suspended || !configuration().joint())
    return;
  if (configuration_at().index > commit_ || leading->no_op > commit_) return;
  if (configuration().incoming.has(options_.self.replica)) {
    append_configuration(without_outgoing(configuration()), out);
    return;
  }
  if (now_us_ < leading->next_transfer_us) return;
  const Progress* best = nullptr;
  for (const Progress& member : leading->progress) {
    if (!may_transfer(member.member().replica)) continue;
    const bool comes_first =
        best == nullptr || std::pair(member.transfer_failed_us, best->match()) < std::pair(best->transfer_failed_us, member.match());
    if (comes_first) best = &member;
  }
  if (best != nullptr) begin_transfer(best->member(), out);
}

const StoredConfiguration& Core::configuration_at_index(Index index) const {
  size_t newest = configurations_.size() - 1;
  if (remembers_ && newest > 0) --newest;
  while (newest > 0 && configurations_[newest].at.index > index) --newest;
  return configurations_[newest];
}

const StoredConfiguration& Core::committed_configuration() const {
  return configuration_at_index(commit_);
}

Durability Core::required_mode() const {
  return strictest(committed_configuration().configuration, configuration()).value_or(Durability::kMemory);
}

}  // namespace quorate::raft
