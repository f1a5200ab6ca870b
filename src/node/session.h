// One client connection as the node keeps it.  Small while idle (10 000 of them must be cheap): buffers come from a
// pool and go back when empty, and what few clients need lives in SessionExtras, made on first use.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "commands/context.h"
#include "node/followers.h"
#include "node/holds.h"
#include "node/key_versions.h"
#include "node/levels.h"
#include "node/log_places.h"
#include "node/needs.h"
#include "node/node.h"
#include "node/settings.h"
#include "resp/reply.h"
#include "resp/request_parser.h"
#include "util/buffer.h"

namespace quorate {

enum SessionFlag : uint32_t {
  // What makes execute() look closer before it runs a command.
  kNeedsAuth = 1u << 0,
  kInMulti = 1u << 1,
  kMultiBroken = 1u << 2,     // a queued command was refused: EXEC aborts
  kWatchBroken = 1u << 3,     // a watched key changed: EXEC gives null
  kSubscribed = 1u << 4,      // to at least one channel or pattern
  kReplyOff = 1u << 5,        // CLIENT REPLY OFF
  kReplySkipNext = 1u << 6,   // CLIENT REPLY SKIP was the last command
  kNoTouch = 1u << 7,
  kMonitoring = 1u << 8,
  // What stops reading its requests.
  kBlocked = 1u << 9,         // waits for a key (BLPOP ...)
  kPostponed = 1u << 10,      // CLIENT PAUSE
  kWaiting = 1u << 11,        // a slow answer is being made (SAVE, DEBUG SLEEP, SYNC)
  kCloseAfterReply = 1u << 12,
  kClosing = 1u << 13,        // gone as soon as the turn ends
  // Facts.
  kNoEvict = 1u << 14,
  kReplicaLink = 1u << 15,    // sent SYNC or PSYNC
  kLoopback = 1u << 16,
  kUnixSocket = 1u << 17,
  kRejected = 1u << 18,       // over maxclients: not counted as a client
  kQueuedToFlush = 1u << 19,
  kQueuedToClose = 1u << 20,
  kQueuedToResume = 1u << 21,
  kGapsFull = 1u << 22,       // as many gaps as it may have; stops reading its requests
  kReadingStopped = 1u << 23, // the driver was told not to read
  kAbortClose = 1u << 24,
  kReplySkipNow = 1u << 25,   // the running command is the one that CLIENT REPLY SKIP meant
  kForwardingFull = 1u << 26, // much of it is under way to another node; stops reading its requests
  kBlockedElsewhere = 1u << 27, // waits for a key of another node; stops reading its requests
  kForwarded = 1u << 30,      // runs commands of another node (driver is set): what they reply is noted
  kReadNoMore = 1u << 31,     // the node is about to end
  kReadonlyReplica = 1u << 28, // READONLY: reads may be answered from this node's copy (r=local)
  kHasLevels = 1u << 29,      // `levels` or `once_levels` say something
};
constexpr uint32_t kLookCloser = kNeedsAuth | kInMulti | kSubscribed | kReplyOff | kReplySkipNext | kNoTouch |
                                  kReplicaLink | kHasLevels | kForwarded;
constexpr uint32_t kStopsInput = kBlocked | kPostponed | kWaiting | kCloseAfterReply | kClosing | kGapsFull |
                                 kForwardingFull | kBlockedElsewhere;

// A command copied out of the input, for later.
struct StoredCommand {
  const CommandSpec* spec = nullptr;
  uint32_t row = 0;  // of the CommandIndex
  std::vector<std::string> args;

  std::vector<std::string_view> views() const { return {args.begin(), args.end()}; }
  size_t memory() const;
};

struct WatchedKey {
  int database = 0;
  std::string key;
  bool was_expired = false;  // past its time already when it was watched
  std::optional<KeyVersion> version = std::nullopt;  // watched at another node, which has said this
};

enum class Unblocked : uint8_t;   // blocking.h

// A command that waits for one of its keys.
struct BlockedCommand {
  StoredCommand command;
  int database = 0;
  BlockRequest request;
  int64_t deadline_us = kNever;  // steady
  std::vector<std::string> keys; // without repetition
};

struct SessionExtras {
  std::string name;
  std::string library_name;
  std::string library_version;

