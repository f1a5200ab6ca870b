// The records of a node in company on their way into the shard's log: which of them are stored already.  What they hold is
// ClusterNode::begin_record's.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "cluster/cluster_node.h"
#include "cluster/raft/configuration.h"
#include "persist/disk.h"
#include "persist/log_format.h"
#include "persist/log_writer.h"
#include "util/buffer.h"

namespace quorate {

// Owned by the node.  Calls: add() for each record in order, its number being next_number(); stored() whenever the log has come further.
// Invariant: a record counts as stored only when all before it do.
class GroupLog {
 public:
  // For ClusterNode::begin_record.
  uint64_t next_number() const { return last_ + 1; }
  // Writes the record next_number(), and asks for a sync where it needs one.  One without a body (of a bare log) takes no place in the log and
  // is stored with those before it.  `record`: the body behind LogWriter::begin_record().
  void add(ClusterNode::RecordNeeds needs, Buffer&& record, int64_t unix_ms, LogWriter& log, std::vector<DiskRequest>& requests);
  static bool has_body(const Buffer& record) { return record.size() > RecordHeader::kSize; }
  // The last record that is stored, for ClusterNode::stored.  `mode`: what storing an entry means; terms and votes are synced in every one.
  uint64_t stored(const LogWriter& log, raft::Durability mode);
  bool is_idle() const { return waiting_.empty(); }

 private:
  struct Waiting {
    uint64_t number = 0;
    uint64_t sequence = 0;  // in the log; 0: none
    ClusterNode::RecordNeeds needs = ClusterNode::RecordNeeds::kMode;
  };
  uint64_t last_ = 0;
  uint64_t stored_ = 0;
  std::deque<Waiting> waiting_;
};

}  // namespace quorate
