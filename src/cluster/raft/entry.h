// One entry of a group's log.  The payload is opaque here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "cluster/raft/types.h"
#include "util/shared_bytes.h"

namespace quorate::raft {

enum class EntryKind : uint8_t {
  kNoOp = 1,           // first of a term; no payload
  kCommand = 2,        // effects, opaque
  kConfiguration = 3,  // a Configuration (message_codec.h)
  kMarker = 4,         // changes nothing: a place at which copies are compared; no payload
};

// Invariant: chain == chain_after(chain of the entry before, *this).  Two replicas whose entries at
// one index have the same chain hold the same log up to there.
struct Entry {
  Term term = {};
  Index index = {};
  Chain chain = {};
  SharedBytes payload = {};
  EntryKind kind = EntryKind::kNoOp;

  // What it counts as in windows and in flight.
  size_t size() const { return sizeof(Entry) + payload.size(); }
};

// XXH3 over the chain before, term, index, kind and payload.
Chain chain_after(Chain previous, const Entry& entry);

// Entries of one message: the usual one is kept inline, so that proposing allocates nothing.
class EntryList {
 public:
  void push_back(Entry entry) {
    if (count_ == 0) {
      one_ = std::move(entry);
    } else {
      if (count_ == 1) more_.push_back(std::move(one_));
      more_.push_back(std::move(entry));
    }
    ++count_;
  }
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  std::span<const Entry> view() const {
    return count_ <= 1 ? std::span<const Entry>(&one_, count_) : std::span<const Entry>(more_);
  }

 private:
  Entry one_;
  std::vector<Entry> more_;
  size_t count_ = 0;
};

}  // namespace quorate::raft
