// MEMORY, the part about the process; MEMORY USAGE is a data command (src/commands/cmd_memory.cc).
#include <string>

#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/host.h"
#include "util/memory.h"

namespace quorate {
namespace {

// Everything MEMORY STATS and MEMORY DOCTOR look at.
struct MemoryFacts {
  uint64_t used = 0;
  uint64_t peak = 0;
  uint64_t normal_clients = 0;
  uint64_t replica_clients = 0;
  uint64_t tables = 0;
  uint64_t keys = 0;
  ProcessFacts process;

  uint64_t overhead() const { return normal_clients + replica_clients + tables; }
  uint64_t dataset() const { return used > overhead() ? used - overhead() : 0; }
};

MemoryFacts collect(NodeContext& cx) {
  MemoryFacts facts;
  facts.used = mem_used();
  facts.peak = std::max(cx.node.statistics.memory_peak, facts.used);
  cx.node.sessions.for_each([&](const Session& session) {
    (session.has(kReplicaLink) ? facts.replica_clients : facts.normal_clients) += session.memory();
  });
  for (int index = 0; index < cx.node.store.database_count(); ++index) {
    const Db& db = cx.node.store.database(index);
    facts.tables += db.table_bytes();
    facts.keys += db.size();
  }
  facts.process = cx.node.host.facts();
  return facts;
}

double ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Writes name and value pairs and counts them.
class Pairs {
 public:
  explicit Pairs(Reply& reply) : reply_(reply), map_(reply.begin(Reply::Shape::kMap)) {}
  void bytes(std::string_view name, uint64_t value) {
    key(name);
    reply_.integer(static_cast<int64_t>(value));
  }
  void difference(std::string_view name, uint64_t more, uint64_t less) {
    key(name);
    reply_.integer(static_cast<int64_t>(more) - static_cast<int64_t>(less));
  }
  void number(std::string_view name, double value) {
    key(name);
    reply_.number(value);
  }
  void key(std::string_view name) {
    reply_.bulk(name);
    ++count_;
  }
  void end() { reply_.end(map_, count_); }

