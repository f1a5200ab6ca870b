// What two nodes say to each other before the first frame: who they are, and proof that both know
// the same secret (`masterauth`).  Pure: bytes in, bytes out.  Not for what follows: who has proven
// who it is can be believed only as far as nobody changes bytes on their way.
//
//   both    opening: fresh nonce                    at once
//   caller  greeting, proof                         once it has the other's opening
//   called  greeting, proof                         once it has believed the caller's
//
// A proof is HMAC-SHA256 over all that was said so far on this connection, both nonces, both
// greetings, and who speaks: so it is worth nothing on another connection, in the other direction,
// for another node, lane or incarnation.  The caller proves first: whoever can reach a node's port
// gets a nonce, and nothing to guess the secret by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/link/frame.h"
#include "cluster/link/options.h"
#include "util/buffer.h"
#include "util/mac.h"

namespace quorate {

// What nodes that have this password have in common.  Takes about a millisecond, so that guessing
// costs something.
Bytes32 link_secret(std::string_view password);

// Owned by a Link.  Calls: opening() is sent; read() as bytes come, until it refuses or is_done().
// Invariants: 1. Nothing of LinkOptions::own is said to a caller that has not given the proof that
// is wanted.
class Handshake {
 public:
  static constexpr size_t kProofSize = sizeof(Bytes32);
  // All that each side says.
  static constexpr size_t kSize = Opening::kSize + Greeting::kSize + kProofSize;

  explicit Handshake(const LinkOptions& options);

  const std::string& opening() const { return own_opening_; }
  // Goes on reading `bytes`, what has come from the beginning on and was not taken; appends to
  // `output` what is to be said.  kNone: go on.
  Refusal read(std::string_view bytes, Buffer& output);
  // So many of the bytes that read() was given were read.
  size_t take_count();
  bool is_done() const { return is_done_; }
  // Has the other side's opening: what comes next is its greeting, or that it refuses us.
  bool has_opened() const { return !other_opening_.empty(); }
  // Requires: is_done().
  const Greeting& other() const { return other_; }
  // Of the other side; 0: not known.
  uint8_t version() const { return version_; }

 private:
  Refusal read_opening(std::string_view bytes);
  Refusal read_greeting(std::string_view bytes, Buffer& output);
  Refusal judge(const Greeting& greeting) const;
  void greet(Buffer& output);
  Bytes32 proof_of(LinkRole speaker) const;

  const LinkOptions& options_;
  const LinkRole role_;
  const std::string own_opening_;
  const std::string own_greeting_;
  std::string other_opening_;  // as it came; empty: it has not
  std::string other_greeting_;
  Greeting other_;
  uint8_t version_ = 0;
  size_t count_ = 0;
  bool is_done_ = false;
};

}  // namespace quorate
