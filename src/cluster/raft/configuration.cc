// Configurations: sets of members, their quorums, the step from one to the next.
#include "cluster/raft/configuration.h"

#include <algorithm>

namespace quorate::raft {

namespace {

bool contains(const std::vector<Member>& members, ReplicaId replica) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.replica == replica; });
}

// Of one list, which names nobody twice.
void add_new(std::vector<Member>& members, const std::vector<Member>& more) {
  const size_t known = members.size();
  members.reserve(known + more.size());
  for (const Member& member : more) {
    const auto end = members.begin() + static_cast<ptrdiff_t>(known);
    const bool is_new = std::none_of(members.begin(), end, [&](const Member& each) {
      return each.replica == member.replica;
    });
    if (is_new) members.push_back(member);
  }
}

// In the order of members().
template <class IsIt>
std::optional<Member> first_member(const Configuration& configuration, IsIt is_it) {
  const auto first_of = [&](const std::vector<Member>& members) -> std::optional<Member> {
    const auto found = std::find_if(members.begin(), members.end(), is_it);
    return found == members.end() ? std::nullopt : std::optional(*found);
  };
  std::optional<Member> found = first_of(configuration.incoming.voters);
  if (!found && configuration.outgoing) found = first_of(configuration.outgoing->voters);
  return found ? found : first_of(configuration.learners);
}

Status validate_members(const std::vector<Member>& members, size_t most) {
  if (members.size() > most) return Error(ErrorCode::kInvalidArgument, "too many members");
  std::vector<ReplicaId> replicas;
  replicas.reserve(members.size());
  for (const Member& member : members) {
    if (member.replica.none()) return Error(ErrorCode::kInvalidArgument, "replica id 0");
    if (member.node.none()) return Error(ErrorCode::kInvalidArgument, "node id 0");
    replicas.push_back(member.replica);
  }
  std::sort(replicas.begin(), replicas.end());
  if (std::adjacent_find(replicas.begin(), replicas.end()) != replicas.end()) {
    return Error(ErrorCode::kInvalidArgument, "a replica is named twice");
  }
  return done();
}

Status validate_half(const Half& half) {
  if (half.voters.empty()) return Error(ErrorCode::kInvalidArgument, "no voter");
  TRY(validate_members(half.voters, kMembersMax));
  TRY([[maybe_unused]] const Quorums quorums, quorums_of(half.voters.size(), half.commit_quorum));
  return done();
}

void describe_members(const char* name, const std::vector<Member>& members, std::string& text) {
  if (!text.empty()) text += ' ';
  text += name;
  for (const Member& member : members) text += ' ' + std::to_string(member.replica.value);
}

}  // namespace

std::string_view name_of(Durability durability) {
  switch (durability) {
    case Durability::kMemory: return "memory";
    case Durability::kOs: return "os";
    case Durability::kSynced: return "synced";
  }
  return {};
}

std::optional<Durability> strictest(const Configuration& committed, const Configuration& newest) {
  std::optional<Durability> found;
  for (const Configuration* each : {&committed, &newest}) {
    if (each->unknown() || each->mode_version == 0) continue;
    found = std::max(found.value_or(Durability::kMemory), each->durability);
  }
  return found;
}

Result<Quorums> quorums_of(size_t voters, uint32_t commit_quorum) {
  const auto count = static_cast<uint32_t>(voters);
  const uint32_t usual = (count + 1) / 2;
  const uint32_t commit = commit_quorum == 0 ? usual : commit_quorum;
  if (commit == 0 || commit > count) {
    return Error(ErrorCode::kInvalidArgument, "commit quorum out of range");
  }
  const uint32_t election = count - commit + 1;
  // By this definition E + C > N always; 2E > N fails for a commit quorum above the usual one.
  if (2 * election <= count) {
    return Error(ErrorCode::kInvalidArgument,
                 "two leaders could be elected: commit quorum too large");
  }
  return Quorums{.commit = commit, .election = election, .confirmation = count - election + 1};
}

bool Half::has(ReplicaId replica) const { return contains(voters, replica); }

Quorums Half::quorums() const {
  const Result<Quorums> quorums = quorums_of(voters.size(), commit_quorum);
  CHECK(quorums.ok());  // I8: nothing else gets past validate()
  CHECK(quorums.value().election + quorums.value().commit > voters.size());
  CHECK(2 * quorums.value().election > voters.size());
  return quorums.value();
}

