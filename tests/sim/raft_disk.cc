// Replay of records: an append at an index supersedes everything at and behind it.
#include "tests/sim/raft_disk.h"

#include "util/check.h"

namespace quorate::sim {

void NodeDisk::sync() {
  for (const DiskRecord& record : unsynced_) apply(synced_, record);
  unsynced_.clear();
}

void NodeDisk::lose_power(Prng& prng) {
  const size_t kept = prng.below(unsynced_.size() + 1);
  unsynced_.resize(kept);
  sync();
}

DiskImage NodeDisk::image() const {
  DiskImage image = synced_;
  for (const DiskRecord& record : unsynced_) apply(image, record);
  return image;
}

void NodeDisk::apply(DiskImage& image, const DiskRecord& record) {
  StoredReplica& stored = image[record.group];
  if (record.replica < stored.replica) return;  // of a replica that was replaced meanwhile
  if (record.replica > stored.replica) {
    stored = StoredReplica();
    stored.replica = record.replica;
  }
  if (record.is_removed) {
    image.erase(record.group);
    return;
  }
  if (record.hard) stored.hard = *record.hard;
  if (record.boot) stored.boot = *record.boot;
  if (record.base) {
    const raft::Index last = record.base->last.index;
    if (record.keeps_tail) {
      if (last > stored.base.last.index) {
        std::erase_if(stored.entries,
                      [&](const raft::Entry& entry) { return entry.index <= last; });
        stored.base = *record.base;
        stored.snapshot = record.snapshot;
      }
    } else {
      stored.entries.clear();
      stored.base = *record.base;
      stored.snapshot = record.snapshot;
    }
  }
  for (const raft::Entry& entry : record.append) {
    CHECK(entry.index > stored.base.last.index);
    while (!stored.entries.empty() && stored.entries.back().index >= entry.index) {
      stored.entries.pop_back();
    }
    CHECK(entry.index.value == stored.base.last.index.value + stored.entries.size() + 1);
    stored.entries.push_back(entry);
  }
}

}  // namespace quorate::sim
