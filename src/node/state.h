// What a node consists of.  The functions that work on it stand by subject: input.h, execute.h, output.h,
// transactions.h, blocking.h, publish.h, changes.h, upkeep.h; session commands get it through NodeContext.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/meta_group.h"
#include "node/command_index.h"
#include "node/company.h"
#include "node/durability.h"
#include "node/followers.h"
#include "node/keyspace_counts.h"
#include "node/latency.h"
#include "node/leaving.h"
#include "node/memory_limit.h"
#include "node/needs.h"
#include "node/node.h"
#include "node/persistence.h"
#include "node/session_map.h"
#include "node/sessions.h"
#include "node/settings.h"
#include "node/slow_log.h"
#include "node/statistics.h"
#include "node/uncommitted.h"
#include "node/waits.h"
#include "store/db.h"
#include "util/mac.h"
#include "util/time.h"

namespace quorate {

// What makes every command take the careful road.
enum NodeFlag : uint32_t {
  kNodeLoading = 1u << 0,
  kNodePaused = 1u << 1,          // CLIENT PAUSE
  kNodeMonitored = 1u << 2,       // somebody sent MONITOR
  kNodeWritesRefused = 1u << 3,   // the disk fails: MISCONF
  kNodeMemoryLimited = 1u << 4,   // maxmemory is set
  kNodeBusy = 1u << 5,            // DEBUG SLEEP: nobody is answered
  kNodeExactTimes = 1u << 6,      // every command is timed alone
  kNodeFollowed = 1u << 7,        // somebody reads the stream of effects
  kNodeHasLevels = 1u << 9,       // alone, write-quorum or read-quorum ask for more than one node may have
  kNodeMemoryPressed = 1u << 10,  // another node, which may hold copies of what is led here, is above its maxmemory
  kNodeTooMuchUncommitted = 1u << 11,  // max-uncommitted-bytes (uncommitted.h): TRYAGAIN
  kNodeInCompany = 1u << 8,       // there are other nodes: a request runs where its partition is led
};

class Forwarding;
class PubsubLinks;

// When a wish is fulfilled.
enum class WishEnd : uint8_t {
  kDecided,
  kModeIsKept,  // when all partitions go by what was decided
  kIsOut,       // of a node that is to be removed itself: or when it hears that it is out, as it may not hear what was decided any more
};
// A session that waits for what the members decide (wishes.h).
struct Wish {
  ProposalToken token = 0;
  uint64_t session = 0;
  int64_t until_us = 0;
  WishEnd end = WishEnd::kDecided;
  // Of kModeIsKept, once it is decided: the members' version of the mode that is waited for.
  uint64_t mode_version = 0;
};

enum class PauseKind : uint8_t { kNone, kWrite, kAll };

// Of NodeState::time_limit_offset_ms.
constexpr int64_t kNoTimeLimit = INT64_MAX / 2;

struct NodeState {
  explicit NodeState(const NodeOptions& options);
  ~NodeState();

  // ---- fixed at construction ---------------------------------------------------------------------
  NodeSettings& settings;
  StoreSettings& store_settings;
  ProcessSettings& process_settings;
  Configuration& configuration;
  Host& host;
  const raft::Options group_options;
  const StateOptions state_options;
  const NodeMistakes mistakes;
  int64_t (*const clock_us)();
  const uint32_t shard;
  const uint64_t new_log_id;
  const NodeIdentity identity;
  const std::optional<Rejoin> rejoin;
  const StartFacts start_facts;
  const Bytes32 nonce_key;
  std::string run_id;  // 40 hex digits

