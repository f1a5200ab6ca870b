// One connection between two nodes: handshake, numbered frames, acknowledgement by number.  Pure: bytes in, messages out, and
// the other way round.  Not for what the messages say, nor for reconnecting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "cluster/link/frame.h"
#include "cluster/link/handshake.h"
#include "cluster/link/options.h"
#include "util/buffer.h"
#include "util/outgoing.h"
#include "util/shared_bytes.h"

namespace quorate {

// One message as it arrived; views into the link's buffer.
struct PeerMessage {
  uint64_t kind = 0;
  std::string_view bytes;
  uint64_t frame = 0;
};

// Lives as long as its connection.  Owned by the node's list of peers.
// Calls: construction puts our opening into output(); then receive and next (until it says no) as bytes arrive; add and
// end_turn as there is something to say.  After refusal() != kNone nothing more happens: what is in output() tells the other
// side why, then the connection is to be closed.
// Invariants: 1. Messages come out in the order they were added, each once, and only after their frame proved whole.
// 2. acknowledged() <= frames sent, and grows.  3. No message comes out before the handshake is done.  4. What a caller sends before that
// takes no more room than a handshake.
class Link {
 public:
  // One message at most.
  static constexpr size_t kMessageMax = FrameHeader::kBodyMax / 2;

  explicit Link(const LinkOptions& options);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // ---- out -----------------------------------------------------------------------------------------
  // Adds a message to the frame under construction.  Requires: is_open(), its size <= kMessageMax.
  void add(uint64_t kind, std::string_view bytes) { add(kind, bytes, std::string_view()); }
  // The same for a message in two parts.
  void add(uint64_t kind, std::string_view first, std::string_view second);
  // The same for one with shared parts, which are not copied, between its bytes.  Requires: their places ascend.
  void add(uint64_t kind, std::string_view bytes, std::span<const SharedPart> parts);
  static size_t size_of(std::string_view bytes, std::span<const SharedPart> parts);
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
  Outgoing& output() { return output_; }

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
  bool is_open() const { return handshake_.is_done() && refusal_ == Refusal::kNone; }
  Refusal refusal() const { return refusal_; }
  // The other side told why it refuses us.
  Refusal refused_by_peer() const { return refused_by_peer_; }
  // Requires: is_open().
  const Greeting& peer() const { return handshake_.other(); }
  // Of the bytes that the other side speaks; 0: not known.
  uint8_t peer_version() const { return handshake_.version(); }

 private:
  static constexpr uint64_t kRefusalKind = 0;
  static constexpr size_t kNoFrame = SIZE_MAX;
  // The body of a frame that refuses has less.
  static constexpr uint32_t kRefusalBodyMax = 16;

  bool meet();
  bool hear_refusal();
  void begin_frame();
  void begin_message(uint64_t kind, size_t size);
  void close_frame();
  bool enter_frame(uint32_t size_max);
  void leave_frame();
  bool read_message(PeerMessage& message);

  const LinkOptions options_;
  Handshake handshake_;
  uint32_t frame_size_max_;

  // ---- out ----
  Outgoing output_;
  size_t frame_begin_ = kNoFrame;   // offset in output_ of the frame under construction
  size_t header_at_ = 0;            // and of its header in what is copied there
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
  bool is_overfull_ = false;        // a caller has sent more than a handshake before it was done
  uint64_t arrived_ = 0;
  uint64_t acknowledged_ = 0;
  Refusal refusal_ = Refusal::kNone;
  Refusal refused_by_peer_ = Refusal::kNone;
};

}  // namespace quorate
