// The bytes of group records.
//
//   record = item*          item = varint group, u8 tag, sized bytes
//   tag 1: a hard state     tag 2: the log begins anew behind a mark     tag 3: an entry
//   tag 4: a base           tag 5: the replica is gone
//   tag 6: from here on only this group is kept whole
//   tag 8: a piece of a state whose base follows
//   tag 7: what a base without a state stands for and the snapshot does not show; right behind the base
//   entry = u8 kind, varint term, varint index, payload (the rest)
//   base  = u64 replica, u8 form, mark, [form 1: state (the rest); form 2: varint size of the state, which is the pieces before]
//   piece = varint offset, bytes (the rest)
#include "cluster/group_record.h"

#include <string>

#include "cluster/raft/message_codec.h"
#include "util/varint.h"

namespace quorate {

namespace {

enum class Tag : uint8_t { kHardState = 1, kBase = 2, kEntry = 3, kGroupBase = 4, kGone = 5, kBare = 6, kBeside = 7, kPiece = 8 };

// What follows the mark of a base.
enum class StateForm : uint8_t { kNone = 0, kWhole = 1, kPieces = 2 };

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "group record: " + std::string(what)); }

void append_item(Buffer& out, raft::GroupId group, Tag tag, std::string_view bytes) {
  append_varint(out, group.value);
  out.push_back(static_cast<char>(tag));
  append_sized(out, bytes);
}

void append_entry(Buffer& out, raft::GroupId group, const raft::Entry& entry) {
  const size_t size = 1 + varint_size(entry.term.value) + varint_size(entry.index.value) + entry.payload.size();
  append_varint(out, group.value);
  out.push_back(static_cast<char>(Tag::kEntry));
  append_varint(out, size);
  out.push_back(static_cast<char>(entry.kind));
  append_varint(out, entry.term.value);
  append_varint(out, entry.index.value);
  out.append(entry.payload.view());
}

}  // namespace

void encode_bare_beginning(raft::GroupId meta, Buffer& out) { append_item(out, meta, Tag::kBare, {}); }

// A record is read whole or not at all, so all bases may stand in front: what a turn wrote for a group before its last base is
// recognized by its index.
void encode(const GroupRecord& record, Buffer& out) {
  const size_t begin = out.size();
  const auto is_kept = [&](raft::GroupId group) { return record.keeping == Keeping::kAll || group == record.meta; };
  Buffer part;
  for (const raft::GroupId group : record.gone) append_item(out, group, Tag::kGone, {});
  for (const GroupPiece& piece : record.pieces) {
    if (!is_kept(piece.group)) continue;
    append_varint(out, piece.group.value);
    out.push_back(static_cast<char>(Tag::kPiece));
    append_varint(out, varint_size(piece.offset) + piece.bytes.size());
    append_varint(out, piece.offset);
    out.append(piece.bytes);
  }
  for (const GroupBase& base : record.bases) {
    part.clear();
    append_little<uint64_t>(part, base.replica.value);
    const bool has_state = base.state && is_kept(base.group);
    const bool has_pieces = base.bytes_in_pieces && is_kept(base.group);
    const StateForm form = has_state ? StateForm::kWhole : has_pieces ? StateForm::kPieces : StateForm::kNone;
    part.push_back(static_cast<char>(form));
    raft::encode(base.mark, part);
    if (has_state) part.append(*base.state);
    if (has_pieces) append_varint(part, *base.bytes_in_pieces);
    append_item(out, base.group, Tag::kGroupBase, part.view());
    if (!base.beside.empty() && is_kept(base.group)) append_item(out, base.group, Tag::kBeside, base.beside);
  }
  for (const GroupWrite& each : record.writes) {
    // The order in which a core means them: what the log begins behind, what follows it, and who it is by then.
    const bool kept = is_kept(each.group);
    if (each.write.log_base && kept) {
      part.clear();
      raft::encode(*each.write.log_base, part);
      append_item(out, each.group, Tag::kBase, part.view());
    }
    if (kept) {
      for (const raft::Entry& entry : each.write.append) append_entry(out, each.group, entry);
    }
    if (each.write.hard_state) {
      part.clear();
      raft::encode(*each.write.hard_state, part);
      append_item(out, each.group, Tag::kHardState, part.view());
    }
  }
  const bool has_any = out.size() != begin;
  // At the end: what a base says of term and configuration is taken before it is emptied.
  if (has_any && record.keeping == Keeping::kBare) encode_bare_beginning(record.meta, out);
}

Status GroupRecovery::record(std::string_view bytes) {
  while (!bytes.empty()) {
    raft::GroupId group;
    uint8_t tag = 0;
    std::string_view item;
    if (!take_varint(bytes, group.value) || group.none() || !take_little<uint8_t>(bytes, tag) || !take_sized(bytes, item)) {
      return damaged("an item is cut off");
    }
    if (tag == static_cast<uint8_t>(Tag::kGroupBase)) {
      TRY(take_base(group, item));
    } else if (tag == static_cast<uint8_t>(Tag::kGone)) {
      groups_.erase(group);
    } else if (tag == static_cast<uint8_t>(Tag::kBare)) {
      take_bare(group);
    } else if (tag == static_cast<uint8_t>(Tag::kPiece)) {
      TRY(take_piece(group, item));
    } else if (groups_.find(group) == groups_.end()) {
      return damaged("group " + std::to_string(group.value) + " has no beginning");
    } else if (tag == static_cast<uint8_t>(Tag::kHardState)) {
      TRY(take_hard_state(group, item));
    } else if (tag == static_cast<uint8_t>(Tag::kBase)) {
      TRY(take_log_base(group, item));
    } else if (tag == static_cast<uint8_t>(Tag::kEntry)) {
      TRY(take_entry(group, item));
    } else if (tag == static_cast<uint8_t>(Tag::kBeside)) {
      TRY(take_beside(group, item));
    } else {
      return damaged("unknown tag " + std::to_string(tag));
    }
  }
  return done();
}