  // ---- the parts ----------------------------------------------------------------------------------
  Store store;
  CommandIndex commands;
  Sessions sessions;
  BufferPool buffers;
  SessionMap channels;
  SessionMap patterns;
  SessionMap shard_channels;
  KeySessionMap watches;   // WATCH
  KeySessionMap waiters;   // blocked commands, by key
  std::vector<Session*> monitors;
  Statistics statistics;
  SlowLog slow_log;
  LatencyMonitor latency_monitor;
  Durability durability;
  Streams streams;
  Persistence persistence;
  Followers followers;
  Company company;
  Leaving leaving;
  MemoryPressure memory_pressure{*this};  // in company
  std::unique_ptr<Forwarding> forwarding;  // in company
  std::unique_ptr<PubsubLinks> pubsub;     // in company

  // ---- set by every input ----------------------------------------------------------------------------
  Instant now;               // of the node's time (input.h)
  int64_t wall_ms = 0;       // what the wall clock said

  // ---- between inputs ----------------------------------------------------------------------------------
  uint32_t flags = 0;
  int64_t started_us = 0;
  int64_t started_unix_ms = 0;
  UncommittedTold uncommitted_told;
  bool log_trouble_told = false;         // the server's log says that writes are refused
  uint64_t memory_at_start = 0;          // used_memory_startup
  int64_t last_second_us = 0;
  Instant newest_time{};                 // the latest that the node's time was, and when
  int64_t newest_stamp_ms = 0;           // the latest that a record or a state says, own or from another: the node's time is not before it
  int64_t time_limit_offset_ms = kNoTimeLimit;   // the node's time follows the wall clock up to steady_us / 1000 + this
  int64_t busy_until_us = 0;
  int64_t slept_us = 0;                  // by DEBUG SLEEP: counts as the time of the command that is counted next
  std::vector<Session*> busy_sessions;   // whose DEBUG SLEEP ends then
  PauseKind pause = PauseKind::kNone;
  int64_t next_cross_protocol_note_us = INT64_MIN;   // not told again before
  int64_t pause_until_us = 0;
  std::vector<Session*> postponed;
  size_t blocked_count = 0;              // sessions in kBlocked, kPostponed or kBlockedElsewhere
  std::multimap<int64_t, uint64_t> block_deadlines;  // steady_us -> session id
  std::vector<std::pair<int, std::string>> ready_keys;
  std::set<std::pair<int, std::string>> ready_set;   // the same keys
  std::vector<Wish> wishes;
  Waits waits;
  KeyspaceCounts keyspace;
  int64_t next_upkeep_us = 0;
  // What eviction may still cost in this turn, entries looked at: about 20 a key, or two microseconds.  Commands add to it.
  static constexpr size_t kEvictionPerTurn = 500;
  size_t eviction_budget = kEvictionPerTurn;
  bool background_work_left = false;
  bool has_sliced = false;               // background work was done in this turn
  int64_t slices_ended_us = 0;           // when the last such turn had ended: a slice makes up for the time of others, not for its own
  size_t rejected_count = 0;             // sessions that are only told so

  // ---- collected in a turn, carried out by perform() -----------------------------------------------
  std::vector<Session*> to_flush;
  std::vector<Session*> to_close;
  std::vector<Session*> to_resume;
  std::vector<Session*> reading_changed;

  // ---- scratch of the running batch --------------------------------------------------------------------
  static constexpr size_t kBatchMax = 32;
  std::vector<Request> requests;
  RequestParser fresh_parser;            // for sessions without an incomplete request
  std::array<Command*, kBatchMax> batch_rows{};
  std::array<Key, kBatchMax> batch_keys{};
  size_t batch_index = 0;                // of the request that runs
  bool in_transaction = false;

  // Of the store's tables and, derived from it, of those inside values.  Requires: as Store::set_hash_seed().
  void set_hash_seed(uint64_t seed);
  // Something needs Store::effects(): the log, or followers.
  void update_collecting();
  // Something needs Store::changes(): WATCH, blocked commands or keyspace events.
  void update_observed();
  int64_t clock() const { return clock_us == nullptr ? 0 : clock_us(); }
  size_t client_count() const { return sessions.size() - rejected_count; }
};

}  // namespace quorate