 private:
  Reply& reply_;
  Reply::Deferred map_;
  size_t count_ = 0;
};

Status memory_stats(NodeContext& cx) {
  const MemoryFacts facts = collect(cx);
  const uint64_t resident = facts.process.resident_bytes;
  const uint64_t active = facts.process.allocator_active;
  const uint64_t allocator_resident = facts.process.allocator_resident;
  Pairs pairs(cx.reply);
  pairs.bytes("peak.allocated", facts.peak);
  pairs.bytes("total.allocated", facts.used);
  pairs.bytes("startup.allocated", 0);
  pairs.bytes("replication.backlog", 0);
  pairs.bytes("clients.slaves", facts.replica_clients);
  pairs.bytes("clients.normal", facts.normal_clients);
  pairs.bytes("cluster.links", 0);
  pairs.bytes("aof.buffer", 0);
  pairs.bytes("lua.caches", 0);
  pairs.bytes("functions.caches", 0);
  for (int index = 0; index < cx.node.store.database_count(); ++index) {
    const Db& db = cx.node.store.database(index);
    if (db.size() == 0) continue;
    pairs.key("db." + std::to_string(index));
    cx.reply.map(3);
    cx.reply.bulk("overhead.hashtable.main");
    cx.reply.integer(static_cast<int64_t>(db.table_bytes()));
    cx.reply.bulk("overhead.hashtable.expires");
    cx.reply.integer(0);
    cx.reply.bulk("overhead.hashtable.slot-to-keys");
    cx.reply.integer(0);
  }
  pairs.bytes("overhead.total", facts.overhead());
  pairs.bytes("keys.count", facts.keys);
  pairs.bytes("keys.bytes-per-key", facts.keys == 0 ? 0 : facts.used / facts.keys);
  pairs.bytes("dataset.bytes", facts.dataset());
  pairs.number("dataset.percentage", 100 * ratio(facts.dataset(), facts.used));
  pairs.number("peak.percentage", 100 * ratio(facts.used, facts.peak));
  pairs.bytes("allocator.allocated", facts.used);
  pairs.bytes("allocator.active", active);
  pairs.bytes("allocator.resident", allocator_resident);
  pairs.number("allocator-fragmentation.ratio", ratio(active, facts.used));
  pairs.difference("allocator-fragmentation.bytes", active, facts.used);
  pairs.number("allocator-rss.ratio", ratio(allocator_resident, active));
  pairs.difference("allocator-rss.bytes", allocator_resident, active);
  pairs.number("rss-overhead.ratio", ratio(resident, allocator_resident));
  pairs.difference("rss-overhead.bytes", resident, allocator_resident);
  pairs.number("fragmentation", ratio(resident, facts.used));
  pairs.difference("fragmentation.bytes", resident, facts.used);
  pairs.end();
  return done();
}

Status memory_doctor(NodeContext& cx) {
  constexpr uint64_t kWorthLooking = 5ULL << 20;
  const MemoryFacts facts = collect(cx);
  std::string text;
  if (facts.used < kWorthLooking) {
    text = "There is too little data for a diagnosis: " + std::to_string(facts.used) + " bytes are in use.\n";
  } else {
    if (ratio(facts.peak, facts.used) > 1.5) {
      text += "Peak: much more was in use once (" + std::to_string(facts.peak) +
              " bytes); the resident size may stay high although keys are gone. MEMORY PURGE may help.\n";
    }
    if (ratio(facts.process.resident_bytes, facts.used) > 1.4) {
      text += "Fragmentation: the process is resident with " + std::to_string(facts.process.resident_bytes) +
              " bytes, " + std::to_string(facts.used) + " of them in use.\n";
    }
    const uint64_t clients = cx.node.sessions.size();
    if (clients != 0 && facts.normal_clients / clients > 200 * 1024) {
      text += "Clients: their buffers take more than 200 KiB each on average; look for slow readers (CLIENT LIST).\n";
    }
    if (text.empty()) text = "No memory problem was found.\n";
  }
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

Status memory_malloc_stats(NodeContext& cx) {
  cx.reply.verbatim(VerbatimFormat::kText, mem_report());
  return done();
}

Status memory_purge(NodeContext& cx) {
  mem_release_pages();
  cx.reply.ok();
  return done();
}

constexpr std::string_view kTips = "nondeterministic_output,request_policy:all_shards,response_policy:special";

constexpr CommandSpec kTable[] = {
    {.name = "memory|doctor", .arity = 2, .summary = "Says in words what is odd about the use of memory.",
     .complexity = "O(N) in the number of clients", .since = "4.0.0", .group = Group::kServer, .tips = kTips,
     .run_on_node = memory_doctor},
    {.name = "memory|help", .arity = 2, .flags = kLoading | kStale, .summary = "Lists the subcommands of MEMORY.",
     .complexity = "O(1)", .since = "4.0.0", .group = Group::kServer},
    {.name = "memory|malloc-stats", .arity = 2, .summary = "Returns the allocator's own report.",
     .complexity = "Grows with the memory allocated", .since = "4.0.0", .group = Group::kServer, .tips = kTips,
     .run_on_node = memory_malloc_stats},
    {.name = "memory|purge", .arity = 2, .summary = "Gives unused pages back to the operating system.",
     .complexity = "Grows with the memory allocated", .since = "4.0.0", .group = Group::kServer,
     .tips = "request_policy:all_shards,response_policy:all_succeeded", .run_on_node = memory_purge},
    {.name = "memory|stats", .arity = 2, .summary = "Returns what the memory in use is used for.",
     .complexity = "O(N) in the number of clients", .since = "4.0.0", .group = Group::kServer, .tips = kTips,
     .run_on_node = memory_stats},
};
static_assert(well_formed(kTable), "cmd_memory.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> memory_commands() { return kTable; }

}  // namespace quorate