// What a replica remembers that has kept nothing: its hard state, which the base has completed.
void GroupRecovery::empty(Found& found) {
  found.restored.base = raft::SnapshotMark();
  found.restored.entries.clear();
  found.restored.start = raft::StartKind::kMayHaveForgotten;
  found.state.reset();
  found.beside.clear();
}

void GroupRecovery::take_bare(raft::GroupId meta) {
  kept_ = meta;
  std::erase_if(pieces_, [&](const auto& each) { return !is_kept(each.first); });
  for (auto& [group, found] : groups_) {
    if (!is_kept(group)) empty(found);
  }
}

Status GroupRecovery::take_base(raft::GroupId group, std::string_view bytes) {
  raft::ReplicaId replica;
  uint8_t form = 0;
  if (!take_little<uint64_t>(bytes, replica.value) || !take_little<uint8_t>(bytes, form)) return damaged("a base is cut off");
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  Found& found = groups_[group];
  raft::HardState& hard_state = found.restored.hard_state;
  // A replica that was cut off right after it was made has no hard state yet.
  if (hard_state.term < mark.last.term) hard_state.term = mark.last.term;
  if (hard_state.configuration.configuration.unknown()) hard_state.configuration = mark.configuration;
  found.replica = replica;
  found.restored.base = std::move(mark);
  found.restored.entries.clear();
  found.state.reset();
  found.beside.clear();
  TRY(take_state(group, found, form, bytes));
  if (!is_kept(group)) empty(found);
  return done();
}

Status GroupRecovery::take_state(raft::GroupId group, Found& found, uint8_t form, std::string_view bytes) {
  if (form > static_cast<uint8_t>(StateForm::kPieces)) return damaged("a base of an unknown form");
  auto pieces = pieces_.extract(group);
  if (form == static_cast<uint8_t>(StateForm::kWhole)) found.state = bytes;
  if (form != static_cast<uint8_t>(StateForm::kPieces)) return done();
  uint64_t size = 0;
  if (!take_varint(bytes, size) || !bytes.empty()) return damaged("a base is cut off");
  if (!is_kept(group)) return done();
  std::string state = pieces.empty() ? std::string() : std::move(pieces.mapped());
  if (state.size() != size) return damaged("a state lacks pieces");
  found.state = std::move(state);
  return done();
}

// Those of a state that was given up have no base.
Status GroupRecovery::take_piece(raft::GroupId group, std::string_view bytes) {
  uint64_t offset = 0;
  if (!take_varint(bytes, offset)) return damaged("a piece is cut off");
  if (!is_kept(group)) return done();
  std::string& pieces = pieces_[group];
  if (offset == 0) pieces.clear();
  if (pieces.size() != offset) return damaged("a piece is missing before " + std::to_string(offset));
  pieces += bytes;
  return done();
}

Status GroupRecovery::take_hard_state(raft::GroupId group, std::string_view bytes) {
  TRY(raft::HardState state, raft::decode_hard_state(bytes));
  if (!bytes.empty()) return damaged("more than a hard state");
  raft::HardState& known = groups_[group].restored.hard_state;
  if (state.term < known.term) return damaged("a term falls");
  known = std::move(state);
  return done();
}

Status GroupRecovery::take_log_base(raft::GroupId group, std::string_view bytes) {
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  if (!bytes.empty()) return damaged("more than a mark");
  if (!is_kept(group)) return done();
  raft::Restored& restored = groups_[group].restored;
  if (mark.last.index.none()) {
    // Everything was archived as lost.
    restored.base = std::move(mark);
    restored.entries.clear();
  } else if (mark.last == restored.base.last) {
    // What was written before it in the same record is not behind it.
    restored.entries.clear();
  } else if (mark.last > restored.base.last) {
    return damaged("a log begins behind a mark without a state");
  }
  return done();
}

Status GroupRecovery::take_beside(raft::GroupId group, std::string_view bytes) {
  Found& found = groups_[group];
  if (found.state || !found.restored.entries.empty()) return damaged("what belongs to a base does not stand behind it");
  if (is_kept(group)) found.beside = bytes;
  return done();
}

Status GroupRecovery::take_entry(raft::GroupId group, std::string_view bytes) {
  raft::Entry entry;
  uint8_t kind = 0;
  if (!take_little<uint8_t>(bytes, kind) || kind == 0 || kind > static_cast<uint8_t>(raft::EntryKind::kMarker) ||
      !take_varint(bytes, entry.term.value) || !take_varint(bytes, entry.index.value)) {
    return damaged("an entry is cut off");
  }
  entry.kind = static_cast<raft::EntryKind>(kind);
  if (!is_kept(group)) return done();
  raft::Restored& restored = groups_[group].restored;
  // Of the same record: it was written before the snapshot whose base stands in front.
  if (entry.index <= restored.base.last.index) return done();
  // An append at index i supersedes everything at and behind i (REPLICATION 5).
  std::vector<raft::Entry>& entries = restored.entries;
  while (!entries.empty() && entries.back().index >= entry.index) entries.pop_back();
  const raft::Index last = entries.empty() ? restored.base.last.index : entries.back().index;
  if (entry.index != raft::next(last)) return damaged("an entry is missing before " + std::to_string(entry.index.value));
  const raft::Chain chain = entries.empty() ? restored.base.chain : entries.back().chain;
  entry.payload = SharedBytes(bytes);
  entry.chain = raft::chain_after(chain, entry);
  entries.push_back(std::move(entry));
  return done();
}

}  // namespace quorate
