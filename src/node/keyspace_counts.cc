// Counting for other nodes, and adding up what they have counted.
#include "node/keyspace_counts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cluster/wire.h"
#include "node/company.h"
#include "node/forwarding_peers.h"
#include "node/host.h"
#include "node/info.h"
#include "node/input.h"
#include "node/output.h"
#include "node/routing.h"
#include "node/state.h"

namespace quorate {

namespace {

// Who asks every second should not stand for long because a node is silent whose beats were heard
// just now.
constexpr int64_t kWaitUs = 300'000;
// What was told longer ago counts no more.
constexpr int64_t kToldUs = 2'000'000;

Error corrupt() {
  return Error(ErrorCode::kCorrupt, "a message about numbers of keys cannot be read");
}

bool is_heard(const NodeState& node, NodeId other) {
  return node.company.cluster().groups().hears({other});
}

void add(std::vector<KeyspaceCount>& sum, const KeyspaceCount& count) {
  KeyspaceCount& all = sum[static_cast<size_t>(count.database)];
  all.keys += count.keys;
  all.expires += count.expires;
}

// Of the whole keyspace, if no partition is named.
std::vector<KeyspaceCount> counts_here(Store& store, std::optional<uint32_t> partition) {
  std::vector<KeyspaceCount> counts;
  store.set_scope(partition);
  for (int database = 0; database < store.database_count(); ++database) {
    const Db& db = store.database(database);
    if (db.size() != 0)
      counts.push_back({.database = database, .keys = db.size(), .expires = db.size_with_expiry()});
  }
  store.set_scope(std::nullopt);
  return counts;
}

void write_told(NodeState& node, uint64_t question, Buffer& out) {
  append_varint(out, question);
  for (uint32_t partition = 0; partition < node.store.partition_count(); ++partition) {
    if (!node.company.serves(partition)) continue;
    const std::vector<KeyspaceCount> counts = counts_here(node.store, partition);
    append_varint(out, partition);
    append_varint(out, node.company.cluster().partitions().core(partition)->term().value);
    append_varint(out, counts.size());
    for (const KeyspaceCount& count : counts) {
      append_varint(out, static_cast<uint64_t>(count.database));
      append_varint(out, count.keys);
      append_varint(out, count.expires);
    }
  }
}

// Nothing: it cannot be read.
std::optional<std::vector<KeyspaceCounts::OfPartition>> read_told(wire::Reader& reader,
                                                                  const Store& store) {
  std::vector<KeyspaceCounts::OfPartition> all;
  while (reader.good() && !reader.rest().empty()) {
    KeyspaceCounts::OfPartition& each = all.emplace_back();
    each.partition = static_cast<uint32_t>(reader.varint_at_most(store.partition_count() - 1));
    const bool is_in_order = all.size() == 1 || all[all.size() - 2].partition < each.partition;
    if (!is_in_order) return std::nullopt;
    each.term = reader.varint();
    const uint64_t databases = reader.varint_at_most(static_cast<uint64_t>(store.database_count()));
    for (uint64_t index = 0; reader.good() && index < databases; ++index) {
      KeyspaceCount& count = each.databases.emplace_back();
      count.database = static_cast<int>(
          reader.varint_at_most(static_cast<uint64_t>(store.database_count()) - 1));
      count.keys = reader.varint();
      count.expires = reader.varint();
    }
  }
  if (!reader.good()) return std::nullopt;
  return all;
}

// By partition; of two that say to lead it, who leads in the later term.
using NewestTold = std::map<uint32_t, const KeyspaceCounts::OfPartition*>;
NewestTold newest_told(const NodeState& node) {
  NewestTold newest;
  for (const auto& [id, told] : node.keyspace.told) {
    if (node.now.steady_us - told.told_us >= kToldUs) continue;
    for (const KeyspaceCounts::OfPartition& each : told.partitions) {
      const KeyspaceCounts::OfPartition*& known = newest[each.partition];
      if (known == nullptr || known->term < each.term) known = &each;
    }
  }
  return newest;
}

bool is_answered(const NodeState& node, const KeyspaceCounts::Waiting& waiting) {
  return std::all_of(waiting.asked.begin(), waiting.asked.end(), [&](NodeId id) {
    const auto told = node.keyspace.told.find(id);
    const bool has_told =
        told != node.keyspace.told.end() && told->second.question >= waiting.question;
    return has_told || !is_heard(node, id);
  });
}

// One question for all whose INFO has come in this turn.
void ask(NodeState& node) {
  KeyspaceCounts& counts = node.keyspace;
  const bool is_due = std::any_of(counts.waiting.begin(), counts.waiting.end(),
                                  [](const auto& each) { return each.question == 0; });
  if (!is_due) return;
  ++counts.questions;
  Buffer bytes;
  append_varint(bytes, counts.questions);
  std::vector<NodeId> asked;
  ClusterNode& cluster = node.company.cluster();
  for (const MemberRecord& member : cluster.state().members()) {
    if (member.id == cluster.own().id || member.state == MemberState::kRemoved ||
        !is_heard(node, member.id))
      continue;
    Link* const link = cluster.peers().link(member.id, PeerLane::kData);
    if (link == nullptr) continue;
    link->add(static_cast<uint64_t>(KeyspaceKind::kAsk), bytes.view());
    asked.push_back(member.id);
  }
  for (KeyspaceCounts::Waiting& each : counts.waiting) {
    if (each.question != 0) continue;
    each.question = counts.questions;
    each.asked = asked;
  }
}

void answer(NodeState& node, const KeyspaceCounts::Waiting& waiting) {
  Session* const session = node.sessions.find(waiting.session);
  if (session == nullptr || session->has(kClosing)) return;
  const std::vector<std::string_view> sections(waiting.sections.begin(), waiting.sections.end());
  node.buffers.lend(session->out);
  Reply(session->out, session->protocol)
      .verbatim(VerbatimFormat::kText, info_text(node, node.host.facts(), sections, session));
  session->clear(kWaiting);
  queue_flush(node, *session);
  resume_later(node, *session);
}

}  // namespace

bool needs_other_counts(const NodeState& node, const Session& session) {
  if (node.company.is_alone() || is_redirected(node, session)) return false;
  for (uint32_t partition = 0; partition < node.store.partition_count(); ++partition) {
    if (!node.company.serves(partition)) return true;
  }
  return false;
}

void begin_keyspace_wait(NodeState& node, Session& session, std::vector<std::string> sections) {
  node.keyspace.waiting.push_back({.session = session.id,
                                   .sections = std::move(sections),
                                   .until_us = node.now.steady_us + kWaitUs});
  session.set(kWaiting);
}

void look_at_keyspace_counts(NodeState& node) {
  KeyspaceCounts& counts = node.keyspace;
  if (counts.waiting.empty()) [[likely]]
    return;
  ask(node);
  std::vector<KeyspaceCounts::Waiting> answered;
  counts.next_look_us = kNever;
  std::erase_if(counts.waiting, [&](KeyspaceCounts::Waiting& each) {
    const bool is_over = node.now.steady_us >= each.until_us || is_answered(node, each);
    if (is_over) {
      answered.push_back(std::move(each));
    } else {
      counts.next_look_us = std::min(counts.next_look_us, each.until_us);
    }
    return is_over;
  });
  for (const KeyspaceCounts::Waiting& each : answered) answer(node, each);
}

std::vector<KeyspaceCount> keyspace_counts(NodeState& node, const Session* session) {
  if (node.company.is_alone()) return counts_here(node.store, std::nullopt);
  const bool means_own = session != nullptr && is_redirected(node, *session);
  const NewestTold newest = means_own ? NewestTold() : newest_told(node);
  std::vector<KeyspaceCount> sum(static_cast<size_t>(node.store.database_count()));
  for (size_t database = 0; database < sum.size(); ++database)
    sum[database].database = static_cast<int>(database);
  for (uint32_t partition = 0; partition < node.store.partition_count(); ++partition) {
    const bool serves = node.company.serves(partition);
    if (means_own && !serves) continue;
    const auto told = newest.find(partition);
    const bool was_told = !serves && told != newest.end();
    for (const KeyspaceCount& count :
         was_told ? told->second->databases : counts_here(node.store, partition))
      add(sum, count);
  }
  std::erase_if(sum, [](const KeyspaceCount& count) { return count.keys == 0; });
  return sum;
}

Status take_keyspace_message(NodeState& node, ForwardingPeers& peers, NodeId from, uint64_t kind,
                             std::string_view bytes) {
  wire::Reader reader(bytes);
  const uint64_t question = reader.varint();
  if (kind == static_cast<uint64_t>(KeyspaceKind::kAsk)) {
    if (!reader.good() || !reader.rest().empty()) return corrupt();
    Buffer told;
    write_told(node, question, told);
    peers.send(from, static_cast<uint64_t>(KeyspaceKind::kTold), told.view(), {});
    return done();
  }
  auto partitions = read_told(reader, node.store);
  if (!partitions) return corrupt();
  // Of a process before this one, that had asked too.
  if (question > node.keyspace.questions) return done();
  node.keyspace.told[from] = {
      .question = question, .told_us = node.now.steady_us, .partitions = std::move(*partitions)};
  return done();
}

}  // namespace quorate
