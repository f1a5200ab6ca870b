// Clients that follow the data (SYNC, PSYNC): redis-cli --rdb and --replica, tools that carry data away, a Redis server
// that is told to replicate from here.  Each gets all data as an RDB file, and then what every write did, as commands
// in the order they happened (those of one request, if several, between MULTI and EXEC).
// They are not copies that count: a follower that is too slow is cut off, and there is no backlog, so that who comes
// back gets all data again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"
#include "store/rdb/file.h"
#include "util/buffer.h"

namespace quorate {

class Session;
struct NodeState;

// What a session that sent REPLCONF, SYNC or PSYNC is beside a client.
struct Follower {
  // ---- told by REPLCONF
  bool takes_end_mark = false;  // capa eof: the file may come without its size in front
  bool wants_file_only = false;
  bool wants_no_data = false;   // rdb-filter-only: an empty file, then the stream
  int64_t listening_port = 0;
  std::string address;

  // ---- how far it is
  // kHasFile: it looks for the end mark in what it reads, so nothing may follow before it says that it found it.
  enum class Phase : uint8_t { kNone, kQueued, kGetsFile, kHasFile, kFollows };
  Phase phase = Phase::kNone;
  bool sent_psync = false;        // it will acknowledge
  Buffer later;                   // the stream behind the file, until it may follow
  uint64_t later_sequence = 0;    // of the log's record that must be safe before `later` may leave
  uint64_t acknowledged = 0;      // offset in the stream
  int64_t acknowledged_us = 0;    // when
};

// Part of NodeState; the functions below work on it.
struct Followers {
  // By the order in which they came.  Few.
  std::vector<Session*> sessions;

  // The file on its way; one at a time.  Invariant: while it walks no other snapshot of the store runs.
  struct Transfer {
    Session* session = nullptr;
    std::unique_ptr<rdb::FileEncoder> encoder;
    std::string end_mark;
    Buffer whole;            // what is encoded, if the receiver must be told the size first
    bool is_walking = false;
  };
  std::optional<Transfer> transfer;

  // The stream, the same for all.
  uint64_t offset = 0;       // bytes so far
  int database = -1;         // the one selected in it; -1: none
  size_t taken = 0;          // bytes of Store::effects() that are in `unit`, or were
  size_t implied_taken = 0;  // of Store::implied_effects()
  int64_t next_ping_us = 0;

  // What one request did, as commands that are not sent yet.
  struct Unit {
    Buffer commands;
    size_t count = 0;
    size_t implied = 0;      // of these, DELs of keys that expired or were evicted
    int first_database = 0;
    int database = 0;        // selected at the end
    bool changes_data = false;
  };
  Unit unit;
};

// ---- the file ----------------------------------------------------------------------------------------------
// SYNC, PSYNC.  Requires: the session follows nothing yet.
void begin_following(NodeState& node, Session& session);
// REPLCONF ACK.  Requires: it follows.
void acknowledge(NodeState& node, Session& session, uint64_t offset);
// The session goes away.
void stop_following(NodeState& node, Session& session);
// They would have to follow every partition's log from here on.
void cut_off_followers(NodeState& node);
// At the end of a turn, when no other snapshot runs: begins the transfer that has waited longest, if there is one.
void begin_next_transfer(NodeState& node);
// False: there is none, or its connection has to take something first.
bool transfer_wants_step(const NodeState& node);
// A slice of the running transfer: about `budget` entries.  Does nothing if it wants none.
void step_transfer(NodeState& node, size_t budget);

// ---- the stream --------------------------------------------------------------------------------------------
// Takes over what the store noted since the last call.
void take_effects(NodeState& node);
// A command that changes no key, but that followers want to see (PUBLISH).
void take_command(NodeState& node, int database, Args args);
// A request ends, or begins: what was taken is one unit.
void end_unit(NodeState& node);
// The store forgets its effects.  Requires: end_unit() was called.
inline void effects_are_forgotten(Followers& followers) { followers.taken = followers.implied_taken = 0; }

// Ten times a second: signs of life, and cutting off who shows none.
void look_after_followers(NodeState& node);

}  // namespace quorate
