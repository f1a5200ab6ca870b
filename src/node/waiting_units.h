// The units of one partition that were sent, or are to be sent, to its leader and have no answer yet, in the order of coming, with the
// bytes of their requests.  Not for what becomes of them: forward.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/members.h"
#include "node/forward_message.h"
#include "node/holds.h"
#include "node/levels.h"
#include "util/buffer.h"
#include "util/shared_bytes.h"

namespace quorate {

// What a unit does, which decides how it may be sent again.
enum class UnitKind : uint8_t {
  kReads,
  kWrites,
  kBlocks,   // may wait for a key; writes.  Its number is its token (origin_rows.h)
  kWatches,  // WATCH: its requests are keys (watch_message.h)
};
constexpr size_t kUnitKinds = 4;
constexpr bool may_write(UnitKind kind) { return kind == UnitKind::kWrites || kind == UnitKind::kBlocks; }

struct WaitingUnit {
  uint64_t number = 0;
  uint64_t session_id = 0;
  GapId gap = 0;
  uint64_t gathering = 0;     // it is a part of this one, not a gap's; 0: none
  size_t part = 0;
  UnitKind kind = UnitKind::kWrites;
  uint8_t flags = 0;
  bool is_over = false;       // it was removed
  bool may_have_run = false;  // before it was taken back
  bool is_overtaken = false;  // kReads: something that may write, and that its session sent behind it, was answered
  Levels levels = {};
  uint32_t database = 0;
  uint32_t request_count = 1;
  std::string watched = {};
  uint64_t write_number = 0;  // kWrites: from the first sending on.  kReads: it must not run once this write has; 0: whenever
  NodeId sent_to = 0;         // 0: not under way
  NodeId was_at = 0;          // whom it was taken back from last; what may block may still wait there
  std::vector<NodeId> left_at = {};  // kBlocks: the others of before that, each once
  std::optional<CancelReason> unblocked = {};  // CLIENT UNBLOCK has come, and whoever it is sent to is to answer so
  uint64_t incarnation = 0;   // of whom it was sent to
  uint64_t attempt = 0;       // that sent it
  uint64_t send_order = 0;    // grows with every sending
  // Processes that it was under way to, and that have said nothing of it since.
  std::vector<std::pair<NodeId, uint64_t>> lost_with = {};
  int64_t deadline_us = 0;    // kBlocks: from when it was taken back from where it may have waited
  int64_t asked_us = 0;
  size_t requests_at = 0;     // in the bytes of all
  size_t requests_size = 0;
  SharedBytes large = {};     // they are here instead
};

// Numbers ascend by one, from 1 on, and are never used again.
// Places do not change until the next add(), so that who walks over them, from begin() to end(), may remove any; some are over already.
// One that blocks may stand there for ever, and its session sends nothing behind it: so it does not count in what bounds sessions.
// Invariants: 1. The requests of units whose numbers follow one another stand one behind the other in memory; but large ones by themselves.
// 2. The first of a kind is found without a look at the others: those that block do not slow down what comes behind them.
class WaitingUnits {
 public:
  WaitingUnit& add(UnitKind kind, std::string_view requests);
  // For one that is too large to be copied once more.
  WaitingUnit& add(UnitKind kind, SharedBytes requests);
  // Views of its requests end here.
  void remove(size_t place);

  bool empty() const { return count_ == 0; }
  // Without those that block.
  size_t bounded_count() const { return bounded_count_; }
  // Of their requests, and of what is watched.
  size_t bounded_bytes() const { return bounded_bytes_; }
  uint64_t last_number() const { return last_number_; }

  size_t begin() const { return front_; }
  size_t end() const { return units_.size(); }
  WaitingUnit& at(size_t place) { return units_[place]; }
  const WaitingUnit& at(size_t place) const { return units_[place]; }
  // Of the first unit whose number is not less; end(): there is none.  It may be over.
  size_t place_of(uint64_t number) const;
  // end(): it is over.
  size_t find(uint64_t number) const;
  // Of the first that is not over; end(): there is none.
  size_t first(UnitKind kind) const { return place_or_end(first_[static_cast<size_t>(kind)]); }
  // The same of those that do not block.
  size_t first_bounded() const;
  // Of so many units from that place on.  Requires: none is over; one that is large is asked for alone.
  std::string_view requests(size_t place, size_t count = 1) const;
  void set_watched(WaitingUnit& unit, std::string_view watched);

 private:
  // What is empty keeps room for so much.
  static constexpr size_t kUnitsKept = 512;
  static constexpr size_t kBytesKept = 64 * 1024;

  static constexpr uint64_t kNone = UINT64_MAX;

  WaitingUnit& add_unit(UnitKind kind, size_t size);
  size_t place_or_end(uint64_t number) const {
    return number == kNone ? units_.size() : place_of(number);
  }
  void forget_units();
  void forget_bytes();

  std::vector<WaitingUnit> units_;
  size_t front_ = 0;       // those before it are over
  size_t count_ = 0;       // that are not over
  size_t bounded_count_ = 0;
  size_t bounded_bytes_ = 0;
  // By kind: the number of the first that is not over, or kNone.  Each goes forwards only.
  std::array<uint64_t, kUnitKinds> first_{kNone, kNone, kNone, kNone};
  Buffer bytes_;
  size_t live_requests_ = 0;   // of bytes_, requests of units that are not over
  uint64_t last_number_ = 0;
};

}  // namespace quorate