bool Configuration::is_voter(ReplicaId replica) const {
  return incoming.has(replica) || (outgoing && outgoing->has(replica));
}

std::vector<Member> Configuration::voters() const {
  std::vector<Member> all = incoming.voters;
  if (outgoing) add_new(all, outgoing->voters);
  return all;
}

std::vector<Member> Configuration::members() const {
  std::vector<Member> all = voters();
  add_new(all, learners);
  return all;
}

std::optional<Member> Configuration::find(ReplicaId replica) const {
  return first_member(*this, [&](const Member& member) { return member.replica == replica; });
}

std::optional<Member> Configuration::find_on(NodeId node) const {
  return first_member(*this, [&](const Member& member) { return member.node == node; });
}

uint32_t Configuration::rank(ReplicaId replica) const {
  const std::vector<Member> all = voters();
  uint32_t rank = 0;
  while (rank < all.size() && all[rank].replica != replica) ++rank;
  return rank;
}

Status validate(const Configuration& configuration) {
  TRY(validate_half(configuration.incoming));
  if (configuration.outgoing) TRY(validate_half(*configuration.outgoing));
  TRY(validate_members(configuration.learners, kLearnersMax));
  for (const Member& learner : configuration.learners) {
    if (configuration.incoming.has(learner.replica)) {
      return Error(ErrorCode::kInvalidArgument, "a replica is voter and learner");
    }
  }
  return done();
}

Configuration first_step(const Configuration& current, const Configuration& target) {
  CHECK(!current.joint());
  CHECK(!target.joint());
  Configuration step = target;
  std::vector<Member> before = current.incoming.voters;
  std::vector<Member> after = target.incoming.voters;
  std::sort(before.begin(), before.end());
  std::sort(after.begin(), after.end());
  const bool same_quorums =
      before == after && current.incoming.commit_quorum == target.incoming.commit_quorum;
  if (!same_quorums) step.outgoing = current.incoming;
  return step;
}

Configuration without_outgoing(const Configuration& joint) {
  CHECK(joint.joint());
  Configuration last = joint;
  last.outgoing.reset();
  return last;
}

int64_t spare_electors(const Configuration& configuration, std::span<const NodeId> nodes) {
  const auto spare = [&](const Half& half) {
    const int64_t left = std::count_if(half.voters.begin(), half.voters.end(), [&](const Member& voter) {
      return std::find(nodes.begin(), nodes.end(), voter.node) == nodes.end();
    });
    return left - int64_t{half.quorums().election};
  };
  const int64_t incoming = spare(configuration.incoming);
  return configuration.joint() ? std::min(incoming, spare(*configuration.outgoing)) : incoming;
}

bool can_elect_without(const Configuration& configuration, std::span<const NodeId> nodes) {
  return spare_electors(configuration, nodes) >= 0;
}

bool has_voter_on(const Configuration& configuration, std::span<const NodeId> nodes) {
  const std::vector<Member> voters = configuration.voters();
  return std::any_of(voters.begin(), voters.end(), [&](const Member& voter) {
    return std::find(nodes.begin(), nodes.end(), voter.node) != nodes.end();
  });
}

Configuration without_nodes(const Configuration& configuration, std::span<const NodeId> nodes) {
  Configuration left{.durability = configuration.durability, .mode_version = configuration.mode_version};
  for (const Member& member : configuration.members()) {
    if (std::find(nodes.begin(), nodes.end(), member.node) != nodes.end()) continue;
    const bool has_room = left.incoming.voters.size() < kMembersMax;
    (has_room ? left.incoming.voters : left.learners).push_back(member);
  }
  return left;
}

std::string describe(const Configuration& configuration) {
  if (configuration.unknown()) return "unknown";
  std::string text;
  describe_members("voters", configuration.incoming.voters, text);
  if (configuration.incoming.commit_quorum != 0) {
    text += " commit-quorum " + std::to_string(configuration.incoming.commit_quorum);
  }
  if (configuration.outgoing) {
    describe_members("outgoing", configuration.outgoing->voters, text);
    if (configuration.outgoing->commit_quorum != 0) {
      text += " commit-quorum " + std::to_string(configuration.outgoing->commit_quorum);
    }
  }
  if (!configuration.learners.empty()) describe_members("learners", configuration.learners, text);
  if (configuration.mode_version != 0) {
    text += " mode " + std::string(name_of(configuration.durability)) + ' ' + std::to_string(configuration.mode_version);
  }
  return text;
}

}  // namespace quorate::raft
