// One connection between two nodes: greeting, numbered frames, acknowledgement by number.  Pure: bytes in, messages out, and
// the other way round.  Not for what the messages say, nor for reconnecting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cluster/link/frame.h"
#include "util/buffer.h"

namespace quorate {

// What the two ends must agree on, and what this end demands of the other.
struct LinkIdentity {
  PeerLane lane = PeerLane::kData;
  ClusterId cluster{};
  uint32_t partitions = 0;
  uint64_t node = 0;
  uint64_t incarnation = 0;
};

struct LinkOptions {
  LinkIdentity own;
  uint64_t wanted_node = 0;              // 0: whoever it is
  uint32_t frame_size_max = FrameHeader::kBodyMax;
  // A frame that has grown so far is closed; what follows in the turn comes in the next.
  size_t frame_size_aim = 256 * 1024;
};

// One message as it arrived; views into the link's buffer.
struct PeerMessage {
  uint64_t kind = 0;
  std::string_view bytes;
  uint64_t frame = 0;
};

// Lives as long as its connection.  Owned by the node's list of peers.
// Calls: construction puts our greeting into output(); then receive and next (until it says no) as bytes arrive; add and
// end_turn as there is something to say.  After refusal() != kNone nothing more happens: what is in output() tells the other
// side why, then the connection is to be closed.
// Invariants: 1. Messages come out in the order they were added, each once, and only after their frame proved whole.
// 2. acknowledged() <= frames sent, and grows.  3. No message comes out before the greetings have matched.
class Link {
 public:
  // One message at most.
  static constexpr size_t kMessageMax = FrameHeader::kBodyMax / 2;

  explicit Link(const LinkOptions& options);

  // ---- out -----------------------------------------------------------------------------------------
  // Adds a message to the frame under construction.  Requires: is_open(), its size <= kMessageMax.
  void add(uint64_t kind, std::string_view bytes) { add(kind, bytes, {}); }
  // The same for a message in two parts.
  void add(uint64_t kind, std::string_view first, std::string_view second);
  // The number of the frame that the last added message went into.
  uint64_t last_frame() const { return last_frame_; }
  // Frames of the other side up to `number` were dealt with (what they asked to store is stored).
  // Requires: it arrived.
  void acknowledge(uint64_t number);
  // Closes the frame under construction, and makes an empty one if there is only an acknowledgement to tell.
  void end_turn();
  // Begins a frame even if nothing is to be said, so that the other side hears of us.  Requires: is_open().
  void keep_alive();
  // Bytes to be sent.  Requires: taken only between end_turn() and the next add().
  Buffer& output() { return output_; }

  // ---- in ------------------------------------------------------------------------------------------
  void receive(std::string_view bytes);
  // The next message; false if there is none yet.  The views are valid until the next call of receive or next.
  bool next(PeerMessage& message);
  // Our frames up to this number were dealt with.  Of a frame that is being read it counts once next() has returned false or
  // gone on to another frame: what its messages say comes first.
  uint64_t acknowledged() const { return acknowledged_; }
  // The number of the last frame that arrived whole.
  uint64_t arrived() const { return arrived_; }

  // What arrives may be so large from here on.
  void set_frame_size_max(uint32_t bytes) { frame_size_max_ = bytes; }
  // Ends the connection for a reason that only the owner knows; the last words are in output().
  void refuse(Refusal why);
  bool is_open() const { return greeted_ && refusal_ == Refusal::kNone; }
  Refusal refusal() const { return refusal_; }
  // The other side told why it refuses us.
  Refusal refused_by_peer() const { return refused_by_peer_; }
  // Requires: is_open().
  const Greeting& peer() const { return peer_; }

 private:
  static constexpr uint64_t kRefusalKind = 0;
  static constexpr size_t kNoFrame = SIZE_MAX;

  bool read_greeting();
  Refusal judge(const Greeting& greeting) const;
  void begin_frame();
  void close_frame();
  bool enter_frame();
  void leave_frame();
  bool read_message(PeerMessage& message);

  const LinkOptions options_;
  uint32_t frame_size_max_;

  // ---- out ----
  Buffer output_;
  size_t frame_begin_ = kNoFrame;   // offset in output_ of the frame under construction
  uint64_t frames_made_ = 0;        // closed ones
  uint64_t last_frame_ = 0;
  uint64_t to_acknowledge_ = 0;
  uint64_t acknowledgement_told_ = 0;

  // ---- in ----
  Buffer input_;
  size_t read_ = 0;                 // bytes at the front of input_ that are done with
  size_t frame_end_ = 0;            // while in_frame_: where its body ends in input_
  uint64_t frame_acknowledges_ = 0;
  bool in_frame_ = false;
  bool greeted_ = false;
  Greeting peer_;
  uint64_t arrived_ = 0;
  uint64_t acknowledged_ = 0;
  Refusal refusal_ = Refusal::kNone;
  Refusal refused_by_peer_ = Refusal::kNone;
};

}  // namespace quorate