  std::vector<StoredCommand> queued;  // MULTI
  size_t queued_bytes = 0;
  uint32_t queued_flags = 0;          // of all queued commands
  std::vector<WatchedKey> watched;

  std::set<std::string, std::less<>> channels;
  std::set<std::string, std::less<>> patterns;
  std::set<std::string, std::less<>> shard_channels;

  std::optional<BlockedCommand> blocked;
  std::optional<StoredCommand> postponed;  // by CLIENT PAUSE
  std::optional<Unblocked> unblocked;      // CLIENT UNBLOCK has come meanwhile: if it waits then, no longer than that

  std::unique_ptr<Follower> follower;      // REPLCONF, SYNC
};

class SessionDriver;

class Session {
 public:
  Session(uint64_t id_in, PeerInfo peer_in) : id(id_in), peer(std::move(peer_in)) {}

  bool has(uint32_t any_of) const { return (flags & any_of) != 0; }
  void set(uint32_t bits) { flags |= bits; }
  void clear(uint32_t bits) { flags &= ~bits; }
  SessionExtras& more() {
    if (extras == nullptr) extras = std::make_unique<SessionExtras>();
    return *extras;
  }
  std::string_view name() const { return extras == nullptr ? std::string_view() : extras->name; }
  void set_levels(const Levels& wanted) {
    levels = wanted;
    update_has_levels();
  }
  void set_once_levels(const Levels& wanted) {
    once_levels = wanted;
    update_has_levels();
  }
  size_t subscription_count() const {
    return extras == nullptr ? 0 : extras->channels.size() + extras->patterns.size();
  }
  size_t all_subscription_count() const {
    return extras == nullptr ? 0 : subscription_count() + extras->shard_channels.size();
  }
  ClientClass client_class() const;
  size_t pending_output() const { return out.size() + (flight.size() - flight_sent) + holds.filled_bytes(); }
  // Beyond that what a follower gets once it has the file.
  size_t owed_output() const;
  // Bytes this connection costs, about.
  size_t memory() const;

  // ---- fixed at construction --------------------------------------------------------------------
  const uint64_t id;
  const PeerInfo peer;
  SessionDriver* driver = nullptr;  // where its output goes; null: with everything else, to the node's
  uint32_t link_partition = 0;      // of a session that runs commands for another node (driver is set): of all of them

  // ---- changed by commands ------------------------------------------------------------------------
  uint32_t flags = 0;
  Protocol protocol = Protocol::kResp2;
  int database = 0;
  Levels levels;                    // CLIENT QUORUM
  Levels once_levels;               // CLIENT QUORUM ONCE: of the next command on data, or transaction
  const CommandSpec* last_command = nullptr;
  std::unique_ptr<SessionExtras> extras;
  LogPlaces places;                 // in company
  uint32_t placeless_writes = 0;    // that others were sent and have not answered: where they stand is not known yet

  // ---- input ----------------------------------------------------------------------------------------
  Buffer in;                              // what is not executed yet
  std::unique_ptr<RequestParser> parser;  // only while a request is incomplete
  size_t read_reserved = 0;               // bytes offered by read_target()

  // ---- output ---------------------------------------------------------------------------------------
  Buffer out;              // replies are appended here
  Buffer flight;           // what the driver is sending; does not move
  size_t flight_sent = 0;
  TurnNeeds needs;         // of the replies of this turn
  Holds holds;             // what `out` waits for
  StreamId waits_for = kNoStream;  // in the list of this stream; a need of it stands first in `holds`
  int64_t soft_limit_since_us = 0;

  // ---- time -------------------------------------------------------------------------------------------
  int64_t created_us = 0;
  int64_t active_us = 0;   // of the last input or output

 private:
  void update_has_levels() {
    if (levels.is_set() || once_levels.is_set()) {
      set(kHasLevels);
    } else {
      clear(kHasLevels);
    }
  }
};

}  // namespace quorate
