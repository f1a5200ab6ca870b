// The hash is a sum over keys and rows, so that each change costs what it changes.
#include "tests/sim/raft_machine.h"

#include <array>

#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate::sim {

namespace {

void put(std::string& out, uint64_t value) {
  std::array<char, kVarintMax> bytes;
  const char* const end = put_varint(bytes.data(), value);
  out.append(bytes.data(), static_cast<size_t>(end - bytes.data()));
}

uint64_t take(std::string_view& bytes) {
  uint64_t value = 0;
  const bool whole = take_varint(bytes, value);
  CHECK(whole);
  return value;
}

KeyState after(KeyState state, const Command& command) {
  switch (command.kind) {
    case OperationKind::kRead:
      return state;
    case OperationKind::kWrite:
    case OperationKind::kSwap:
      return command.argument;
    case OperationKind::kAdd:
      return state + command.argument;
    case OperationKind::kAppend:
      return list_hash(state, command.argument);
    default:
      break;  // the other world's
  }
  return state;
}

}  // namespace

std::string encode_effects(const std::vector<Effect>& effects) {
  std::string out;
  for (const Effect& effect : effects) {
    const Command& command = effect.command;
    put(out, command.token.client);
    put(out, command.token.session);
    put(out, command.token.number);
    put(out, static_cast<uint64_t>(command.kind));
    put(out, command.key);
    put(out, command.argument);
    put(out, effect.after);
    put(out, effect.output);
  }
  return out;
}

std::vector<Effect> decode_effects(std::string_view bytes) {
  std::vector<Effect> effects;
  while (!bytes.empty()) {
    Effect& effect = effects.emplace_back();
    Command& command = effect.command;
    command.token.client = static_cast<uint32_t>(take(bytes));
    command.token.session = take(bytes);
    command.token.number = take(bytes);
    command.kind = static_cast<OperationKind>(take(bytes));
    command.key = static_cast<uint32_t>(take(bytes));
    command.argument = take(bytes);
    effect.after = take(bytes);
    effect.output = take(bytes);
  }
  return effects;
}

const Machine::Key& Machine::key(uint32_t key) const {
  static const Key kAbsent;
  return key < keys_.size() ? keys_[key] : kAbsent;
}

const Machine::Row* Machine::row(uint32_t client) const {
  const auto at = rows_.find(client);
  return at == rows_.end() ? nullptr : &at->second;
}

Machine::Admission Machine::admission(const Token& token) const {
  const Row* const found = row(token.client);
  const uint64_t session = found == nullptr ? 0 : found->session;
  const uint64_t number = found == nullptr ? 0 : found->number;
  if (token.session < session) return Admission::kOutOfOrder;
  if (token.session > session) {
    return token.number == 1 ? Admission::kNext : Admission::kOutOfOrder;
  }
  if (token.number == number) return Admission::kRepeated;
  return token.number == number + 1 ? Admission::kNext : Admission::kOutOfOrder;
}

Effect Machine::execute(const Command& command, raft::Index index) {
  CHECK(index == next(index_));
  Effect effect{.command = command};
  const KeyState before = key(command.key).state;
  effect.after = after(before, command);
  effect.output = command.kind == OperationKind::kSwap ? before : effect.after;
  change(effect, index, &open_entry(index));
  return effect;
}

void Machine::finish(raft::Index index) {
  CHECK(index == next(index_));
  open_entry(index).hash_after = hash_;
  index_ = index;
}

void Machine::apply(std::string_view payload, raft::Index index, Undo undo) {
  CHECK(index == next(index_));
  for (const Effect& effect : decode_effects(payload)) {
    change(effect, index, undo == Undo::kKept ? &open_entry(index) : nullptr);
  }
  if (undo == Undo::kKept) open_entry(index).hash_after = hash_;
  index_ = index;
}

Machine::UndoEntry& Machine::open_entry(raft::Index index) {
  if (undo_.empty() || undo_.back().index != index) undo_.emplace_back().index = index;
  return undo_.back();
}

void Machine::change(const Effect& effect, raft::Index index, UndoEntry* undo) {
  const Command& command = effect.command;
  if (command.key >= keys_.size()) keys_.resize(command.key + 1);
  Key& key = keys_[command.key];
  const bool appends = command.kind == OperationKind::kAppend;
  const auto row = rows_.find(command.token.client);
  if (undo != nullptr) {
    undo->keys.push_back({command.key, key.state, key.changed, appends});
    undo->rows.push_back(
        {command.token.client, row == rows_.end() ? std::nullopt : std::optional(row->second)});
  }
  hash_ -= hash_key(command.key, key.state);
  key.state = effect.after;
  key.changed = index;
  if (appends) key.list.push_back(command.argument);
  hash_ += hash_key(command.key, key.state);
  const Row fresh{command.token.session, command.token.number, effect.output, index};
  if (row != rows_.end()) hash_ -= hash_row(command.token.client, row->second);
  hash_ += hash_row(command.token.client, fresh);
  rows_[command.token.client] = fresh;
}

void Machine::undo_to(raft::Index index, Rows rows) {
  while (!undo_.empty() && undo_.back().index > index) {
    const UndoEntry entry = std::move(undo_.back());
    undo_.pop_back();
    for (size_t at = entry.keys.size(); at-- > 0;) {
      const UndoKey& old = entry.keys[at];
      Key& key = keys_[old.key];
      hash_ += hash_key(old.key, old.state) - hash_key(old.key, key.state);
      key.state = old.state;
      key.changed = old.changed;
      if (old.appended) key.list.pop_back();
      if (rows == Rows::kForgotten) continue;
      const UndoRow& row = entry.rows[at];
      hash_ -= hash_row(row.client, rows_[row.client]);
      if (row.row) {
        rows_[row.client] = *row.row;
        hash_ += hash_row(row.client, *row.row);
      } else {
        rows_.erase(row.client);
      }
    }
  }
  CHECK(index <= index_);
  index_ = index;
}

Machine Machine::snapshot() const {
  Machine copy;
  copy.index_ = index_;
  copy.hash_ = hash_;
  copy.keys_ = keys_;
  copy.rows_ = rows_;
  return copy;
}

uint64_t Machine::hash_key(uint32_t key, KeyState state) {
  return state == 0 ? 0 : list_hash(list_hash(1, key), state);
}

uint64_t Machine::hash_row(uint32_t client, const Row& row) {
  // Not the index: it is another after a retry by a new leader, the answer is not.
  return list_hash(list_hash(list_hash(2, client), row.session), list_hash(row.number, row.output));
}

}  // namespace quorate::sim
