// The comparison of a partition's copies, and what is done about one that differs.
#include "cluster/partitions.h"

#include <utility>

#include "cluster/partitions_parts.h"
#include "util/varint.h"

namespace quorate {

using partitions_parts::damaged;
using partitions_parts::leads;

// What this replica holds is what its log says up to the marker that it has just come to.
void Partitions::mark(Instant now, uint32_t partition) {
  if (!encoding_ && !check_.is_summing()) next_step_us_ = now.steady_us;
  const raft::Entry& marker = core(partition)->log().at(replicas_[partition].state_index);
  check_.marked(now, partition, marker, encoding_ ? StateCheck::CanSum::kNo : StateCheck::CanSum::kYes);
}

void Partitions::check_copies(Instant now, Peers& peers) {
  const bool is_free = !encoding_ && !check_.is_summing();
  const auto due = is_free ? check_.next_due(now, state_check_us_) : std::nullopt;
  if (due && replicas_[*due].fault == Fault::kNone) {
    apply(now, *due);
    groups_.step(now, group_of_partition(*due), raft::in::Propose{.payload = {}, .kind = raft::EntryKind::kMarker});
    replicas_[*due].state_index = core(*due)->last_index();
    mark(now, *due);
  }
  if (check_.is_summing() && now.steady_us >= next_step_us_) {
    next_step_us_ = now.steady_us + options_.encoding_us;
    check_.step(peers);
  }
  if (check_.is_summing()) wants_step_ = true;
  check_.decide(now);
  for (const StateCheck::Finding& finding : check_.take_findings()) tell_differing(finding, peers);
}

//   differs = varint group, u64 replica that differs, varint term and index of the marker
void Partitions::tell_differing(const StateCheck::Finding& finding, Peers& peers) {
  for (const raft::Member& member : finding.verdict.differing) {
    if (member.node.value == options_.self) {
      replicas_[finding.partition].fault = Fault::kDiffers;
      replicas_[finding.partition].agreeing.clear();
      for (const raft::Member& each : finding.verdict.agreeing) replicas_[finding.partition].agreeing.push_back(each.node);
      look_soon(finding.partition);
      continue;
    }
    Link* const link = peers.link(member.node.value, PeerLane::kData);
    if (link == nullptr) continue;
    Buffer bytes;
    append_varint(bytes, group_of_partition(finding.partition).value);
    append_little<uint64_t>(bytes, member.replica.value);
    append_varint(bytes, finding.term.value);
    append_varint(bytes, finding.index.value);
    link->add(kDiffers, bytes.view());
  }
}

namespace {

// Which copy, and the marker that is spoken of.
struct AboutMarker {
  raft::GroupId group;
  raft::ReplicaId replica;
  raft::Term term;
  raft::Index index;
};

bool take_about_marker(std::string_view& bytes, AboutMarker& about) {
  return take_varint(bytes, about.group.value) && take_little<uint64_t>(bytes, about.replica.value) &&
         take_varint(bytes, about.term.value) && take_varint(bytes, about.index.value);
}

}  // namespace

Status Partitions::receive_sum(NodeId from, std::string_view bytes) {
  AboutMarker about;
  Hash128 sum;
  const bool is_whole = take_about_marker(bytes, about) && take_little<uint64_t>(bytes, sum.low) &&
                        take_little<uint64_t>(bytes, sum.high) && bytes.empty();
  if (!is_whole || about.group.none() || about.group.value > options_.partitions) return damaged("a sum cannot be read");
  const raft::Core* const own = groups_.find(about.group);
  const auto member = own == nullptr ? std::nullopt : own->configuration().find(about.replica);
  if (member && member->node.value == from) check_.take_sum(partition_of(about.group), about.replica, about.term, about.index, sum);
  return done();
}

Status Partitions::receive_differs(NodeId from, std::string_view bytes) {
  AboutMarker about;
  const bool is_whole = take_about_marker(bytes, about) && bytes.empty();
  if (!is_whole || about.group.none() || about.group.value > options_.partitions) return damaged("a finding cannot be read");
  const raft::Core* const own = groups_.find(about.group);
  if (own == nullptr || own->options().self.replica != about.replica || own->term() != about.term) return done();
  const auto leader = own->role_state().leader;
  if (!leader || leader->node.value != from || leads(*own)) return done();
  const uint32_t partition = partition_of(about.group);
  facts_.emplace_back(partition, "differs from the majority at index " + std::to_string(about.index.value) + " -> ask whether to start over");
  replicas_[partition].fault = Fault::kDiffers;
  look_soon(partition);
  return done();
}

std::vector<std::pair<uint32_t, std::string>> Partitions::take_facts() {
  std::vector<std::pair<uint32_t, std::string>> facts = std::exchange(facts_, {});
  for (auto& fact : check_.take_facts()) facts.push_back(std::move(fact));
  return facts;
}

}  // namespace quorate
