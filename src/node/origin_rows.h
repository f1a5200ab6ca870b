// Which of the writes that nodes forward to a partition have been run, and what they were told, so that a write that is sent again is
// not run again (REPLICATION 8).  Each node numbers its own from 1 on, by partition, anew in each of its incarnations.  Commands that
// may wait for a key have tokens instead: numbers that ascend, but are served in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/members.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

struct NumberedWrite {
  NodeId origin = 0;
  uint64_t incarnation = 0;
  uint64_t number = 0;         // from 1 on; or a token
  uint64_t lowest_wanted = 0;  // nobody waits for those below; at most `number`
};

// The rows of one partition, one an origin; part of its state like its keys.  A leader notes what it has run; its log says so to the others
// with the next entry, and only what the log has said is passed on.
// Bounds of a row: kRepliesMax replies, and as many tokens, of which those that are not short take kReplyBytesMax; what does not fit is not
// kept.  A row goes
// when the log speaks of a newer incarnation of its origin, never by time.
// Invariants: 1. An origin's numbers are run in ascending order, each once; those left out are never run.  2. Replies of all numbers that
// somebody may wait for are there, or were not kept.
class OriginRows {
 public:
  static constexpr size_t kReplySizeMax = 64 << 10;
  static constexpr size_t kReplyBytesMax = 256 << 10;
  static constexpr size_t kRepliesMax = 16 << 10;
  static constexpr uint64_t kNumberMax = UINT64_MAX / 2;

  // ---- on a leader ----------------------------------------------------------------------------------------------
  enum class Place : uint8_t {
    kNext,      // may be run
    kBehind,    // it, or one behind it, was run
    kTooEarly,  // one before it was not run and may be wanted
    kOutdated,  // its sender was started again since: nobody waits for it
  };
  Place place_of(const NumberedWrite& write) const;
  // The last number of this incarnation that was run; 0: none.
  uint64_t last(NodeId origin, uint64_t incarnation) const;
  // What the write was told.  Nothing: it was not kept.  Valid until the next change.
  std::optional<std::string_view> reply_of(const NumberedWrite& write) const;
  // It was run.  Requires: its place was kNext, and `reply` is not empty.
  void note(const NumberedWrite& write, std::string_view reply);
  // The same of a token.  kTooEarly never; kOutdated: also if it is not known any more whether it was served.
  Place place_of_wait(const NumberedWrite& wait) const;
  std::optional<std::string_view> reply_of_wait(const NumberedWrite& wait) const;
  // It was served.  Requires: its place was kNext, and `reply` is not empty.
  void note_wait(const NumberedWrite& wait, std::string_view reply);
  // Its sender has got the reply.
  void drop_wait(NodeId origin, uint64_t token);
  // What it says of itself, in a row of no origin: that it leads in that term, and that it is going to acknowledge writes with fewer copies
  // than a commit needs.
  void begin_term(uint64_t term);
  void say_weak(uint64_t term);
  // Who has said so, if nobody has begun a later term since; 0: nobody.
  uint64_t weak_term() const;
  // What was noted since the last call, for an entry of the log.
  bool has_news() const { return has_news_; }
  void take_news(Buffer& out);
  // What was noted and stands in no entry is not known any more.
  void forget_news();

  // ---- on all ---------------------------------------------------------------------------------------------------
  // What take_news() gave on the leader.  Any bytes are allowed; after an error nothing has changed.
  Status apply(std::string_view news);
  // What the log says, news excluded.
  void encode(Buffer& out) const;
  // Replaces everything by what encode() gave; the same holds for any bytes.
  Status install(std::string_view rows);
  static Status check(std::string_view rows) { return OriginRows().install(rows); }
  void clear() { *this = OriginRows(); }

  size_t size() const { return rows_.size(); }
  size_t memory() const;
  // Of what the log says of which numbers were run.
  uint64_t digest() const;

 private:
  using Id = std::pair<NodeId, uint64_t>;  // origin, incarnation
  struct Wait {
    std::string reply;                // empty: not kept
    bool is_logged = false;           // the log says that it was served
    bool is_dropped = false;          // and will say that nobody wants to know
  };
  struct Row {
    uint64_t lowest_wanted = 1;
    uint64_t first = 1;               // the number of the first reply
    uint64_t logged = 0;              // the log speaks of numbers up to this one
    std::deque<std::string> replies;  // empty: not kept
    std::map<uint64_t, Wait> waits;   // by token
    uint64_t lowest_token = 0;        // of those below nothing is known
    bool is_in_log = false;           // the log speaks of the row
    size_t bytes = 0;                 // of replies that are not short

    uint64_t last() const { return first + replies.size() - 1; }
    std::string_view keep(std::string_view reply);
    void release(std::string_view reply);
    void add(std::string_view reply);
    void drop_before(uint64_t number);
    void drop_behind(uint64_t number);
    void add_wait(uint64_t token, std::string_view reply);
    void erase_wait(uint64_t token);
    bool has_news() const;
  };

  const Row* find(NodeId origin, uint64_t incarnation) const;
  bool has_newer(const Id& id) const;
  void say(uint64_t term, uint64_t what);
  void forget_older(const Id& id);
  enum class Which : uint8_t { kNews, kLogged };
  static void encode(const Id& id, const Row& row, Which which, Buffer& out);
  static void encode_waits(const Row& row, Which which, Buffer& out);

  std::map<Id, Row> rows_;
  bool has_news_ = false;
};

}  // namespace quorate
