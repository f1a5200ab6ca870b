// The state machine of a group in the world `raft`: registers, counters and lists, executed at once
// by the leader, applied by followers, undone by a leader that was deposed (REPLICATION.md 3 and
// 8).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/raft/types.h"
#include "tests/sim/linearizability.h"

namespace quorate::sim {

// Names a write of a client so that it is applied once, however often it is sent.
struct Token {
  uint32_t client = 0;
  uint64_t session = 0;  // a client that gave up begins a new one
  uint64_t number = 0;   // 1, 2, ... in a session and group; accepted only in order
  friend bool operator==(const Token&, const Token&) = default;
};

struct Command {
  Token token;
  OperationKind kind = OperationKind::kRead;
  uint32_t key = 0;
  uint64_t argument = 0;
};

// A write that was executed, as it stands in the log: an effect, not an intention.
struct Effect {
  Command command;
  KeyState after = 0;
  KeyState output = 0;
};

std::string encode_effects(const std::vector<Effect>& effects);
// Requires: bytes that encode_effects made.
std::vector<Effect> decode_effects(std::string_view bytes);

// Copied for snapshots (snapshot()).  Invariant: hash() depends on keys and rows alone, not on the
// way.
class Machine {
 public:
  struct Key {
    KeyState state = 0;
    raft::Index changed;         // the last entry that changed it
    std::vector<uint64_t> list;  // of a list
  };
  struct Row {
    uint64_t session = 0;
    uint64_t number = 0;
    KeyState output = 0;
    raft::Index index;
  };

  // Up to this index the log is in the state.
  raft::Index index() const { return index_; }
  uint64_t hash() const { return hash_; }
  const Key& key(uint32_t key) const;
  const Row* row(uint32_t client) const;
  const std::vector<Key>& keys() const { return keys_; }

  enum class Admission : uint8_t { kNext, kRepeated, kOutOfOrder };
  // What a write with this token is: to be executed, answered already, or to be refused.
  Admission admission(const Token& token) const;

  // Executes writes into the entry `index` that is about to be proposed, and keeps how to undo
  // them. Requires: index == next(index()), admission() == kNext for each in turn.
  Effect execute(const Command& command, raft::Index index);
  // The entry is complete.
  void finish(raft::Index index);

  enum class Undo : uint8_t { kKept, kNotKept };
  // Applies an entry's effects.  Requires: index == next(index()).
  void apply(std::string_view payload, raft::Index index, Undo undo);

  enum class Rows : uint8_t { kUndone, kForgotten };
  // Takes back everything behind `index`.  Requires: it was kept.  kForgotten: the planted mistake.
  void undo_to(raft::Index index, Rows rows);
  // Entries up to `index` are committed; calls `committed(index, hash after it)` for those that
  // were kept.
  template <class Callback>
  void forget_undo(raft::Index index, Callback committed) {
    while (!undo_.empty() && undo_.front().index <= index) {
      committed(undo_.front().index, undo_.front().hash_after);
      undo_.pop_front();
    }
  }

  // The state without what undoing needs.
  Machine snapshot() const;

 private:
  struct UndoKey {
    uint32_t key = 0;
    KeyState state = 0;
    raft::Index changed;
    bool appended = false;
  };
  struct UndoRow {
    uint32_t client = 0;
    std::optional<Row> row;
  };
  struct UndoEntry {
    raft::Index index;
    std::vector<UndoKey> keys;
    std::vector<UndoRow> rows;
    uint64_t hash_after = 0;
  };

  UndoEntry& open_entry(raft::Index index);
  void change(const Effect& effect, raft::Index index, UndoEntry* undo);
  static uint64_t hash_key(uint32_t key, KeyState state);
  static uint64_t hash_row(uint32_t client, const Row& row);

  raft::Index index_;
  uint64_t hash_ = 0;
  std::vector<Key> keys_;
  std::map<uint32_t, Row> rows_;
  std::deque<UndoEntry> undo_;  // oldest first
};

}  // namespace quorate::sim
