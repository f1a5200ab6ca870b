// The bytes of group records.
//
//   record = item*          item = varint group, u8 tag, sized bytes
//   tag 1: a hard state     tag 2: the log begins anew behind a mark     tag 3: an entry
//   tag 4: the log of the meta group begins behind a mark, and the state that stands for what came before
//   entry = u8 kind, varint term, varint index, payload (the rest)
#include "cluster/group_record.h"

#include <string>

#include "cluster/raft/message_codec.h"
#include "util/varint.h"

namespace quorate {

namespace {

enum class Tag : uint8_t { kHardState = 1, kBase = 2, kEntry = 3, kMetaBase = 4 };

Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "group record: " + std::string(what)); }

void append_item(Buffer& out, raft::GroupId group, Tag tag, std::string_view bytes) {
  append_varint(out, group.value);
  out.push_back(static_cast<char>(tag));
  append_varint(out, bytes.size());
  out.append(bytes);
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

void encode_group_record(raft::GroupId meta_group, const MetaBase* meta, std::span<const GroupWrite> writes, Buffer& out) {
  Buffer part;
  if (meta != nullptr) {
    raft::encode(meta->mark, part);
    part.append(meta->state);
    append_item(out, meta_group, Tag::kMetaBase, part.view());
  }
  for (const GroupWrite& each : writes) {
    // The order in which a core means them: what the log begins behind, what follows it, and who it is by then.
    if (each.write.log_base) {
      part.clear();
      raft::encode(*each.write.log_base, part);
      append_item(out, each.group, Tag::kBase, part.view());
    }
    for (const raft::Entry& entry : each.write.append) append_entry(out, each.group, entry);
    if (each.write.hard_state) {
      part.clear();
      raft::encode(*each.write.hard_state, part);
      append_item(out, each.group, Tag::kHardState, part.view());
    }
  }
}

void GroupRecovery::snapshot(raft::GroupId group, const raft::SnapshotMark& mark) { groups_[group].base = mark; }

Status GroupRecovery::record(std::string_view bytes) {
  while (!bytes.empty()) {
    raft::GroupId group;
    uint8_t tag = 0;
    std::string_view item;
    if (!take_varint(bytes, group.value) || group.none() || !take_little<uint8_t>(bytes, tag) || !take_sized(bytes, item)) {
      return damaged("an item is cut off");
    }
    switch (tag) {
      case static_cast<uint8_t>(Tag::kHardState): TRY(take_hard_state(group, item)); break;
      case static_cast<uint8_t>(Tag::kBase): TRY(take_base(group, item)); break;
      case static_cast<uint8_t>(Tag::kEntry): TRY(take_entry(group, item)); break;
      case static_cast<uint8_t>(Tag::kMetaBase): TRY(take_meta_base(group, item)); break;
      default: return damaged("unknown tag " + std::to_string(tag));
    }
  }
  return done();
}

Status GroupRecovery::take_hard_state(raft::GroupId group, std::string_view bytes) {
  TRY(raft::HardState state, raft::decode_hard_state(bytes));
  if (!bytes.empty()) return damaged("more than a hard state");
  raft::Restored& restored = groups_[group];
  if (state.term < restored.hard_state.term) return damaged("a term falls");
  restored.hard_state = std::move(state);
  return done();
}

Status GroupRecovery::take_base(raft::GroupId group, std::string_view bytes) {
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  if (!bytes.empty()) return damaged("more than a mark");
  raft::Restored& restored = groups_[group];
  // A snapshot of the shard that was made later holds it already.
  if (mark.last <= restored.base.last && !mark.last.index.none()) return done();
  restored.base = std::move(mark);
  restored.entries.clear();
  return done();
}

Status GroupRecovery::take_meta_base(raft::GroupId group, std::string_view bytes) {
  TRY(raft::SnapshotMark mark, raft::decode_snapshot_mark(bytes));
  raft::Restored& restored = groups_[group];
  // A replica that was cut off right after its cluster's founding has no hard state yet.
  if (restored.hard_state.term < mark.last.term) restored.hard_state.term = mark.last.term;
  if (restored.hard_state.configuration.configuration.unknown()) restored.hard_state.configuration = mark.configuration;
  restored.base = std::move(mark);
  restored.entries.clear();
  meta_state_ = bytes;
  return done();
}

Status GroupRecovery::take_entry(raft::GroupId group, std::string_view bytes) {
  raft::Entry entry;
  uint8_t kind = 0;
  if (!take_little<uint8_t>(bytes, kind) || kind == 0 || kind > static_cast<uint8_t>(raft::EntryKind::kConfiguration) ||
      !take_varint(bytes, entry.term.value) || !take_varint(bytes, entry.index.value)) {
    return damaged("an entry is cut off");
  }
  entry.kind = static_cast<raft::EntryKind>(kind);
  raft::Restored& restored = groups_[group];
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
